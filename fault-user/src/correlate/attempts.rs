//! What became of one try to send some bytes on one flow.

use std::ops::Range;

use fault_common::rule::Direction;

use super::cause::Reason;
use super::messages::Claim;
use super::unlogged::Group;
use super::{Facts, Gap, LATE_AT_LEAST};
use crate::ledger::datagrams::UDP;
use crate::ledger::flow::FlowRecord;
use crate::ledger::stream::RangeSet;

/// The column of the contract's verdict table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    InTime,
    Late,
    /// A copy of every byte went out, no ack came back.
    Left,
    /// Some byte never left, and will not any more.
    Never,
    /// Nothing is decided yet.
    Open,
}

/// Bytes of one flow, and their fate. Times are CLOCK_MONOTONIC ns.
#[derive(Debug, Clone)]
pub(super) struct Attempt<'a> {
    pub flow: &'a FlowRecord,
    pub range: Range<i64>,
    /// Bytes written into that range.
    pub written: u64,
    /// Whether nobody else's bytes are in it.
    pub exact: bool,
    /// Whether all of the message was written.
    pub complete: bool,
    /// errno of the call that cut it off.
    pub errno: Option<i32>,
    /// The earliest trace of it: return of its first send call or its first packet.
    pub begun: u64,
    /// When its send calls returned.
    pub calls: Vec<u64>,
    pub first_tx: Option<u64>,
    /// First ack of its last byte (of a complete attempt).
    pub acked: Option<u64>,
    /// Dropped copies, as packets on the wire, up to the ack.
    pub drops: u64,
    /// Copies that were let through, likewise.
    pub passes: u64,
    /// Copies of bytes that had been sent before, likewise.
    pub retransmits: u64,
    /// Until when the flow could still do something for it: ack, close, or end of the run.
    pub settled: u64,
    pub fate: Fate,
    /// Its cause, where that was found before part of the evidence was let go.
    pub reason: Option<Reason>,
}

impl<'a> Attempt<'a> {
    /// `since`: when the app began, if it says so.
    pub(super) fn of_claim(
        flow: &'a FlowRecord,
        claim: &Claim,
        since: Option<u64>,
        facts: &Facts,
    ) -> Self {
        let calls: Vec<_> = claim.sends.iter().map(|&s| &flow.sends[s]).collect();
        let wrote: Vec<_> = calls.iter().filter(|c| !c.is_empty()).collect();
        let start = wrote.iter().map(|c| c.range.start).min();
        let range = match start.zip(wrote.iter().map(|c| c.range.end).max()) {
            Some((start, end)) => start..end,
            None => calls[0].range.clone(),
        };
        let times = calls.iter().map(|c| c.ts).collect();
        let errno = calls.last().and_then(|c| c.error);
        let mut attempt = Self::new(flow, range, times, facts.end);
        attempt.written = wrote.iter().map(|c| c.len()).sum();
        attempt.exact = calls.iter().all(|c| c.exact);
        (attempt.complete, attempt.errno) = (claim.complete, errno);
        attempt.judge(since, facts);
        attempt
    }

    /// Bytes that no message claims.
    pub(super) fn of_group(flow: &'a FlowRecord, group: &Group, facts: &Facts) -> Self {
        let times = vec![group.from, group.to];
        let mut attempt = Self::new(flow, group.range.clone(), times, facts.end);
        (attempt.written, attempt.exact) = (group.written, group.exact);
        attempt.judge(None, facts);
        attempt
    }

    fn new(flow: &'a FlowRecord, range: Range<i64>, calls: Vec<u64>, end: u64) -> Self {
        let called = calls.first().copied().unwrap_or(end);
        let acked = if range.is_empty() { None } else { flow.acked_at(range.end) };
        let settled = acked.or(flow.closed).unwrap_or(end);
        let first_tx = flow.copies_of(&range).map(|c| c.ts).next();
        let mut attempt = Self {
            flow,
            written: 0,
            exact: true,
            complete: true,
            errno: None,
            begun: first_tx.map_or(called, |tx| tx.min(called)),
            calls,
            first_tx,
            acked,
            drops: 0,
            passes: 0,
            retransmits: 0,
            settled,
            fate: Fate::Open,
            reason: None,
            range,
        };
        attempt.count();
        attempt
    }

