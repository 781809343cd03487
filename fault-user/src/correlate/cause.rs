//! Why a send fared as it did.

use super::attempts::Attempt;
use crate::ledger::datagrams::UDP;
use crate::ledger::flow::{LostRx, TxCopy};
use crate::verdict::Cause;

/// A wait of the send call beyond which the app was blocked, ns.
const BLOCKED: u64 = 200_000_000;

/// A cause, and the rule behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason {
    pub cause: Cause,
    pub rule: Option<u32>,
}

/// The cause of an attempt's fate. `since`: when the app began to send, if it says so.
pub(super) fn find(attempt: &Attempt, since: Option<u64>) -> Reason {
    if let Some(reason) = attempt.reason {
        return reason;
    }
    find_from(attempt, since, &Traces::of(attempt))
}

/// What of the evidence on an attempt is about its bytes and those before them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traces {
    /// The rules behind the first copy that was dropped, and the first that was touched.
    dropped: Option<Option<u32>>,
    touched: Option<Option<u32>>,
    /// What kept back bytes ahead of it.
    behind: Option<Option<u32>>,
}

impl Traces {
    pub(super) fn of(attempt: &Attempt) -> Self {
        Self {
            dropped: dropped(attempt, attempt.range.clone()).map(|c| c.rule),
            touched: touched(attempt).map(|c| c.rule),
            behind: behind(attempt),
        }
    }

    /// Those of the same attempt with the bytes that follow.
    pub(super) fn and(self, next: Self) -> Self {
        Self {
            dropped: self.dropped.or(next.dropped),
            touched: self.touched.or(next.touched),
            behind: self.behind,
        }
    }
}

/// The same for an attempt whose traces are known.
pub(super) fn find_from(attempt: &Attempt, since: Option<u64>, traces: &Traces) -> Reason {
    let reason = |cause, rule| Reason { cause, rule };
    if let Some(rule) = traces.dropped.or(traces.touched) {
        reason(Cause::Hit, rule)
    } else if attempt.flow.proto == UDP {
        // Datagrams wait for no acknowledgement and for none before them.
        reason(Cause::Untouched, None)
    } else if blocked(attempt, since) {
        reason(Cause::SenderBlocked, None)
    } else if let Some(lost) = lost_ack(attempt) {
        reason(Cause::AckPath, lost.rule)
    } else if let Some(rule) = traces.behind {
        reason(Cause::HeadOfLine, rule)
    } else if let Some(rule) = touched_ack(attempt) {
        reason(Cause::AckPath, Some(rule))
    } else {
        reason(Cause::Untouched, None)
    }
}

fn dropped<'a>(attempt: &Attempt<'a>, range: std::ops::Range<i64>) -> Option<&'a TxCopy> {
    let flow = attempt.flow;
    flow.copies_of(&range).find(|c| c.dropped && c.ts <= attempt.settled)
}

/// A copy of its own that got through, but not as it was: later, changed, more than once.
fn touched<'a>(attempt: &Attempt<'a>) -> Option<&'a TxCopy> {
    let mut copies = attempt.flow.copies_of(&attempt.range);
    copies.find(|c| !c.dropped && c.rule.is_some() && c.ts <= attempt.settled)
}

/// The rule that touched the acknowledgement of its last byte.
fn touched_ack(attempt: &Attempt) -> Option<u32> {
    let acks = &attempt.flow.acks;
    let at = acks.partition_point(|a| a.upto < attempt.range.end);
    acks.get(at).filter(|a| !attempt.range.is_empty() && a.ts <= attempt.settled)?.rule
}

/// Its send calls returned late, and there was something to wait for: bytes ahead of it that
/// were not acknowledged yet, or its own, the first of which had left long before.
fn blocked(attempt: &Attempt, since: Option<u64>) -> bool {
    let ahead = |at: u64| attempt.flow.una_at(at) < attempt.range.start;
    let at_first = match (since, attempt.calls.first()) {
        (Some(t0), Some(&call)) => call.saturating_sub(t0) >= BLOCKED && ahead(t0),
        _ => false,
    };
    let on_its_own =
        attempt.calls.first().is_some_and(|c| c.saturating_sub(attempt.begun) >= BLOCKED);
    at_first || on_its_own || attempt.calls.windows(2).any(|w| w[1].saturating_sub(w[0]) >= BLOCKED)
}

/// A lost packet that would have acknowledged it, after all of it had got through.
fn lost_ack<'a>(attempt: &Attempt<'a>) -> Option<&'a LostRx> {
    if !attempt.unsent().is_empty() || attempt.range.is_empty() {
        return None;
    }
    let lost = attempt.flow.lost_rx_between(attempt.begun, attempt.settled);
    lost.iter().find(|r| r.ack.is_some_and(|ack| ack >= attempt.range.end))
}

/// The rule that kept back bytes ahead of it: by losing them, or by losing the acks without which
/// the window did not move on to its own.
fn behind(attempt: &Attempt) -> Option<Option<u32>> {
    let una = attempt.flow.una_at(attempt.begun);
    if una >= attempt.range.start {
        return None;
    }
    if let Some(copy) = dropped(attempt, una..attempt.range.start) {
        return Some(copy.rule);
    }
    if attempt.first_tx.is_some() {
        return None;
    }
    let lost = attempt.flow.lost_rx_between(0, attempt.settled);
    let stuck = |r: &&LostRx| r.ack.is_some_and(|ack| ack > una);
    lost.iter().find(stuck).map(|r| r.rule)
}
