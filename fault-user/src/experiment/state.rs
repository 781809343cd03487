//! What a run knows at any moment, and how each thing that happens changes it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;

use bytes::Bytes;
use fault_common::event::NO_FLOW;
use nix::sys::signal::Signal;

use super::Stop;
use super::actions::{self, Actions};
use super::blocks::{Blocks, Line};
use super::late::{Late, Room};
use super::prepare::Stage;
use super::recorded::Recorded;
use crate::app::AppEvent;
use crate::app::output::{MAX_WRITE, Stream};
use crate::capture::Packet;
use crate::chain::told;
use crate::clock;
use crate::expect::LogLine;
use crate::kernel::Batch;
use crate::ledger::entry::{Entry, What};
use crate::line::tally::Tally;
use crate::outcome::OutcomeParser;
use crate::scenario::Scenario;
use crate::scenario::model::{AppId, ExpectWhat, OutcomeSource, Stdio, Trigger};

/// Lines of an app kept for the message of an early death.
const LAST_LINES: usize = 20;

/// One app.
#[derive(Debug, Default)]
pub struct AppState {
    pub pid: Option<u32>,
    pub started: Option<u64>,
    pub ready: Option<u64>,
    pub exited: Option<u64>,
    pub exit_code: Option<i32>,
    pub status: Option<String>,
    /// The run, or one of its steps, told it to end.
    pub asked_to_end: bool,
    /// Signals that steps have sent it.
    signals: Vec<i32>,
    /// The end of its output.
    pub last: Vec<String>,
    pub outcomes: u64,
}

impl AppState {
    /// A step sends it a signal. Some say "end"; any other is the cause of its end only if it
    /// dies by that very signal.
    pub fn signalled(&mut self, signal: Signal) {
        use Signal::{SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
        self.asked_to_end |=
            matches!(signal, SIGTERM | SIGKILL | SIGINT | SIGQUIT | SIGABRT | SIGHUP);
        self.signals.push(signal as i32);
    }
}

/// Something that happened to a flow or in an app, for the timeline.
#[derive(Debug)]
pub enum News {
    Line { app: usize, at: u64, text: String },
    Flow { flow: usize, at: u64, state: crate::scenario::model::FlowState },
    Outcomes { app: usize, at: u64, count: u64 },
}

/// A socket, as far as events have told of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Socket {
    pub flow: Option<u32>,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    pub udp: bool,
    pub open: bool,
    /// Index of its counters.
    pub slot: u32,
}

/// The state of a run.
pub struct State<'a> {
    pub scenario: &'a Scenario,
    pub stop: Stop,
    /// t = 0, once all apps are ready.
    pub t0: Option<u64>,
    /// When the run was over, before anything was lifted.
    pub end: Option<u64>,
    /// The signal that interrupted it.
    pub interrupted: Option<i32>,
    pub apps: Vec<AppState>,
    pub recorded: Recorded,
    /// Cookies of observed sockets that have not been seen to close.
    pub open: HashSet<u64>,
    /// Observed sockets, by cookie.
    pub sockets: BTreeMap<u64, Socket>,
    /// Faults that are no fate of packets.
    pub actions: Actions,
    /// What the delay line was made of: the word of the report.
    pub line: &'static str,
    /// What the delay line has done, once it has ended.
    pub tally: Option<Tally>,
    /// What faults touched, from the packet programs.
    pub captured: Vec<Packet>,
    /// Lines that some expectation asks for, with their CLOCK_MONOTONIC time.
    pub lines: Vec<(u64, usize, String)>,
    /// Whether a socket has taken the role of a flow.
    pub appeared: Vec<bool>,
    /// Why the run itself has failed.
    pub failures: Vec<String>,
    pub warnings: Vec<String>,
    pub comms: BTreeMap<u32, String>,
    pub steps: Vec<crate::timeline::StepState>,
    /// Rules that were armed when the run was over.
    pub armed_at_end: Vec<crate::plan::RuleId>,
    pub late: Vec<Late>,
    /// Writes that were too long to be read whole: how many, and bytes of the longest.
    cut: BTreeMap<(usize, Stream), (u64, u64)>,
    parsers: HashMap<usize, OutcomeParser>,
    /// Of the wall clock; the parsers have it, too.
    clock: clock::History,
    /// By app: whether its lines come one by one.
    blocks: BTreeMap<usize, Blocks>,
    news: Vec<News>,
}

