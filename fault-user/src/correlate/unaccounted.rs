//! Bytes that went out, and no send call on record wrote them: a blind spot of the evidence (io_uring under sys_exit). A message
//! that seems to have sent nothing may be these.

use crate::ledger::datagrams::UDP;
use crate::ledger::flow::{FlowRecord, TxCopy};
use crate::outcome::AppMessage;

/// Bytes may be told of as sent before they leave, ns: the same reach as that of late sends.
const REACH: u64 = 50_000_000;

/// Whether such bytes of one of the app's flows (`mine`) left in the message's time.
pub(super) fn left(mine: &[&FlowRecord], message: &AppMessage) -> bool {
    let (from, to) = (message.t0.saturating_sub(REACH), message.t1.saturating_add(REACH));
    let tcp = mine.iter().filter(|f| f.proto != UDP);
    tcp.into_iter().any(|flow| {
        let sent = between(&flow.tx, from, to);
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

/// Copies of that time; they are in its order.
fn between(copies: &[TxCopy], from: u64, to: u64) -> &[TxCopy] {
    let a = copies.partition_point(|c| c.ts < from);
    let b = copies.partition_point(|c| c.ts <= to);
    &copies[a..b.max(a)]
}
