//! The validated scenario: what `validate` guarantees and everything after it relies on.
//!
//! Names are resolved to indices (`AppId`, `FlowId`, `StepId`), units to `Duration`, paths to
//! absolute ones. A value of these types cannot name something that is not there, and none of
//! the numbers is out of its range.

mod fault;
mod hello;
mod net;
mod via;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fault_common::condition::WHOLE_SHARE;
use fault_common::rule::Direction;

pub use fault::{
    Corrupt, Delay, Duplicate, Fault, Jitter, Limit, Loss, Pulse, Rate, Reject, Reorder, Replay,
    Segment, Shape, Side, Then, Trace, When,
};
pub use hello::{Hello, Text};
pub use net::{Net, Ports};
pub use via::{Backend, Line, Via, unfit_for_fq};

/// Index into [`Scenario::apps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub usize);

/// Index into [`Scenario::flows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub usize);

/// Index into [`Scenario::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// A whole scenario file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: String,
    /// Every random decision follows from it; drawn and reported when the file names none.
    pub seed: Option<u64>,
    /// Hard stop, counted from t = 0: faults are lifted then, come what may.
    pub duration: Option<Duration>,
    /// When an ack counts as late; `None`: 4 x the flow's smallest rtt, at least 1 s.
    pub late_after: Option<Duration>,
    /// How packets are delayed.
    pub line: Line,
    /// How much of faulted packets is kept.
    pub capture: Capture,
    /// Apps in starting order.
    pub apps: Vec<App>,
    pub flows: Vec<Flow>,
    /// Steps in the order of the file.
    pub steps: Vec<Step>,
    pub expects: Vec<Expect>,
}

/// How much of the packets that faults touch is kept for `dropped.pcapng`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// Bytes of a packet.
    pub snaplen: u32,
    /// Packets that were lost, and again as many that were touched otherwise; 0: none.
    pub max: u32,
}

impl Capture {
    /// Nothing is kept.
    pub const NONE: Self = Self { snaplen: 0, max: 0 };
}

impl Default for Capture {
    fn default() -> Self {
        Self { snaplen: 256, max: 10_000 }
    }
}

/// One `[[app]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    pub name: String,
    /// What runs already and is attached to; `None`: the run starts `command`.
    pub attach: Option<Attach>,
    /// Whether the children of the process that is attached to are the app's as well, and theirs: those that there are and
    /// those to come. Default: no.
    pub children: bool,
    /// Program and arguments; empty for an app that is attached to. Looked up in PATH when it has no slash,
    /// else relative to `cwd`.
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Absolute; default: the scenario file's directory.
    pub cwd: PathBuf,
    /// User name or uid; `None`: the invoking user (the one behind sudo).
    pub user: Option<String>,
    pub ready: Option<Ready>,
    /// Whether the run waits for its exit. The contract's default is resolved here.
    pub main: bool,
    /// Time between SIGTERM and SIGKILL at the end. Default 5 s.
    pub grace: Duration,
    /// Whether it is started at the beginning (default) or only by a step (`start = "app"`).
    pub autostart: bool,
    pub outcomes: Option<Outcomes>,
    pub stdio: Stdio,
}

/// An app that runs before the run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// The process with this id, from 1.
    Pid(i32),
    /// The only process with this name or program, or else whose command line this regular expression
    /// matches.
    Process(String),
    /// All processes in this cgroup and below: a path below the root of the cgroup2 hierarchy, or a name such as
    /// `x.service`.
    Cgroup(String),
    /// All processes of the container or pod whose id begins so, in small letters: found by the name of its cgroup.
    Container(String),
}

/// What an app's stdout and stderr are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdio {
    /// SOCK_SEQPACKET: lines carry the kernel's time of the app's own write, and
    /// `opened_after` is exact. The default.
    #[default]
    Socket,
    /// Plain pipes, for programs that reopen /dev/stdout by path (ENXIO on a socket).
    Pipe,
}

/// `ready = { log = "...", within = "30s" }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    pub log: Pattern,
    /// Default 30 s.
    pub within: Duration,
}

/// A regular expression that is known to compile.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// `[app.outcomes]`: how an app tells what became of a send.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    pub from: OutcomeSource,
    pub format: OutcomeFormat,
    /// Values of the status field that mean success.
    pub ok: Vec<String>,
    /// Values that mean failure; any other status is a warning, and counts as `none`.
    pub failed: Vec<String>,
    pub timing: OutcomeTiming,
}

