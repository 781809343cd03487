//! Sockets that pass from hand to hand. Who tells of a send is who made it, and that need not be the app that opened
//! the socket: descriptors are inherited, and handed over (SCM_RIGHTS).

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::ledger::flow::FlowRecord;

/// The flows as each app used them: one record for each app that sent on it, with just its sends.
pub(super) fn by_sender(flows: &[FlowRecord]) -> Cow<'_, [FlowRecord]> {
    if flows.iter().all(|f| f.sends.iter().all(|s| s.sender.is_none())) {
        return Cow::Borrowed(flows);
    }
    let mut all = Vec::new();
    for flow in flows {
        // The opener first, also if it never sent.
        let others: BTreeSet<u32> = flow.sends.iter().filter_map(|s| s.sender).collect();
        all.push(part(flow, None, flow.app));
        all.extend(others.into_iter().map(|app| part(flow, Some(app), app)));
    }
    Cow::Owned(all)
}

fn part(flow: &FlowRecord, sender: Option<u32>, app: u32) -> FlowRecord {
    let mut part = flow.clone();
    part.app = app;
    part.sends.retain(|s| s.sender == sender);
    part
}
