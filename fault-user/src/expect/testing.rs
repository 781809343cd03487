//! Small runs for the tests of the expectations.

use std::time::Duration;

use super::{AppFacts, Facts, Finding, LogLine, Tally};
use crate::report::model::{Counters, FlowReport, SendReport, StepReport};
use crate::scenario::model::{AppId, Bounds};
use crate::verdict::{Cause, Confidence, Outcome, Verdict};

pub(super) const SENDER: AppId = AppId(0);
pub(super) const RECEIVER: AppId = AppId(1);

/// A run of two apps, one flow ("chat") and two steps: "outage", armed at 10 s, and "recovery",
/// which never happened.
pub(super) struct Run {
    pub(super) apps: Vec<AppFacts>,
    pub(super) flow_names: Vec<String>,
    pub(super) flows: Vec<FlowReport>,
    pub(super) steps: Vec<StepReport>,
    pub(super) sends: Vec<SendReport>,
    pub(super) log: Vec<LogLine>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            apps: vec![app("sender", Some(0), Some(90_000.0)), app("receiver", None, None)],
            flow_names: vec!["chat".to_owned()],
            flows: Vec::new(),
            steps: vec![step("outage", Some(10_000.0)), step("recovery", None)],
            sends: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn sends(mut self, sends: impl IntoIterator<Item = SendReport>) -> Self {
        self.sends.extend(sends);
        self
    }

    pub(super) fn flows(mut self, flows: impl IntoIterator<Item = FlowReport>) -> Self {
        self.flows.extend(flows);
        self
    }

    pub(super) fn line(mut self, app: AppId, t_ms: f64, line: &str) -> Self {
        self.log.push(LogLine { app, t_ms, line: line.to_owned() });
        self
    }

    /// The run lasts 100 s.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            apps: &self.apps,
            flow_names: &self.flow_names,
            flows: &self.flows,
            steps: &self.steps,
            // A test that leaks a few bytes is as good as one that does not.
            sends: Box::leak(Box::new(Tally::of(&self.sends))),
            duration_ms: 100_000.0,
            log: &self.log,
        }
    }
}

pub(super) fn app(name: &str, exit_code: Option<i32>, exited_ms: Option<f64>) -> AppFacts {
    let status = exit_code.map_or("running".to_owned(), |code| format!("exit {code}"));
    AppFacts { name: name.to_owned(), exit_code, exited_ms, asked_to_end: false, status }
}

fn step(name: &str, armed_ms: Option<f64>) -> StepReport {
    StepReport {
        name: name.to_owned(),
        planned_ms: None,
        armed_ms,
        lifted_ms: None,
        what: String::new(),
    }
}

/// A send of "sender" whose outcome fits its verdict.
pub(super) fn send(id: &str, verdict: Verdict) -> SendReport {
    let outcome = match verdict {
        Verdict::Unlogged => Outcome::None,
        Verdict::FalseFailure | Verdict::CleanFailure | Verdict::AmbiguousFailure => {
            Outcome::Failed
        }
        _ => Outcome::Ok,
    };
    SendReport {
        app: "sender".to_owned(),
        id: (verdict != Verdict::Unlogged).then(|| id.to_owned()),
        flow: Some("chat".to_owned()),
        cookie: Some(1),
        outcome,
        verdict,
        cause: Cause::Untouched,
        rule: None,
        confidence: Confidence::Exact,
        started_ms: 0.0,
        finished_ms: 0.0,
        bytes: 10,
        stream: None,
        first_sent_ms: None,
        acked_ms: None,
        drops: 0,
        retransmits: 0,
        via: Vec::new(),
        why: String::new(),
    }
}

pub(super) fn acked(id: &str, at_ms: f64) -> SendReport {
    SendReport { acked_ms: Some(at_ms), ..send(id, Verdict::Delivered) }
}

/// A socket of "chat"; the cookie is made from the times, so that sockets differ.
pub(super) fn socket(opened_ms: f64, closed_ms: Option<f64>) -> FlowReport {
    FlowReport {
        name: "chat".to_owned(),
        selected: true,
        app: "sender".to_owned(),
        pid: 1,
        comm: "sender".to_owned(),
        cookie: opened_ms.to_bits() ^ closed_ms.unwrap_or(1.0).to_bits(),
        protocol: "tcp".to_owned(),
        local: format!("127.0.0.1:{}", opened_ms.abs()),
        remote: "127.0.0.1:443".to_owned(),
        opened_ms: Some(opened_ms),
        closed_ms,
        egress: Counters::default(),
        ingress: Counters::default(),
        retransmits: 0,
        min_rtt_ms: None,
        lost: None,
    }
}

pub(super) fn at_most(x: f64) -> Bounds {
    Bounds { at_least: None, at_most: Some(x) }
}

pub(super) fn at_least(x: f64) -> Bounds {
    Bounds { at_least: Some(x), at_most: None }
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[track_caller]
pub(super) fn assert_held(finding: &Finding, observed: &str) {
    assert_eq!((finding.held, finding.observed.as_str()), (true, observed));
}

#[track_caller]
pub(super) fn assert_failed(finding: &Finding, observed: &str) {
    assert_eq!((finding.held, finding.observed.as_str()), (false, observed));
}