/// Where outcome lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeSource {
    Stdout,
    Stderr,
    /// Absolute path.
    File(PathBuf),
}

/// How a line is taken apart. For JSON the names are dotted paths, for a regular
/// expression they are group names.
#[derive(Debug, Clone, PartialEq)]
pub enum OutcomeFormat {
    Json(OutcomeFields),
    Regex { pattern: Pattern, fields: OutcomeFields },
}

/// The fields of an outcome line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeFields {
    pub id: String,
    pub status: String,
    /// Payload size in bytes: lets a message be told from keepalives in the same window.
    pub bytes: Option<String>,
    /// Id of the message that this one repeats under an id of its own.
    pub retry_of: Option<String>,
}

/// How an app says when a send began and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeTiming {
    /// Field with the duration in milliseconds; the end is the moment of the line.
    ElapsedMs(String),
    /// Fields with wall-clock times (RFC 3339, or seconds or milliseconds since the epoch).
    Stamps { started: String, finished: Option<String> },
    /// Nothing given: from the app's previous outcome line (or its start) to this one.
    LineOnly,
}

/// One `[[flow]]`. All selectors that are given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub name: String,
    pub app: Option<AppId>,
    pub remote: Option<Remote>,
    /// Local address and/or port.
    pub local: Option<Local>,
    pub protocol: Protocol,
    /// The nth connection (from 1) opened to `remote` by `app`.
    pub nth: Option<u32>,
    /// `None`: not said, which is `connect` unless another selector names the very socket.
    pub opened: Option<Opened>,
    pub opened_after: Option<OpenedAfter>,
    /// The socket with this SO_COOKIE, open when the run starts.
    pub cookie: Option<u64>,
    /// The socket that this descriptor of the app refers to when the run starts.
    pub fd: Option<i32>,
    /// Real user id of who connected; of a socket that is open already, the owner of its file.
    pub uid: Option<u32>,
    /// Only sockets whose process is in this cgroup or below it; named as in [`Attach::Cgroup`].
    pub cgroup: Option<String>,
    /// What the first bytes that the client sends must say.
    pub hello: Option<Hello>,
    pub exclude: Vec<Exclude>,
    /// Only this part of the sockets that match, above 0 and at most 1.
    pub share: Option<f64>,
    /// How many sockets it may stand for at a time. Default 1, with `share` as many as there can be.
    pub max_flows: u32,
    /// When its socket closes, the next one that matches takes the role.
    pub follow: bool,
    /// How long to wait for it to appear once a step needs it. Default 30 s.
    pub within: Duration,
}

impl Flow {
    /// Whether it means sockets that are open when the run starts, and no other.
    pub fn is_open_already(&self) -> bool {
        self.cookie.is_some() || self.fd.is_some()
    }

    /// Its share as the programs have it, out of [`WHOLE_SHARE`].
    pub fn share_of_whole(&self) -> Option<u32> {
        // Of at most 1 it is at most 2^30.
        self.share.map(|share| (share * f64::from(WHOLE_SHARE)).ceil() as u32)
    }

    /// Whether only the first bytes that it sends tell if a socket is meant.
    pub fn waits_for_hello(&self) -> bool {
        self.hello.is_some() || self.exclude.iter().any(|e| e.hello.is_some())
    }
}

/// Sockets that a flow is never: all that is given must hold, as for a [`Flow`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclude {
    pub app: Option<AppId>,
    pub remote: Option<Remote>,
    pub local: Option<Local>,
    pub uid: Option<u32>,
    pub cgroup: Option<String>,
    pub hello: Option<Hello>,
    pub cookie: Option<u64>,
    pub fd: Option<i32>,
}

/// `remote = "host:ports"`; the host is a name, an IPv4 or a (bracketed) IPv6 address or network, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    pub host: Host,
    pub ports: Ports,
}

/// The host part of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Name(String),
    Net(Net),
    Any,
}

/// `local = "ip:ports"`, `":ports"` or `"ip"`, where the ip may be a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    pub net: Option<Net>,
    pub ports: Option<Ports>,
}

/// Transport protocol of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

/// Who opened the connection, seen from the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    Connect,
    Accept,
}

/// `opened_after = { log = "...", same = "process" | "thread" }`.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedAfter {
    pub log: Marker,
    pub same: Same,
}

/// A text to wait for in an app's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Marker {
    /// No regex metacharacter in it: found by the kernel inside the app's own write, exact.
    Literal(String),
    /// Found by the controller after the write: names the socket, but its SYN has left by then.
    Regex(Pattern),
}

