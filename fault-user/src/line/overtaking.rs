//! Packets that are held back until others have passed them.

use fault_common::fate::Fate;

use super::engine::{ConnKey, Engine, Item, Parcel};

/// A parcel that waits to be overtaken.
#[derive(Debug)]
pub struct HeldBack {
    /// Wire packets that have still to pass.
    pub gap: u32,
    /// When it goes on even so.
    pub until: u64,
    /// When it would have gone on; not before that, whoever passes.
    pub due: u64,
    pub parcel: Parcel,
}

/// Gaps that are still to be filled, by packets as they come in. With what is held it tells where
/// a super-packet has to be cut: one that passes as a whole would pass by more than the gap.
#[derive(Debug, Default)]
pub struct Gaps(Vec<Gap>);

#[derive(Debug)]
struct Gap {
    left: u32,
    until: u64,
}

impl Gaps {
    /// Takes note of a wire packet; true if one that is held back goes right behind it.
    pub fn meet(&mut self, fate: &Fate) -> bool {
        if fate.end.is_some() {
            return false;
        }
        if let Some(hold) = fate.hold {
            self.0.push(Gap { left: hold.gap, until: hold.until });
            return false;
        }
        self.pass(fate.copies.saturating_add(1), fate.release)
    }

    /// So many wire packets pass, at that time; true if a gap is filled now.
    pub fn pass(&mut self, packets: u32, at: u64) -> bool {
        let mut filled = false;
        self.0.retain_mut(|gap| {
            gap.left = gap.left.saturating_sub(packets);
            filled |= gap.left == 0;
            gap.left > 0 && gap.until > at
        });
        filled
    }
}

impl Engine {
    /// A parcel of so many wire packets has gone on: it has passed those that came before it.
    pub(super) fn passed_by(&mut self, key: ConnKey, order: u64, wire: u32) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let passed = |back: &&mut HeldBack| back.parcel.order < order;
        for back in conn.held_back.iter_mut().filter(passed) {
            back.gap = back.gap.saturating_sub(wire);
        }
        self.let_go(key, |back| back.gap == 0);
    }

    /// Those go on whose time is up.
    pub(super) fn time_is_up(&mut self, key: ConnKey, now: u64) {
        self.let_go(key, |back| back.until <= now);
    }

    /// At their own time, which is mostly over: so they go next, in the order in which they came,
    /// and before what has just been passing with the same time.
    fn let_go(&mut self, key: ConnKey, which: impl Fn(&HeldBack) -> bool) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if conn.held_back.is_empty() {
            return;
        }
        let free: Vec<HeldBack> = conn.held_back.extract_if(.., |back| which(back)).collect();
        for back in free.into_iter().rev() {
            self.queue.push_first(back.due, Item::Parcel(Box::new(back.parcel)));
        }
    }
}