impl<'a> State<'a> {
    pub fn new(scenario: &'a Scenario, stage: &Stage, held: usize, stop: Stop) -> Self {
        Self {
            scenario,
            stop,
            t0: None,
            end: None,
            interrupted: None,
            apps: scenario.apps.iter().map(|_| AppState::default()).collect(),
            recorded: Recorded::new(held),
            open: HashSet::new(),
            sockets: BTreeMap::new(),
            actions: Actions::default(),
            tally: None,
            captured: Vec::new(),
            line: "none",
            lines: Vec::new(),
            appeared: vec![false; scenario.flows.len()],
            failures: Vec::new(),
            warnings: Vec::new(),
            comms: BTreeMap::new(),
            steps: Vec::new(),
            armed_at_end: Vec::new(),
            late: Late::all(scenario, &stage.plan),
            cut: BTreeMap::new(),
            parsers: HashMap::new(),
            clock: clock::History::new(clock::reading()),
            blocks: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    /// Whether the run is to end now, whatever its plan.
    pub fn broken(&self) -> bool {
        self.interrupted.is_some() || !self.failures.is_empty()
    }

    /// The run cannot go on; the first reason is what ends it.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.failures.push(why.into());
    }

    /// What has happened since this was asked last.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// An app was started.
    pub fn started(&mut self, app: usize, pid: Option<u32>) {
        let now = clock::monotonic_ns();
        let state = &mut self.apps[app];
        state.pid = pid;
        state.started = Some(now);
        // A step may start it again after it has ended.
        (state.exited, state.exit_code, state.status) = (None, None, None);
        state.asked_to_end = false;
        state.signals.clear();
        if let Some(outcomes) = &self.scenario.apps[app].outcomes {
            let parser = OutcomeParser::new(app as u32, outcomes, now, self.clock.clone());
            self.parsers.entry(app).or_insert(parser);
        }
    }

    /// Reads the clocks, and tells if somebody has set the wall clock since it did so last.
    pub fn read_clock(&mut self) {
        let now = clock::reading();
        self.parsers.values_mut().for_each(|p| p.read_clock(now));
        if let Some(by) = self.clock.read(now) {
            self.warnings.push(format!(
                "the wall clock was set by {:+.3} s in mid-run: stamps of apps before and after that were taken as such",
                by as f64 / 1e9
            ));
        }
    }

    /// Takes in what an app did.
    pub fn app_event(&mut self, event: AppEvent, stage: &mut Stage) {
        match event {
            AppEvent::Line { app, stream, at, text } => self.line(app, stream, at, &text),
            AppEvent::Cut { app, stream, size } => {
                let (writes, longest) = self.cut.entry((app, stream)).or_default();
                *writes += 1;
                *longest = size.max(*longest);
            }
            AppEvent::Exited { app, pid, at, status } => {
                if !stage.supervisor.exited(app, pid) {
                    return;
                }
                let state = &mut self.apps[app];
                state.exited = Some(at);
                state.asked_to_end |= status.signal().is_some_and(|s| state.signals.contains(&s));
                state.exit_code = status.code();
                state.status = Some(status.to_string().replace("exit status: ", "exit "));
            }
            AppEvent::Gone { app, pid, at } => self.gone(app, pid, at, stage),
        }
    }

    /// What was attached to is there.
    pub fn attached(&mut self, app: usize, pid: Option<u32>) {
        self.started(app, pid);
        self.apps[app].ready = self.apps[app].started;
    }

    /// What was attached to has ended: whoever gets its number is somebody else.
    fn gone(&mut self, app: usize, pid: u32, at: u64, stage: &mut Stage) {
        if let Err(e) = stage.kernel.remove_process(pid) {
            self.fail(told(&e));
        }
        let state = &mut self.apps[app];
        state.exited = Some(at);
        state.status = Some("ended".into());
    }

    fn line(&mut self, app: usize, stream: Option<Stream>, at: u64, text: &Bytes) {
        let told = self.outcome(app, stream, at, text);
        let Some(stream) = stream else { return };
        let text = String::from_utf8_lossy(text).into_owned();
        self.note_block(app, stream, at, (told, &text));
        let state = &mut self.apps[app];
        if state.last.len() == LAST_LINES {
            state.last.remove(0);
        }
        state.last.push(text.clone());
        let ready = &self.scenario.apps[app].ready;
        if state.ready.is_none() && ready.as_ref().is_some_and(|r| r.log.0.is_match(&text)) {
            state.ready = Some(at);
        }
        self.late.iter_mut().for_each(|l| l.line(app, at, &text));
        if self.is_asked_for(&text) {
            self.lines.push((at, app, text.clone()));
        }
        if self.scenario.steps.iter().any(|s| matches!(s.trigger, Trigger::Log { .. })) {
            self.news.push(News::Line { app, at, text });
        }
    }

    fn is_asked_for(&self, text: &str) -> bool {
        self.scenario
            .expects
            .iter()
            .any(|e| matches!(&e.what, ExpectWhat::Log { log, .. } if log.0.is_match(text)))
    }

    /// Only a socket keeps writes apart.
    fn note_block(&mut self, app: usize, stream: Stream, at: u64, (told, text): (bool, &str)) {
        if self.scenario.apps[app].stdio != Stdio::Socket {
            return;
        }
        let markers = self.scenario.flows.iter().filter(|f| f.app.is_some_and(|of| of.0 == app));
        let mut markers = markers.filter_map(|f| f.opened_after.as_ref());
        let line = if told {
            Line::Outcome
        } else if markers.any(|after| after.log.is_in(text)) {
            Line::Marker
        } else {
            Line::Other
        };
        self.blocks.entry(app).or_default().line(stream, at, line);
    }

    /// Whether it was an outcome.
    fn outcome(&mut self, app: usize, stream: Option<Stream>, at: u64, text: &Bytes) -> bool {
        let Some(outcomes) = &self.scenario.apps[app].outcomes else { return false };
        let from = match outcomes.from {
            OutcomeSource::Stdout => Some(Stream::Stdout),
            OutcomeSource::Stderr => Some(Stream::Stderr),
            OutcomeSource::File(_) => None,
        };
        let Some(parser) = self.parsers.get_mut(&app).filter(|_| from == stream) else {
            return false;
        };
        let parsed = parser.parse(text, at);
        if let Some(warning) = parsed.warning {
            self.warnings.push(format!("app {}: {warning}", self.scenario.apps[app].name));
        }
        let Some(message) = parsed.message else { return false };
        self.recorded.message(message);
        self.apps[app].outcomes += 1;
        let count = self.apps[app].outcomes;
        self.news.push(News::Outcomes { app, at, count });
        true
    }

    /// Takes in events of the kernel.
    pub fn batch(&mut self, batch: &Batch, stage: &mut Stage) {
        if let Some(reader) = &stage.events {
            reader.took(batch);
        }
        for raw in batch.iter() {
            match Entry::decode(raw) {
                Ok(entry) => self.entry(entry, stage),
                Err(e) => self.fail(format!("an event of the kernel side cannot be read: {e}")),
            }
        }
    }

    fn entry(&mut self, mut entry: Entry, stage: &mut Stage) {
        if let What::Closed { .. } = entry.what {
            self.open.remove(&entry.cookie);
        }
        if let What::Opened { .. } | What::Found { .. } = entry.what {
            self.open.insert(entry.cookie);
            self.remember_comm(entry.pid);
            if entry.flow.is_none() {
                entry.flow = self.assign_late(&entry, stage);
            }
        }
        self.socket(&entry);
        actions::event(stage, self, &entry);
        if let What::Overflow { .. } = entry.what {
            self.overflow(entry.flow.unwrap_or(NO_FLOW));
        } else if entry.what == What::Multipath {
            self.multipath(&entry);
        } else if let Some(flow) =
            entry.flow.map(|f| f as usize).filter(|f| *f < self.appeared.len())
        {
            self.appeared[flow] = true;
            let states = states_of(&entry.what).iter();
            self.news.extend(states.map(|s| News::Flow { flow, at: entry.ts, state: *s }));
        }
        self.recorded.event(entry);
    }

    fn socket(&mut self, entry: &Entry) {
        let addresses = match entry.what {
            What::Opened { local, remote, .. }
            | What::Bound { local, remote }
            | What::Established { local, remote, .. }
            | What::Found { local, remote, .. } => Some((local, remote)),
            What::Closed { .. } => None,
            What::Named { .. } => {
                self.sockets.entry(entry.cookie).or_default().flow = entry.flow;
                return;
            }
            _ => return,
        };
        let socket = self.sockets.entry(entry.cookie).or_default();
        socket.flow = entry.flow.or(socket.flow);
        socket.udp = i32::from(entry.proto) == libc::IPPROTO_UDP;
        socket.open = addresses.is_some();
        socket.slot = entry.slot;
        if let Some((local, remote)) = addresses {
            if entry.lport != 0 {
                socket.local = Some(SocketAddr::new(local, entry.lport));
            }
            socket.remote = Some(SocketAddr::new(remote, entry.rport));
        }
    }

    fn remember_comm(&mut self, pid: u32) {
        self.comms.entry(pid).or_insert_with(|| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.map(|c| c.trim_end().to_owned()).unwrap_or_default()
        });
    }

