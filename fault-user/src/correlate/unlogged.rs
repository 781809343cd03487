//! Sends that no message claims.

use std::collections::BTreeSet;
use std::ops::Range;

use super::messages::Claimed;
use crate::ledger::flow::FlowRecord;

/// Sends closer than this to each other are one entry, ns.
pub(super) const TOGETHER: u64 = 1_000_000;

/// Consecutive unclaimed sends of one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Position in the list of the app's flows.
    pub flow: usize,
    pub range: Range<i64>,
    /// Bytes written into it.
    pub written: u64,
    /// Whether nobody else's bytes are in it.
    pub exact: bool,
    /// Return of the first and of the last call.
    pub from: u64,
    pub to: u64,
    /// Positions of the first and of the last call.
    pub calls: (usize, usize),
}

/// Groups what is left over on the flows of one app.
pub(super) fn groups(flows: &[&FlowRecord], claimed: &[Claimed]) -> Vec<Group> {
    let claims = claimed.iter().flat_map(|c| &c.claims);
    let taken: BTreeSet<_> = claims.flat_map(|c| c.sends.iter().map(|&s| (c.flow, s))).collect();
    let mut groups: Vec<Group> = Vec::new();
    for (flow, record) in flows.iter().enumerate() {
        for (s, call) in record.sends.iter().enumerate() {
            if call.is_empty() || taken.contains(&(flow, s)) {
                continue;
            }
            let joins = |g: &&mut Group| {
                let next = g.range.end == call.range.start || g.range == call.range;
                g.flow == flow && next && call.ts <= g.to + TOGETHER
            };
            match groups.last_mut().filter(joins) {
                Some(g) => {
                    (g.range.end, g.to, g.calls.1) = (call.range.end, call.ts, s);
                    g.written += call.len();
                    g.exact &= call.exact;
                }
                None => groups.push(Group {
                    flow,
                    range: call.range.clone(),
                    written: call.len(),
                    exact: call.exact,
                    from: call.ts,
                    to: call.ts,
                    calls: (s, s),
                }),
            }
        }
    }
    groups
}
