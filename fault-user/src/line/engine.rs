//! The line's decisions and their execution: a frame comes in, its wire packets meet their fates,
//! pieces go on at their times. No clock, no device, no kernel: the caller has those.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fault_common::event::Event;
use fault_common::fate::Fault;
use fault_common::line::{Back, Handed};
use fault_common::rule::Direction;

use super::conn::Conn;
use super::frame::{Frame, Piece};
use super::judge::holds;
use super::queue::Queue;
use super::tally::Tally;
use super::{Outlet, Settings, Stacks};
use crate::capture::Kept;
use crate::plan::Tables;

/// Slot and direction of a connection.
pub type ConnKey = (u32, Direction);

/// A piece on its way.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub key: ConnKey,
    pub piece: Piece,
    pub back: Back,
    /// Which of its connection it is; later ones have higher numbers.
    pub order: u64,
    /// What is told when it goes on, or is lost after all.
    pub event: Event,
    /// A copy of the parcel before it: told of only if it is lost.
    pub copy: bool,
    /// A fault holds it: how exactly that worked is noted.
    pub delayed: bool,
    /// When it came to the line's hook.
    pub came: u64,
}

impl Parcel {
    /// Bytes of memory that it takes while it waits.
    pub(super) fn cost(&self) -> u64 {
        // Itself, its entry in the queue, and what an allocator adds.
        const BESIDE: u64 = size_of::<Parcel>() as u64 + 128;
        self.piece.len() as u64 + BESIDE
    }
}

/// What the queue holds.
#[derive(Debug)]
pub(super) enum Item {
    Parcel(Box<Parcel>),
    /// Something held back goes on now, overtaken or not.
    Alarm(ConnKey),
}

/// The line, but for its device.
pub struct Engine {
    pub(super) settings: Settings,
    banks: [Stacks; 2],
    live: Option<usize>,
    /// A bank is laid down that is not live yet.
    staged: bool,
    nothing: Arc<[Fault]>,
    pub(super) conns: HashMap<ConnKey, Conn>,
    pub(super) queue: Queue<Item>,
    pub(super) held: u64,
    pub(super) touched: HashSet<ConnKey>,
    pub(super) kept: Kept,
    pub tally: Tally,
}

impl Engine {
    /// An empty line.
    pub fn new(settings: Settings, tally: Tally) -> Self {
        Self {
            kept: Kept::new(settings.capture),
            settings,
            banks: [Stacks::new(), Stacks::new()],
            live: None,
            staged: false,
            nothing: Arc::new([]),
            conns: HashMap::new(),
            queue: Queue::default(),
            held: 0,
            touched: HashSet::new(),
            tally,
        }
    }

    /// Replaces the tables that faults name.
    pub fn set_tables(&mut self, tables: Tables) {
        self.settings.tables = tables;
    }

    /// Lays down the rules of a bank that is not live.
    pub fn stage(&mut self, bank: usize, stacks: Stacks) {
        self.banks[bank & 1] = stacks;
        self.staged = true;
    }

    /// A bank has become the live one. What was held by faults that are gone goes on at once, in
    /// its order.
    pub fn live(&mut self, bank: usize, now: u64) {
        (self.live, self.staged) = (Some(bank & 1), false);
        let stacks = &self.banks[bank & 1];
        let mut freed = HashSet::new();
        for (key, conn) in &mut self.conns {
            let stack = stacks.get(&(conn.flow, key.1)).unwrap_or(&self.nothing);
            if !stack.iter().any(holds) {
                // Not sooner: what came before the flip and is read only now would overtake them.
                (conn.floor, conn.last_due) = (now, now);
                freed.insert(*key);
            }
            conn.adopt(stack);
        }
        self.free(&freed, now);
    }

    fn free(&mut self, freed: &HashSet<ConnKey>, now: u64) {
        if freed.is_empty() {
            return;
        }
        for key in freed {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            for back in conn.held_back.drain(..).rev() {
                self.queue.push_first(back.due, Item::Parcel(Box::new(back.parcel)));
            }
        }
        self.queue.hasten(|item, at| match item {
            Item::Parcel(p) if freed.contains(&p.key) => at.min(now),
            _ => at,
        });
    }

    /// Everything goes on now.
    pub fn flush(&mut self, now: u64, outlet: &mut impl Outlet) {
        let all: HashSet<ConnKey> = self.conns.keys().copied().collect();
        self.free(&all, now);
        self.due(now, outlet);
    }

    /// What it has counted and kept, at its end.
    pub fn into_tally(self) -> Tally {
        let Kept { packets, beyond, .. } = self.kept;
        Tally { captured: packets, captured_beyond: beyond, ..self.tally }
    }

    /// When [`Engine::due`] is to be called next.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.next_at()
    }

    /// Takes a packet of the stack in. It goes on in [`Engine::due`].
    pub fn accept(&mut self, handed: &Handed, frame: &Frame, outlet: &mut impl Outlet) {
        let dir = dir_of(handed);
        let key = (handed.slot, dir);
        let of = |bank: usize| self.banks.get(bank).and_then(|b| b.get(&(handed.flow, dir)));
        let stack = Arc::clone(of(handed.bank as usize).unwrap_or(&self.nothing));
        let now_live = self.live.and_then(of).unwrap_or(&self.nothing);
        let lifted = self.is_past(handed.bank) && !now_live.iter().any(holds);
        let conn = self.conns.entry(key).or_default();
        conn.arrived(handed, frame);
        conn.adopt(&stack);
        self.touched.insert(key);
        for run in self.runs(key, handed, frame, lifted) {
            self.execute(handed, frame, &run, outlet);
        }
    }

    /// Whether a bank was live before the one that is: its last packets come after the flip.
    fn is_past(&self, bank: u32) -> bool {
        let live = self.live.is_some_and(|live| live != bank as usize);
        // Between `stage` and `live` a packet of the other bank comes from the future.
        live && !self.staged && (bank as usize) < self.banks.len()
    }
}

pub(super) fn dir_of(handed: &Handed) -> Direction {
    if handed.dir == 0 { Direction::Egress } else { Direction::Ingress }
}