    fn assign_late(&mut self, entry: &Entry, stage: &mut Stage) -> Option<u32> {
        let What::Opened { attempt, later, .. } = entry.what else { return None };
        let mut over = Vec::new();
        for late in &mut self.late {
            if attempt > 1 || !late.takes(entry, later) {
                continue;
            }
            match late.room(|cookie| stage.kernel.has_left(cookie)) {
                Ok(Room::Free) => {}
                Ok(Room::Gone) => continue,
                Ok(Room::Overflow) => {
                    over.push(late.flow);
                    continue;
                }
                Err(e) => {
                    self.failures.push(told(&e));
                    continue;
                }
            }
            match stage.kernel.assign(entry.cookie, late.flow) {
                Ok(true) => {
                    late.give(entry.cookie);
                    return Some(late.flow);
                }
                Ok(false) => {}
                Err(e) => self.failures.push(told(&e)),
            }
        }
        over.into_iter().for_each(|flow| self.overflow(flow));
        None
    }

    fn overflow(&mut self, flow: u32) {
        let Some(flow) = self.scenario.flows.get(flow as usize) else { return };
        let why = format!(
            "flow `{}` matches more than max_flows = {} sockets: narrow it (nth, opened_after, \
             local), or raise max_flows",
            flow.name, flow.max_flows
        );
        if !self.failures.contains(&why) {
            self.fail(why);
        }
    }

