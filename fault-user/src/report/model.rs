//! report.json, field for field as the contract has it; every other format is made from this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verdict::{Cause, Confidence, Outcome, Verdict};

/// Version of the layout of report.json.
pub const SCHEMA: u32 = 1;

/// A finished (or stopped) run. All `_ms` are relative to t = 0 of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub name: String,
    /// The scenario file, as it was named on the command line.
    pub scenario: String,
    pub seed: u64,
    pub result: RunResult,
    /// RFC 3339.
    pub started: String,
    pub duration_ms: f64,
    /// `uname -r`.
    pub kernel: String,
    pub backends: Backends,
    /// What the delay line did; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineReport>,
    pub steps: Vec<StepReport>,
    pub flows: Vec<FlowReport>,
    pub sends: Vec<SendReport>,
    /// Sends that are not in `sends` but in `sends.jsonl.zst`: of a run with more than 100 000 of them those that were
    /// delivered (or that no outcome line claims) and that no fault had a part in, and others beyond 100 000.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sends_omitted: u64,
    /// Number of sends per verdict; every verdict is there, zeros too.
    pub verdicts: BTreeMap<String, u64>,
    pub evidence: Evidence,
    pub expectations: Vec<ExpectationReport>,
    pub events: EventTotals,
    /// What `dropped.pcapng` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureReport>,
    /// Whether all of it adds up; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditReport>,
    pub apps: Vec<AppReport>,
    /// What was armed, and how often it met and acted on a packet.
    pub faults: Vec<FaultReport>,
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    Passed,
    Failed,
    Error,
    Interrupted,
}

/// Which of several mechanisms did the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backends {
    /// `tcx` or `clsact`.
    pub hook: String,
    /// `fq`, `tap` or `none`.
    pub line: String,
}

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    pub name: String,
    /// For `at` steps; null for those that wait for something.
    pub planned_ms: Option<f64>,
    /// When it took effect; null if it never did.
    pub armed_ms: Option<f64>,
    pub lifted_ms: Option<f64>,
    /// What it does, in one line.
    pub what: String,
}

/// One socket: a flow of the scenario, or a bystander of one of its apps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Name of the `[[flow]]`, or `APP/N` for the Nth other connection of an app.
    pub name: String,
    /// False for sockets that no `[[flow]]` selects.
    pub selected: bool,
    pub app: String,
    pub pid: u32,
    pub comm: String,
    pub cookie: u64,
    pub protocol: String,
    pub local: String,
    pub remote: String,
    /// Null if it was open before the run.
    pub opened_ms: Option<f64>,
    pub closed_ms: Option<f64>,
    pub egress: Counters,
    pub ingress: Counters,
    /// As TCP itself counts them (total_retrans).
    pub retransmits: u64,
    /// Smallest measured round trip, ms.
    pub min_rtt_ms: Option<f64>,
    /// Events of it that were lost; absent if none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostReport>,
}

/// Events of a socket for which the controller had no room: what it had to say of it then is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LostReport {
    /// How many.
    pub events: u64,
    /// The first and the last.
    pub first_ms: f64,
    pub last_ms: f64,
}

/// Packets as on the wire (a super-packet of 45 segments counts 45); `bytes` are IP bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub packets: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub delayed: u64,
    pub corrupted: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub reset: u64,
}

/// The delay line, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineReport {
    /// Frames that a fault had held, and that went on.
    pub released: u64,
    /// How much later than planned they did, us.
    pub late_p50_us: f64,
    pub late_p99_us: f64,
    pub late_max_us: f64,
    /// Most bytes held at a time.
    pub most_held_bytes: u64,
    /// Packets of the stack that found its queue full, and were lost.
    pub missed: u64,
}

/// One send: a message of the app, or bytes that no message claims.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendReport {
    pub app: String,
    /// Null for sends that no outcome line claims.
    pub id: Option<String>,
    /// The flow of its first attempt; null when the app reported it but no byte was ever sent.
    pub flow: Option<String>,
    /// Its socket; a flow may stand for several.
    #[serde(default)]
    pub cookie: Option<u64>,
    pub outcome: Outcome,
    pub verdict: Verdict,
    pub cause: Cause,
    /// The rule that hit it, as `STEP: flow direction fault`.
    pub rule: Option<String>,
    pub confidence: Confidence,
    pub started_ms: f64,
    pub finished_ms: f64,
    /// Bytes of the stream that carried it (headers and TLS of the app included).
    pub bytes: u64,
    /// Byte range in the stream of `flow`, from 0 at its first payload byte.
    pub stream: Option<[u64; 2]>,
    pub first_sent_ms: Option<f64>,
    pub acked_ms: Option<f64>,
    /// Copies of its bytes that were dropped, as packets on the wire.
    pub drops: u64,
    /// Copies of its bytes beyond the first.
    pub retransmits: u64,
    /// Flows it was tried on, in order.
    pub via: Vec<String>,
    /// Why, in one line for people.
    pub why: String,
}

/// Where the byte ranges of sends come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `sock_send_length`, `fexit`, `sys_exit` or `syscalls`.
    pub tier: String,
    pub blind_spots: Vec<String>,
}

/// One `[[expect]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationReport {
    pub text: String,
    pub held: bool,
    pub observed: String,
}

/// The event stream's own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTotals {
    pub recorded: u64,
    pub lost: u64,
}

/// `dropped.pcapng`, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureReport {
    /// Packets in it.
    pub packets: u64,
    /// Bytes of each that were kept at most.
    pub snaplen: u32,
    /// Faulted packets beyond `capture.max`.
    pub beyond: u64,
    /// Those whose bytes found no room in the ring.
    pub lost: u64,
}

/// What was looked at after the run, and what does not add up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Events.
    pub events: u64,
    /// Decisions of the hook that were made again, with the same result unless a finding says otherwise.
    pub decisions: u64,
    /// Those of which the events do not have all that they were made from.
    pub undecided: u64,
    /// Verdicts that were made again: 0 in the run's own audit, which is the one that made them.
    pub verdicts: u64,
    pub findings: Vec<String>,
}

/// One app of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppReport {
    pub name: String,
    pub pid: Option<u32>,
    pub ready_ms: Option<f64>,
    pub exited_ms: Option<f64>,
    /// `exit 0`, `signal 9 (SIGKILL)`, `stopped by the run`, ...
    pub status: String,
}

/// One armed fault in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    pub step: String,
    pub flow: String,
    pub direction: String,
    /// As in the scenario, e.g. `drop = 1`.
    pub fault: String,
    /// Packets on the wire that it judged, and those it acted on.
    pub matched: u64,
    pub acted: u64,
}
