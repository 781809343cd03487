//! Unclaimed sends that follow each other for longer than is held: one entry of the report all the same.

use std::ops::Range;

use crate::correlate::Facts;
use crate::correlate::attempts::Attempt;
use crate::correlate::cause::{self, Reason, Traces};
use crate::correlate::unlogged::{Group, TOGETHER};
use crate::ledger::flow::FlowRecord;

/// What was let go of such an entry.
pub(super) struct Stretch {
    pub range: Range<i64>,
    /// Return of the first and of the last call.
    pub from: u64,
    pub to: u64,
    begun: u64,
    first_tx: Option<u64>,
    acked: Option<u64>,
    written: u64,
    exact: bool,
    drops: u64,
    passes: u64,
    retransmits: u64,
    traces: Traces,
    /// If it ends here.
    reason: Reason,
}

impl Stretch {
    /// Whether the group goes on where this ends.
    pub(super) fn joins(&self, group: &Group) -> bool {
        self.range.end == group.range.start && group.from <= self.to + TOGETHER
    }

    /// The group with all of it that was let go.
    pub(super) fn widen(&self, group: &Group) -> Group {
        Group {
            range: self.range.start..group.range.end,
            written: self.written + group.written,
            exact: self.exact && group.exact,
            from: self.from,
            ..group.clone()
        }
    }

    /// What is known of `group`, after `before`.
    pub(super) fn attempt<'a>(
        before: Option<&Self>,
        flow: &'a FlowRecord,
        group: &Group,
        facts: &Facts,
    ) -> (Attempt<'a>, Traces) {
        let mut attempt = Attempt::of_group(flow, group, facts);
        let traces = Traces::of(&attempt);
        let Some(before) = before else { return (attempt, traces) };
        let traces = before.traces.and(traces);
        attempt.range.start = before.range.start;
        attempt.begun = before.begun;
        attempt.calls[0] = before.from;
        attempt.first_tx = before.first_tx.or(attempt.first_tx);
        attempt.written += before.written;
        attempt.exact &= before.exact;
        attempt.drops += before.drops;
        attempt.passes += before.passes;
        attempt.retransmits += before.retransmits;
        attempt.reason = Some(cause::find_from(&attempt, None, &traces));
        (attempt, traces)
    }

    /// Lets go of the calls that `attempt` is about.
    pub(super) fn of(attempt: &Attempt<'_>, traces: Traces) -> Option<Self> {
        let (from, to) = (*attempt.calls.first()?, *attempt.calls.last()?);
        Some(Self {
            range: attempt.range.clone(),
            from,
            to,
            begun: attempt.begun,
            first_tx: attempt.first_tx,
            acked: attempt.acked,
            written: attempt.written,
            exact: attempt.exact,
            drops: attempt.drops,
            passes: attempt.passes,
            retransmits: attempt.retransmits,
            traces,
            reason: cause::find_from(attempt, None, &traces),
        })
    }

    /// All of it, if it ends here.
    pub(super) fn ended<'a>(&self, flow: &'a FlowRecord, facts: &Facts) -> Attempt<'a> {
        let none = self.range.end..self.range.end;
        let group = Group {
            flow: 0,
            range: none,
            written: 0,
            exact: self.exact,
            from: self.from,
            to: self.to,
            calls: (0, 0),
        };
        let attempt = Attempt::of_group(flow, &group, facts);
        Attempt {
            range: self.range.clone(),
            begun: self.begun,
            first_tx: self.first_tx,
            acked: self.acked,
            written: self.written,
            drops: self.drops,
            passes: self.passes,
            retransmits: self.retransmits,
            settled: self.acked.or(flow.closed).unwrap_or(facts.end),
            reason: Some(self.reason),
            ..attempt
        }
    }
}