impl Marker {
    /// Whether a line has it.
    pub fn is_in(&self, line: &str) -> bool {
        match self {
            Self::Literal(literal) => line.contains(literal.as_str()),
            Self::Regex(pattern) => pattern.0.is_match(line),
        }
    }
}

/// Whose next connect an `opened_after` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Same {
    /// The process that wrote the line (right for async runtimes). The default.
    #[default]
    Process,
    /// The very thread that wrote it.
    Thread,
}

/// One `[[step]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Given, or `step-N` (from 1).
    pub name: String,
    pub trigger: Trigger,
    /// Faults to arm, in stacking order; indices into the plan's rules follow this order.
    pub faults: Vec<FaultSpec>,
    /// `for`: lifted by itself after this long.
    pub lasts: Option<Duration>,
    pub clear: Clear,
    /// Command to run, without a shell; its failure fails the run.
    pub exec: Option<Vec<String>>,
    pub signal: Option<SignalSpec>,
    pub start: Option<AppId>,
    pub stop: Option<AppId>,
}

/// When a step happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// So long after t = 0.
    At(Duration),
    After {
        step: StepId,
        plus: Duration,
    },
    Log {
        log: Pattern,
        app: Option<AppId>,
    },
    Flow {
        flow: FlowId,
        state: FlowState,
    },
    Outcomes {
        app: AppId,
        count: u64,
    },
}

/// A state of a flow that a step may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// Its socket has been created (before the SYN).
    Opened,
    Established,
    Closed,
}

/// What a step lifts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Clear {
    #[default]
    Nothing,
    All,
    Flows(Vec<FlowId>),
}

/// `signal = { app = "...", name = "KILL" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalSpec {
    pub app: AppId,
    /// Signal number.
    pub signal: i32,
}

/// One entry of `faults`.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSpec {
    pub flow: FlowId,
    pub direction: DirectionSpec,
    pub fault: Fault,
    /// Which packets it means; default: all.
    pub when: When,
    /// On and off times; `None`: on for as long as it is armed.
    pub pulse: Option<Pulse>,
    /// The run does not fail when no packet met it.
    pub may_miss: bool,
}

/// `direction`, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectionSpec {
    Egress,
    Ingress,
    #[default]
    Both,
}

impl DirectionSpec {
    /// The directions it stands for.
    pub fn each(self) -> &'static [Direction] {
        match self {
            Self::Egress => &[Direction::Egress],
            Self::Ingress => &[Direction::Ingress],
            Self::Both => &[Direction::Egress, Direction::Ingress],
        }
    }
}

/// One `[[expect]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    pub what: ExpectWhat,
    /// The entry in one line, for reports.
    pub text: String,
}

/// Inclusive bounds; at least one is given.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
}

impl Bounds {
    /// Whether `x` lies within.
    pub fn holds(&self, x: f64) -> bool {
        self.at_least.is_none_or(|b| x >= b) && self.at_most.is_none_or(|b| x <= b)
    }
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectWhat {
    /// Number of sends with this verdict (`app` narrows it).
    Verdict { verdict: crate::verdict::Verdict, app: Option<AppId>, bounds: Bounds },
    /// Number of sends with this outcome.
    Outcome { outcome: crate::verdict::Outcome, app: Option<AppId>, bounds: Bounds },
    /// The flow's socket closes no later than this after the step was armed.
    Closed { flow: FlowId, within: Duration, of_step: StepId },
    /// A line that matches appears within this time of the step (or of t = 0).
    Log { log: Pattern, app: Option<AppId>, within: Option<Duration>, of_step: Option<StepId> },
    /// The app's exit status.
    Exit { app: AppId, code: i32 },
    /// A counter of a flow, both directions summed unless one is named.
    Counter { flow: FlowId, counter: Counter, direction: DirectionSpec, bounds: Bounds },
    /// Share of the sends with an outcome line that the peer's TCP acknowledged, 0 to 1.
    DeliveredRatio { app: Option<AppId>, bounds: Bounds },
    /// The longest time between two delivered sends.
    MaxGap { app: Option<AppId>, at_most: Duration },
}

/// A counter that `[[expect]] flow = ".."` may bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Packets,
    Bytes,
    Dropped,
    Delayed,
    Corrupted,
    Duplicated,
    Reordered,
    Reset,
    Retransmits,
}
