//! Reports for the tests of the formats.

mod hostile;

use std::collections::BTreeMap;

use super::model::*;
pub(crate) use hostile::hostile;

use crate::verdict::{Cause, Confidence, Outcome, Verdict};

/// A short run in which nothing went wrong.
pub(crate) fn quiet() -> Report {
    let sends = vec![send("msg-1", Verdict::Delivered, 500.0, "acked after 12 ms")];
    Report {
        schema: SCHEMA,
        name: "all is well".to_owned(),
        scenario: "scenarios/demo.toml".to_owned(),
        seed: 7,
        result: RunResult::Passed,
        started: "2026-11-21T08:00:00Z".to_owned(),
        duration_ms: 2_000.0,
        kernel: "6.18.0".to_owned(),
        backends: Backends { hook: "tcx".to_owned(), line: "none".to_owned() },
        line: None,
        steps: Vec::new(),
        flows: vec![flow("chat", 41_000, [12, 0], [11, 0])],
        sends_omitted: 0,
        verdicts: verdicts(&sends),
        sends,
        evidence: Evidence { tier: "fexit".to_owned(), blind_spots: Vec::new() },
        expectations: vec![expectation("silent_loss at most 0", true, "0 of 1 send silent_loss")],
        events: EventTotals { recorded: 40, lost: 0 },
        capture: None,
        audit: None,
        apps: vec![app("sender", "exit 0", 1_900.0)],
        faults: Vec::new(),
        warnings: Vec::new(),
    }
}

/// One of two connections dies silently, and the app goes on sending into it.
pub(crate) fn outage() -> Report {
    let sends = outage_sends();
    Report {
        name: "the unidentified websocket dies silently".to_owned(),
        scenario: "scenarios/silent-websocket.toml".to_owned(),
        result: RunResult::Failed,
        duration_ms: 180_000.0,
        steps: vec![
            step("outage", Some(10_000.2), Some(160_000.1), "both unidentified: drop = 1"),
            step("recovery", Some(170_000.0), None, "clear all, exec ./send-one.sh hello"),
            step("epilogue", None, None, "clear all"),
        ],
        flows: outage_flows(),
        sends_omitted: 0,
        verdicts: verdicts(&sends),
        sends,
        evidence: Evidence {
            tier: "fexit".to_owned(),
            blind_spots: vec!["sendfile".to_owned(), "io_uring with registered buffers".to_owned()],
        },
        expectations: vec![
            expectation(
                "silent_loss of sender: at most 0",
                false,
                "3 of 12 sends silent_loss (expected at most 0): msg-3, msg-4, msg-5",
            ),
            expectation(
                "unidentified closed within 110 s of step outage",
                true,
                "closed at 100.2 s, 90.0 s after step \"outage\"",
            ),
        ],
        events: EventTotals { recorded: 812, lost: 3 },
        audit: Some(AuditReport {
            events: 812,
            decisions: 57,
            undecided: 0,
            verdicts: 0,
            findings: Vec::new(),
        }),
        capture: Some(CaptureReport { packets: 9, snaplen: 256, beyond: 0, lost: 0 }),
        apps: vec![
            app("sender", "exit 0", 171_500.0),
            app("receiver", "stopped by the run", 180_000.0),
        ],
        faults: vec![fault("egress", 45, 45), fault("ingress", 12, 12)],
        warnings: vec![
            "3 events were lost between 20.0 s and 20.1 s: raise the event buffer".to_owned(),
        ],
        ..quiet()
    }
}

fn outage_flows() -> Vec<FlowReport> {
    vec![
        flow("identified", 41_000, [80, 0], [78, 0]),
        FlowReport {
            closed_ms: Some(100_200.0),
            retransmits: 12,
            ..flow("unidentified", 41_002, [57, 45], [24, 12])
        },
        FlowReport { selected: false, ..flow("sender/1", 41_004, [9, 0], [8, 0]) },
    ]
}