    /// MPTCP numbers its bytes anew and spreads them over connections: of a send nothing can be said. Where nothing is
    /// said of sends, and no fault is near, it is nobody's business.
    fn multipath(&mut self, entry: &Entry) {
        let Some(app) = self.scenario.apps.get(entry.app as usize) else { return };
        let below = |s: &&Socket| s.local.is_some_and(|l| l.port() == entry.lport);
        let flow = self.sockets.values().filter(below).find_map(|s| s.flow);
        if flow.is_none() && app.outcomes.is_none() {
            return;
        }
        let why = format!(
            "app {} sends over MPTCP (local port {}), whose sends cannot be followed: switch it off for the run \
             (sysctl net.mptcp.enabled=0; for programs in Go GODEBUG=multipathtcp=0)",
            app.name, entry.lport
        );
        if !self.failures.contains(&why) {
            self.fail(why);
        }
    }

    /// A warning for each app whose lines came in blocks.
    pub fn note_blocks(&mut self) {
        let apps = &self.scenario.apps;
        let blocks = self.blocks.iter().filter_map(|(app, b)| b.warning(&apps[*app].name));
        self.warnings.extend(blocks);
    }

    /// A warning for each stream with writes that were not read whole.
    pub fn note_cut(&mut self) {
        for ((app, stream), (writes, longest)) in &self.cut {
            self.warnings.push(format!(
                "app `{}` made {writes} writes to {} that were too long to be read whole (the longest \
                 had {longest} bytes, {MAX_WRITE} are read); the lines that they were cut in say so. \
                 With stdio = \"pipe\" any length is read",
                self.scenario.apps[*app].name,
                stream.name(),
            ));
        }
    }

    /// The kept lines with their times in ms since t = 0.
    pub fn log(&self, t0: u64) -> Vec<LogLine> {
        let ms = |at: u64| (at as f64 - t0 as f64) / 1e6;
        let lines = self.lines.iter();
        lines
            .map(|(at, app, l)| LogLine { app: AppId(*app), t_ms: ms(*at), line: l.clone() })
            .collect()
    }
}

fn states_of(what: &What) -> &'static [crate::scenario::model::FlowState] {
    use crate::scenario::model::FlowState::{Closed, Established, Opened};
    match what {
        What::Opened { .. } => &[Opened],
        What::Established { .. } => &[Established],
        // Both were before it was known whose they are.
        What::Found { .. } | What::Named { .. } => &[Opened, Established],
        What::Closed { .. } => &[Closed],
        _ => &[],
    }
}
