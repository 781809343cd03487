//! In whose time a send call returned.

use crate::ledger::flow::FlowRecord;
use crate::ledger::stream::RangeIndex;
use crate::outcome::AppMessage;

/// How long before the time that an app tells its send may have returned, ns. Mostly the app tells
/// how long it took, which is counted back from the moment of its line: whatever passed between
/// the app's look at its clock and that line moves the whole window to a later time.
pub(super) const EARLY: u64 = 200_000;
/// How long after it, ns. An app knows the outcome of a send only when it has returned, so this is
/// but the difference between two clocks.
const LATE: u64 = 50_000;

/// Messages (by position) in whose time each send call of each flow returned.
///
/// A window that contains the call goes before one that only nearly does; of several that nearly
/// do, one that it comes before goes first, and then the nearest has it. More than one owner is
/// left only where the app itself was sending several messages at a time.
pub(super) fn owners(flows: &[&FlowRecord], messages: &[&AppMessage]) -> Vec<Vec<Vec<usize>>> {
    let wide = |m: &&AppMessage| {
        let (early, late) = (EARLY + m.resolution, LATE + m.resolution);
        m.t0.saturating_sub(early) as i64..(m.t1.saturating_add(late) as i64).saturating_add(1)
    };
    let index = RangeIndex::new(messages.iter().map(wide));
    let of = |ts: u64| {
        let mut hits = index.meeting(&(ts as i64..ts as i64 + 1));
        let nearest = hits.iter().map(|&m| Distance::of(messages[m], ts)).min();
        hits.retain(|&m| Some(Distance::of(messages[m], ts)) == nearest);
        if nearest != Some(Distance::INSIDE) {
            hits.truncate(1);
        }
        hits
    };
    flows.iter().map(|f| f.sends.iter().map(|s| of(s.ts)).collect()).collect()
}

/// How far a send is from a message's time. Ordered: one that comes after it is further off than
/// any that comes before it, because it takes more than a slow app to explain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Distance {
    pub(super) after: bool,
    /// ns.
    pub(super) off: u64,
}

impl Distance {
    const INSIDE: Self = Self { after: false, off: 0 };

    pub(super) fn of(m: &AppMessage, ts: u64) -> Self {
        let off = m.t0.saturating_sub(ts).max(ts.saturating_sub(m.t1));
        Self { after: ts > m.t1, off }
    }
}
