//! In whose time a send call returned.

use crate::ledger::flow::FlowRecord;
use crate::ledger::stream::RangeIndex;
use crate::outcome::AppMessage;

/// How far an app's clock readings lie around the kernel's, ns.
const SLACK: u64 = 200_000;

/// Messages (by position) in whose time each send call of each flow returned.
///
/// A window that contains the call goes before one that only nearly does; of several that nearly
/// do, the nearest has it. More than one owner is left only where the app itself was sending
/// several messages at a time.
pub(super) fn owners(flows: &[&FlowRecord], messages: &[&AppMessage]) -> Vec<Vec<Vec<usize>>> {
    let wide = |m: &&AppMessage| {
        let slack = SLACK + m.resolution;
        m.t0.saturating_sub(slack) as i64..(m.t1.saturating_add(slack) as i64).saturating_add(1)
    };
    let index = RangeIndex::new(messages.iter().map(wide));
    let of = |ts: u64| {
        let mut hits = index.meeting(&(ts as i64..ts as i64 + 1));
        let nearest = hits.iter().map(|&m| distance(messages[m], ts)).min();
        hits.retain(|&m| Some(distance(messages[m], ts)) == nearest);
        if nearest != Some(0) {
            hits.truncate(1);
        }
        hits
    };
    flows.iter().map(|f| f.sends.iter().map(|s| of(s.ts)).collect()).collect()
}

fn distance(m: &AppMessage, ts: u64) -> u64 {
    m.t0.saturating_sub(ts).max(ts.saturating_sub(m.t1))
}