    fn count(&mut self) {
        let mut seen = RangeSet::new();
        for copy in self.flow.copies_of(&self.range).filter(|c| c.ts <= self.settled) {
            let segs = copy.segs_in(&self.range);
            let own = copy.range.start.max(self.range.start)..copy.range.end.min(self.range.end);
            let again = seen.within(&own);
            if let (Some(first), Some(last)) = (again.first(), again.last()) {
                self.retransmits += copy.segs_in(&(first.start..last.end));
            }
            seen.insert(own);
            if copy.dropped { self.drops += segs } else { self.passes += segs }
        }
    }

    fn judge(&mut self, since: Option<u64>, facts: &Facts) {
        self.fate = self.find_fate(since, facts);
        if !self.complete {
            // What the peer has is not the message.
            self.acked = None;
        }
    }

    /// Whether nothing that comes after `until` (ns) changes what is known of it; datagrams, which nobody
    /// acknowledges, by `datagrams`.
    pub(super) fn is_settled(&self, until: u64, datagrams: u64, facts: &Facts) -> bool {
        let flow = self.flow;
        if self.range.is_empty() || flow.closed.is_some_and(|at| at <= until) {
            return true;
        }
        if flow.proto == UDP {
            return self.calls.last().is_some_and(|&ts| ts <= datagrams);
        }
        let Some(at) = flow.acked_at(self.range.end) else { return false };
        // A shorter round trip than any so far would make it late.
        let waited = at.saturating_sub(self.begun);
        facts.late_after.is_some() || waited <= LATE_AT_LEAST || waited > facts.late_after(flow)
    }

    fn find_fate(&self, since: Option<u64>, facts: &Facts) -> Fate {
        if !self.complete {
            return Fate::Never;
        }
        if let Some(at) = self.acked {
            let waited = at.saturating_sub(since.unwrap_or(self.begun));
            let late = waited > facts.late_after(self.flow) || self.needed_again(at);
            return if late { Fate::Late } else { Fate::InTime };
        }
        let closed = self.flow.closed.is_some();
        let all_left = self.unsent().is_empty();
        // Nobody sends a datagram again: one that was lost before it left is lost.
        if self.flow.proto == UDP && !all_left && self.drops > 0 {
            return Fate::Never;
        }
        match (closed, all_left) {
            (true, true) => Fate::Left,
            (true, false) => Fate::Never,
            (false, true) if facts.armed(self.flow, Direction::Ingress) => Fate::Left,
            (false, false) if facts.armed(self.flow, Direction::Egress) => Fate::Never,
            (false, _) => Fate::Open,
        }
    }

    /// Whether the ack took a retransmission: the first copy of one of its bytes was dropped. (A
    /// tail probe that repeats bytes which got through does not count.)
    fn needed_again(&self, acked: u64) -> bool {
        let mut seen = RangeSet::new();
        for copy in self.flow.copies_of(&self.range).filter(|c| c.ts <= acked) {
            let own = copy.range.start.max(self.range.start)..copy.range.end.min(self.range.end);
            if copy.dropped && !seen.covers(&own) {
                return true;
            }
            seen.insert(own);
        }
        false
    }

    /// Its unacknowledged bytes of which no copy was let through.
    pub(super) fn unsent(&self) -> Vec<Range<i64>> {
        let missing = self.range.start.max(self.flow.una().min(self.range.end))..self.range.end;
        self.flow.passed(&missing).gaps(&missing)
    }

    /// Whether what it rests on was on record all the time.
    pub(super) fn in_gap(&self, from: u64, gaps: &[Gap]) -> bool {
        let own = |g: &&Gap| g.cookie.is_none_or(|c| c == self.flow.cookie);
        gaps.iter().filter(own).any(|g| g.meets(from.min(self.begun), self.settled))
    }
}
