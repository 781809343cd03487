//! What came of it: the counters of each socket, and how it was before and is after.

use std::collections::HashMap;

use anyhow::Result;
use fault_user::experiment::Hit;
use fault_user::report::model::{Counters, FaultReport, FlowReport, Report, RunResult};
use fault_user::report::words;
use fault_user::sockets::{Request, look};
use serde::Serialize;

use super::args::How;
use super::live::done;
use crate::out;

/// How a socket is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vitals {
    /// State of the connection, as RFC 9293 and ss(8) call it.
    state: &'static str,
    /// Segments sent again, in all; null for UDP.
    retransmits: Option<u32>,
    /// Bytes that the peer has not acknowledged (TCP), or that have not left (UDP).
    unacked_bytes: u32,
}

/// All sockets at one moment, by cookie.
pub struct All(HashMap<u64, Vitals>);

impl Vitals {
    /// Looks at all sockets.
    ///
    /// # Errors
    /// The kernel does not list sockets.
    pub fn look() -> Result<All> {
        let inventory = look(&Request { all: true, ..Request::default() })?;
        let vitals = inventory.flows.iter().map(|flow| {
            let socket = &flow.socket;
            let retransmits = socket.tcp.as_ref().map(|tcp| tcp.retransmits);
            let unacked_bytes = socket.send_queue;
            (socket.cookie, Self { state: socket.state.name(), retransmits, unacked_bytes })
        });
        Ok(All(vitals.collect()))
    }

    fn text(&self) -> String {
        let retransmits = self
            .retransmits
            .map_or_else(String::new, |n| format!(", {}", words::count(n.into(), "retransmit")));
        format!("{}{retransmits}, {} unacked", self.state, words::size(self.unacked_bytes.into()))
    }
}

/// The whole, as it is printed.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    kind: &'static str,
    result: RunResult,
    duration_ms: f64,
    seed: u64,
    sockets: Vec<SocketSummary<'a>>,
    faults: &'a [FaultReport],
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct SocketSummary<'a> {
    cookie: u64,
    pid: u32,
    comm: &'a str,
    /// Its descriptor when it was picked; null if it opened later.
    fd: Option<i32>,
    protocol: &'a str,
    local: &'a str,
    remote: &'a str,
    /// When the app closed it, since the beginning.
    closed_ms: Option<f64>,
    egress: Counters,
    ingress: Counters,
    /// Null if it opened later.
    before: Option<Vitals>,
    /// Null if it is gone.
    after: Option<Vitals>,
}

impl<'a> Summary<'a> {
    /// Of a finished run.
    pub fn of(report: &'a Report, hits: &[Hit], before: &All, after: &All) -> Self {
        let socket = |flow: &'a FlowReport| {
            let hit = hits.iter().find(|hit| hit.cookie == flow.cookie);
            SocketSummary {
                cookie: flow.cookie,
                pid: flow.pid,
                comm: &flow.comm,
                fd: hit.map(|hit| hit.fd),
                protocol: &flow.protocol,
                local: &flow.local,
                remote: &flow.remote,
                closed_ms: flow.closed_ms,
                egress: flow.egress,
                ingress: flow.ingress,
                before: before.0.get(&flow.cookie).cloned(),
                after: after.0.get(&flow.cookie).cloned(),
            }
        };
        Self {
            kind: "summary",
            result: report.result,
            duration_ms: report.duration_ms,
            seed: report.seed,
            sockets: report.flows.iter().filter(|flow| flow.selected).map(socket).collect(),
            faults: &report.faults,
            warnings: &report.warnings,
        }
    }

    /// One line of JSON.
    ///
    /// # Errors
    /// It cannot be rendered.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text =
            format!("injected for {}, seed {}\n", words::time(self.duration_ms), self.seed);
        for fault in self.faults {
            let FaultReport { direction, fault, matched, acted, .. } = fault;
            text.push_str(&format!("  {fault} ({direction}): hit {acted} of {matched} packets\n"));
        }
        if self.sockets.is_empty() {
            text.push_str("no socket was one\n");
        }
        for socket in &self.sockets {
            text.push_str(&socket.text());
        }
        text
    }
}

impl SocketSummary<'_> {
    fn text(&self) -> String {
        let fd = self.fd.map_or_else(String::new, |fd| format!(" fd {fd}"));
        let (comm, pid, cookie) = (words::visible(self.comm), self.pid, self.cookie);
        let packets = |c: &Counters| {
            format!("{}, {}{}", words::count(c.packets, "packet"), words::size(c.bytes), done(c))
        };
        let after = match (&self.after, self.closed_ms) {
            (Some(vitals), _) => vitals.text(),
            (None, Some(at)) => format!("gone, closed after {}", words::time(at)),
            (None, None) => "gone".to_owned(),
        };
        let before = self.before.as_ref().map_or_else(|| "not open".to_owned(), Vitals::text);
        format!(
            "{comm}[{pid}]{fd}, cookie {cookie}: {} -> {}\n  out     {}\n  in      {}\n  \
             before  {before}\n  after   {after}\n",
            self.local,
            self.remote,
            packets(&self.egress),
            packets(&self.ingress),
        )
    }
}

#[derive(Serialize)]
struct Preview<'a> {
    kind: &'static str,
    sockets: Vec<Meant<'a>>,
    scenario: &'a str,
}

#[derive(Serialize)]
struct Meant<'a> {
    cookie: u64,
    pid: i32,
    comm: &'a str,
    fd: i32,
    protocol: &'static str,
    local: String,
    remote: String,
    accepted: bool,
}

/// What would be hit.
///
/// # Errors
/// Stdout cannot be written.
pub fn preview(how: &How, hits: &[Hit], scenario: &str) -> Result<()> {
    let sockets = hits.iter().map(|hit| Meant {
        cookie: hit.cookie,
        pid: hit.pid,
        comm: &hit.comm,
        fd: hit.fd,
        protocol: hit.protocol.name(),
        local: hit.local.to_string(),
        remote: hit.remote.to_string(),
        accepted: hit.accepted,
    });
    if how.json {
        let preview = Preview { kind: "dry_run", sockets: sockets.collect(), scenario };
        return out::results(&(serde_json::to_string(&preview)? + "\n"));
    }
    let mut text = match hits.len() {
        0 => "# No such socket is open; what opens is waited for.\n".to_owned(),
        _ => "# These sockets would be hit:\n".to_owned(),
    };
    for socket in sockets {
        let Meant { cookie, pid, comm, fd, protocol, local, remote, accepted } = socket;
        let by = if accepted { ", accepted" } else { "" };
        let comm = words::visible(comm);
        text.push_str(&format!(
            "#   {comm}[{pid}] fd {fd}, cookie {cookie}: {protocol} {local} -> {remote}{by}\n"
        ));
    }
    text.push_str(&format!("# The same as a scenario:\n{scenario}"));
    out::results(&text)
}
