//! What becomes of the wire packets of a frame, and which of them can travel together.

use fault_common::fate::{self, Fate, Fault, Model};
use fault_common::line::Handed;

use super::conn;
use super::count::Counting;
use super::engine::{ConnKey, Engine};
use super::frame::Frame;

/// Consecutive wire packets of a frame that share a fate.
pub(super) struct Run {
    pub from: u32,
    pub to: u32,
    pub fate: Fate,
}

impl Engine {
    /// Decides about each wire packet and joins what can go on as one frame. `lifted`: what the
    /// faults would hold goes on at once.
    pub(super) fn runs(
        &mut self,
        key: ConnKey,
        handed: &Handed,
        frame: &Frame,
        lifted: bool,
    ) -> Vec<Run> {
        let Some(conn) = self.conns.get_mut(&key) else { return Vec::new() };
        if conn.stack.is_empty() {
            return vec![conn.unjudged(handed, frame)];
        }
        let draws = conn::key(self.settings.seed, handed);
        let tables = self.settings.tables.lend();
        let mut runs: Vec<Run> = Vec::new();
        let mut counting = Counting::new(&mut self.tally, key);
        let mut apart = false;
        for index in 0..frame.segments() {
            let packet = conn.wire_packet(handed, frame, index);
            let mut fate =
                fate::decide(&conn.stack, &tables.tables(), &draws, &packet, &mut conn.states);
            if lifted {
                (fate.release, fate.hold) = (handed.ts, None);
            }
            fate.release = fate.release.max(conn.floor);
            conn.last_due = conn.last_due.max(fate.release);
            counting.add(&conn.stack, &fate);
            match runs.last_mut() {
                Some(last) if !apart && joinable(&last.fate, &fate) => last.to = index + 1,
                _ => runs.push(Run { from: index, to: index + 1, fate }),
            }
            apart = conn.gaps.meet(&fate);
        }
        counting.finish(&conn.stack);
        runs
    }
}

/// Whether a fault can hold packets.
pub(super) fn holds(fault: &Fault) -> bool {
    matches!(fault.model, Model::Delay(_) | Model::Rate(_) | Model::Replay(_) | Model::Reorder(_))
}

/// Whether wire packets with these fates may travel as one frame.
fn joinable(a: &Fate, b: &Fate) -> bool {
    let plain =
        |f: &Fate| f.corrupt.is_none() && f.copies == 0 && f.hold.is_none() && f.keep.is_none();
    let same = (a.end, a.by, a.acted) == (b.end, b.by, b.acted);
    let ended = a.end.is_some();
    plain(a) && plain(b) && same && (ended || (a.release, a.mark_ce) == (b.release, b.mark_ce))
}
