//! Messages whose sends lie just outside of the time that the app tells.
//!
//! An app measures how long a send took, and may be preempted before it writes the line from whose
//! moment the measurement counts back; another hands a message to a writer task and says "sent".
//! Either way the send is there, a little too early or too late. To call such a message lost would be
//! a false proof, so a message that found nothing may take what fits and nobody wants; that it is
//! its own is not certain, and said so.

use std::cmp::Reverse;

use super::messages::{Claim, Claimed, Table};
use super::runs;
use super::windows::Distance;

/// How far outside, ns.
pub(super) const REACH: u64 = 50_000_000;
/// So near it is the message's even if sends of that size are common: an app that was preempted
/// before it wrote its line, time and again, makes its own messages look like a habit. ns.
const NEAR: u64 = 10_000_000;

impl Table<'_> {
    /// Lets every message without a send look around.
    pub(super) fn stragglers(&mut self, out: &mut [Claimed]) {
        // In order of time, so that a delay which shifts them all leaves each with its own.
        let mut empty: Vec<_> = (0..out.len()).filter(|&m| out[m].claims.is_empty()).collect();
        empty.sort_by_key(|&m| Reverse(self.messages[m].bytes));
        for m in empty {
            let near = (0..self.flows.len()).filter_map(|f| self.nearest(m, f));
            if let Some((_, claim)) = near.min_by_key(|(distance, _)| order(*distance)) {
                self.take(claim.flow, &claim.sends);
                out[m] = Claimed { claims: vec![claim], shared: true, foreign: 0 };
            }
        }
    }

    /// The nearest free sends of a flow that can be the message, and how far off they are.
    fn nearest(&self, m: usize, flow: usize) -> Option<(Distance, Claim)> {
        let (message, sends) = (self.messages[m], &self.flows[flow].sends);
        let from = sends.partition_point(|s| s.ts < message.t0.saturating_sub(REACH));
        let to = sends.partition_point(|s| s.ts <= message.t1.saturating_add(REACH));
        let free: Vec<_> = (from..to).filter(|&s| self.is_free(flow, s)).collect();
        let off = |s: usize| Distance::of(message, sends[s].ts);
        let runs = match message.bytes {
            Some(bytes) => runs::all(sends, &free, bytes),
            None => free
                .into_iter()
                .filter(|&s| off(s).off <= NEAR || !self.is_habit(flow, sends[s].len()))
                .map(|s| vec![s])
                .collect(),
        };
        let distance = |run: &[usize]| run.iter().map(|&s| off(s)).max_by_key(|d| order(*d));
        let run = runs.into_iter().min_by_key(|run| distance(run).map(order))?;
        Some((distance(&run)?, Claim { flow, sends: run, complete: true }))
    }

    /// Whether the flow sends that size more than once while no message is under way.
    fn is_habit(&self, flow: usize, size: u64) -> bool {
        self.background[flow].get(&size).is_some_and(|&times| times > 1)
    }
}

/// What is better explained goes first: a slow line by a little, then whatever is near.
fn order(distance: Distance) -> (bool, u64) {
    (distance.after || distance.off > NEAR, distance.off)
}
