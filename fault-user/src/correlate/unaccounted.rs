//! Bytes that went out, and no send call on record wrote them: a blind spot of the evidence (io_uring under sys_exit). A message
//! that seems to have sent nothing may be these.

use crate::ledger::datagrams::UDP;
use crate::ledger::flow::{FlowRecord, TxCopy};
use crate::outcome::AppMessage;

/// Bytes may leave before the message's time, as far as it is known, ns: the same reach as that of stragglers.
const REACH: u64 = 50_000_000;

/// Whether such bytes of one of the app's flows (`mine`) left in the message's time or later: how long they wait
/// for the window, or for a processor, nobody knows.
pub(super) fn left(mine: &[&FlowRecord], message: &AppMessage) -> bool {
    let from = message.t0.saturating_sub(REACH);
    let tcp = mine.iter().filter(|f| f.proto != UDP);
    tcp.into_iter().any(|flow| {
        let sent = since(&flow.tx, from);
        if sent.is_empty() {
            return false;
        }
        let mut written = flow.elsewhere.clone();
        flow.sends.iter().for_each(|s| written.insert(s.range.clone()));
        // What an app wrote before it was attached to has no call on record either.
        let known = if flow.opened.is_some() {
            0
        } else {
            written.ranges().first().map_or(i64::MAX, |r| r.start)
        };
        sent.iter().any(|c| c.range.start >= known && !written.covers(&c.range))
    })
}

/// Copies from that time on; they are in its order.
fn since(copies: &[TxCopy], from: u64) -> &[TxCopy] {
    &copies[copies.partition_point(|c| c.ts < from)..]
}
