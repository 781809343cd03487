//! Verdicts as the entries of report.json.

use std::collections::BTreeMap;

use super::attempts::Attempt;
use super::cause::{self, Reason};
use super::unlogged::Group;
use super::{Facts, Judged, unaccounted, verdict, why};
use crate::ledger::flow::FlowRecord;
use crate::report::model::SendReport;
use crate::verdict::{Cause, Confidence, Outcome, Verdict};

/// What all entries of one app have in common.
pub(super) struct Context<'a> {
    pub facts: &'a Facts,
    /// The flows of the app.
    pub mine: &'a [&'a FlowRecord],
    pub sockets: &'a BTreeMap<u64, String>,
    /// Sends of the app that no message claims.
    pub rest: &'a [Group],
    /// Bytes of the largest such that was let go.
    pub let_go: u64,
}

impl Context<'_> {
    /// The entry of a message, and a warning if it contradicts what people would expect. `later`:
    /// attempts of later outcome lines with the same id.
    pub(super) fn message(&self, j: &Judged, later: &[&Attempt]) -> (SendReport, Option<String>) {
        let message = j.message;
        let judgement = verdict::judge(message.outcome, &j.attempts, later);
        let gap = self.in_gap(j) || self.may_be_among_the_rest(j) || self.unaccounted(j);
        let since = message.timing_given.then_some(message.t0);
        let about = judgement.about.map(|i| &j.attempts[i]);
        let reason = about.map(|a| cause::find(a, since));
        let mut send = self.common(message.app, j.attempts.first(), reason);
        send.id = Some(message.id.clone());
        send.outcome = message.outcome;
        send.verdict = match message.outcome {
            Outcome::None => Verdict::Unlogged,
            _ if gap => Verdict::Unknown,
            _ => judgement.verdict,
        };
        let shared = j.shared || !j.attempts.iter().all(|a| a.exact);
        send.confidence = match (gap, shared) {
            (true, _) => Confidence::Gap,
            (false, true) => Confidence::Overlap,
            (false, false) => Confidence::Exact,
        };
        self.evidence(&mut send, j, later);
        let all: Vec<&Attempt> = j.attempts.iter().chain(later.iter().copied()).collect();
        send.why = self.why(j, about.zip(reason), all, send.verdict);
        let warning = self.warning(&send, j);
        (send, warning)
    }

    fn in_gap(&self, j: &Judged) -> bool {
        let known = |cookie: u64| self.sockets.contains_key(&cookie);
        verdict::in_gap(j.message, &j.attempts, self.mine, known, self.facts)
    }

    /// Whether a message that seems to have sent nothing may be one of the sends that nobody
    /// claims: its line came long after it, from a buffer. Then nothing is proven.
    fn may_be_among_the_rest(&self, j: &Judged) -> bool {
        let message = j.message;
        let fits = |g: &Group| g.from <= message.t1 && g.written >= message.bytes.unwrap_or(1);
        let before = self.let_go > 0 && self.let_go >= message.bytes.unwrap_or(1);
        j.attempts.is_empty() && (before || self.rest.iter().any(fits))
    }

    /// Whether a message that seems to have sent nothing may be bytes that no call on record wrote.
    fn unaccounted(&self, j: &Judged) -> bool {
        j.attempts.is_empty() && unaccounted::left(self.mine, j.message)
    }

    /// Times and counts over all attempts of a message.
    fn evidence(&self, send: &mut SendReport, j: &Judged, later: &[&Attempt]) {
        let own = &j.attempts;
        (send.started_ms, send.finished_ms) = (self.ms(j.message.t0), self.ms(j.message.t1));
        send.first_sent_ms = own.iter().filter_map(|a| a.first_tx).min().map(|t| self.ms(t));
        // Only a rerouted message owes its ack to another outcome line.
        let joined = if send.verdict == Verdict::Rerouted { later } else { &[] };
        let acks = own.iter().chain(joined.iter().copied()).filter_map(|a| a.acked);
        send.acked_ms = acks.min().map(|t| self.ms(t));
        send.drops = own.iter().map(|a| a.drops).sum();
        send.retransmits = own.iter().map(|a| a.retransmits).sum();
        send.via = self.via(own.iter().chain(later.iter().copied()));
    }

    /// The entry of sends that no message claims.
    pub(super) fn unlogged(&self, attempt: &Attempt) -> SendReport {
        let reason = cause::find(attempt, None);
        let mut send = self.common(attempt.flow.app, Some(attempt), Some(reason));
        if attempt.in_gap(attempt.begun, &self.facts.gaps) {
            send.confidence = Confidence::Gap;
        } else if !attempt.exact {
            send.confidence = Confidence::Overlap;
        }
        let text = why::attempt(attempt, reason, &self.facts.names, self.facts.end);
        send.why = format!("no outcome line is about it: {text}");
        send
    }

    fn common(&self, app: u32, first: Option<&Attempt>, reason: Option<Reason>) -> SendReport {
        let written = first.filter(|a| !a.range.is_empty());
        let stream = written.filter(|a| a.range.start >= 0);
        let ends = first.and_then(|a| Some((*a.calls.first()?, *a.calls.last()?)));
        SendReport {
            app: self.facts.names.app(app),
            id: None,
            flow: first.map(|a| self.name(a.flow)),
            cookie: first.map(|a| a.flow.cookie),
            outcome: Outcome::None,
            verdict: Verdict::Unlogged,
            cause: reason.map_or(Cause::Untouched, |r| r.cause),
            rule: reason.and_then(|r| r.rule).map(|r| self.facts.names.rule(r)),
            confidence: Confidence::Exact,
            started_ms: ends.map_or(0.0, |(from, _)| self.ms(from)),
            finished_ms: ends.map_or(0.0, |(_, to)| self.ms(to)),
            bytes: first.map_or(0, |a| a.written),
            stream: stream.map(|a| [a.range.start as u64, a.range.end as u64]),
            first_sent_ms: first.and_then(|a| a.first_tx).map(|t| self.ms(t)),
            acked_ms: first.and_then(|a| a.acked).map(|t| self.ms(t)),
            drops: first.map_or(0, |a| a.drops),
            retransmits: first.map_or(0, |a| a.retransmits),
            via: self.via(first.into_iter()),
            why: String::new(),
        }
    }

    fn why(
        &self,
        j: &Judged,
        about: Option<(&Attempt, Reason)>,
        all: Vec<&Attempt>,
        verdict: Verdict,
    ) -> String {
        let said = why::said(j.message);
        let Some((about, reason)) = about else {
            if self.may_be_among_the_rest(j) {
                return format!(
                    "no send was found in its time, and others are unclaimed: does the app buffer \
                     its output? {said}"
                );
            }
            if self.unaccounted(j) {
                return format!(
                    "no send was found in its time, but bytes left that no call on record wrote (a blind spot of \
                     the evidence); {said}"
                );
            }
            return format!("no byte of it was ever handed to a socket; {said}");
        };
        let mut text = why::attempt(about, reason, &self.facts.names, self.facts.end);
        text = format!("{text}; {said}");
        let acked: Vec<_> = all.iter().filter(|a| a.acked.is_some()).collect();
        if let (Verdict::Rerouted, Some(to)) = (verdict, acked.first()) {
            text = format!(
                "on {}: {text}; then sent and acknowledged on {}",
                self.name(about.flow),
                self.name(to.flow)
            );
        } else if acked.len() > 1 {
            let names: Vec<_> = acked.iter().map(|a| self.name(a.flow)).collect();
            text = format!("{text}; duplicate: acknowledged on {}", names.join(" and "));
        }
        if verdict == Verdict::Unknown {
            text = format!("events were lost around it, so this is not certain: {text}");
        }
        text
    }

    fn warning(&self, send: &SendReport, j: &Judged) -> Option<String> {
        let nothing = j.attempts.is_empty() && send.outcome == Outcome::Ok;
        let (app, id) = (&send.app, &j.message.id);
        if nothing && self.may_be_among_the_rest(j) {
            return Some(format!(
                "app {app} says ok for `{id}`, but no send was found in its time: if the app buffers \
                 its output, its lines come too late to be matched (write them unbuffered)"
            ));
        }
        if !nothing || send.verdict == Verdict::Unknown {
            return None;
        }
        let passed_over = match j.foreign {
            0 => String::new(),
            n => format!(
                " ({n} other sends in its time were not taken for it: check `bytes` in [app.outcomes])"
            ),
        };
        Some(format!("app {app} says ok for `{id}` but sent nothing{passed_over}"))
    }

    fn via<'i, 'a: 'i>(&self, attempts: impl Iterator<Item = &'i Attempt<'a>>) -> Vec<String> {
        attempts.map(|a| self.name(a.flow)).collect()
    }

    fn name(&self, flow: &FlowRecord) -> String {
        self.sockets.get(&flow.cookie).cloned().unwrap_or_else(|| flow.cookie.to_string())
    }

    /// Relative to t = 0 of the run.
    pub(super) fn ms(&self, ts: u64) -> f64 {
        (i128::from(ts) - i128::from(self.facts.t0)) as f64 / 1e6
    }
}