fn outage_sends() -> Vec<SendReport> {
    let lost = "every copy of its 120 bytes was dropped (outage: unidentified egress drop = 1)";
    let mut sends = vec![
        send("msg-1", Verdict::Delivered, 2_000.0, "acked after 12 ms"),
        send("msg-2", Verdict::Delivered, 8_000.0, "acked after 12 ms"),
        send("msg-3", Verdict::SilentLoss, 12_000.0, lost),
        send("msg-4", Verdict::SilentLoss, 40_000.0, lost),
        send("msg-5", Verdict::SilentLoss, 70_000.0, lost),
        send("msg-6", Verdict::CleanFailure, 99_000.0, "the socket closed before a byte got out"),
        send("msg-7", Verdict::Rerouted, 110_000.0, "lost on unidentified, acked on identified"),
        send(
            "message-number-8",
            Verdict::Late,
            150_000.0,
            "acked after 10.2 s, past the limit of 1.0 s",
        ),
        send("msg-9", Verdict::Delivered, 171_000.0, "acked after 12 ms"),
    ];
    for send in &mut sends[2..6] {
        send.flow = Some("unidentified".to_owned());
        send.drops = 7;
    }
    let keepalive = |at| SendReport { id: None, ..send("", Verdict::Unlogged, at, "") };
    sends.extend([5_000.0, 65_000.0, 125_000.0].map(keepalive));
    sends
}

pub(crate) fn send(id: &str, verdict: Verdict, started_ms: f64, why: &str) -> SendReport {
    SendReport {
        app: "sender".to_owned(),
        id: Some(id.to_owned()),
        flow: Some("identified".to_owned()),
        cookie: Some(1),
        outcome: Outcome::Ok,
        verdict,
        cause: Cause::Untouched,
        rule: None,
        confidence: Confidence::Exact,
        started_ms,
        finished_ms: started_ms + 20.0,
        bytes: 120,
        stream: Some([0, 120]),
        first_sent_ms: Some(started_ms + 0.1),
        acked_ms: (verdict == Verdict::Delivered).then_some(started_ms + 12.0),
        drops: 0,
        retransmits: 0,
        via: Vec::new(),
        why: why.to_owned(),
    }
}

pub(crate) fn flow(name: &str, port: u16, egress: [u64; 2], ingress: [u64; 2]) -> FlowReport {
    let counters = |[packets, dropped]: [u64; 2]| Counters {
        packets,
        bytes: packets * 100,
        dropped,
        ..Counters::default()
    };
    FlowReport {
        name: name.to_owned(),
        selected: true,
        app: "sender".to_owned(),
        pid: 4242,
        comm: "messenger".to_owned(),
        cookie: u64::from(port),
        protocol: "tcp".to_owned(),
        local: format!("127.0.0.1:{port}"),
        remote: "127.0.0.1:8443".to_owned(),
        opened_ms: Some(120.0),
        closed_ms: None,
        egress: counters(egress),
        ingress: counters(ingress),
        retransmits: 0,
        min_rtt_ms: Some(0.2),
        lost: None,
    }
}

fn verdicts(sends: &[SendReport]) -> BTreeMap<String, u64> {
    let count = |v: Verdict| sends.iter().filter(|s| s.verdict == v).count() as u64;
    Verdict::ALL.into_iter().map(|v| (v.name().to_owned(), count(v))).collect()
}

fn step(name: &str, armed_ms: Option<f64>, lifted_ms: Option<f64>, what: &str) -> StepReport {
    StepReport {
        name: name.to_owned(),
        planned_ms: armed_ms,
        armed_ms,
        lifted_ms,
        what: what.to_owned(),
    }
}

fn expectation(text: &str, held: bool, observed: &str) -> ExpectationReport {
    ExpectationReport { text: text.to_owned(), held, observed: observed.to_owned() }
}

fn app(name: &str, status: &str, exited_ms: f64) -> AppReport {
    AppReport {
        name: name.to_owned(),
        pid: Some(4242),
        ready_ms: Some(-3.0),
        exited_ms: Some(exited_ms),
        status: status.to_owned(),
    }
}

fn fault(direction: &str, matched: u64, acted: u64) -> FaultReport {
    FaultReport {
        step: "outage".to_owned(),
        flow: "unidentified".to_owned(),
        direction: direction.to_owned(),
        fault: "drop = 1".to_owned(),
        matched,
        acted,
    }
}
