//! A program that runs before flowfault does, with its peer at the far end of a cable.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::capture::{Capture, Seen};
use crate::support::netns::Netns;
use crate::support::process::{Process, wait_for};
use crate::support::slow::slow;
use crate::support::{Lab, command, python, script};

const SOON: Duration = Duration::from_secs(10);

/// One side of the connections.
pub struct Daemon {
    pub process: Process,
    orders: PathBuf,
}

/// What an app says of one of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub fd: u64,
    pub port: u64,
    pub peer: u64,
    pub cookie: u64,
    pub sent: u64,
    pub received: u64,
    pub retransmits: u64,
}

impl Daemon {
    /// Starts `daemon.py MODE ARGUMENTS ORDERS` at one end.
    pub fn start(lab: &Lab, far: bool, name: &str, arguments: &str) -> Self {
        Self::start_as(lab, far, name, python(), arguments)
    }

    /// The same under another name of the interpreter.
    pub fn start_as(lab: &Lab, far: bool, name: &str, program: &str, arguments: &str) -> Self {
        let orders = lab.path().join(format!("{name}.orders"));
        std::fs::write(&orders, "").expect("the directory is ours");
        let arguments = format!("{} {arguments} {}", script("daemon.py"), orders.display());
        let at = if far { lab.far.as_ref().expect("a pair") } else { &lab.near };
        let process = Process::start(command(program, &arguments), at, &lab.path().join(name));
        Self { process, orders }
    }

    pub fn order(&self, word: &str) {
        let mut file = OpenOptions::new().append(true).open(&self.orders).expect("it is there");
        writeln!(file, "{word}").expect("the disk is not full");
    }

    fn last(&self) -> Option<Value> {
        // The last line may not be whole yet.
        self.process.stdout().lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Where it listens.
    pub fn listens(&self) -> u64 {
        let port = |line: &str| serde_json::from_str::<Value>(line).ok()?["listens"].as_u64();
        wait_for("a listener", SOON, || self.process.stdout().lines().find_map(port))
    }

    /// What it says once that fulfils a condition.
    pub fn once(&self, what: &str, holds: impl Fn(bool, &[Told]) -> bool) -> Vec<Told> {
        wait_for(what, SOON, || {
            let last = self.last()?;
            let told: Vec<Told> = last["connections"].as_array()?.iter().map(told).collect();
            holds(last["sending"].as_bool()?, &told).then_some(told)
        })
    }

    /// What it says of so many connections.
    pub fn of(&self, count: usize) -> Vec<Told> {
        self.once(&format!("{count} connections"), |_, told| told.len() == count)
    }

    /// It sends nothing, and everything has come back.
    pub fn quiet(&self) -> Vec<Told> {
        self.order("quiet");
        let back = |t: &Told| t.received == t.sent;
        self.once("rest", |sending, told| !sending && told.iter().all(back))
    }
}

fn told(value: &Value) -> Told {
    let number = |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("no {key}: {value}"));
    Told {
        fd: number("fd"),
        port: number("port"),
        peer: number("peer"),
        cookie: number("cookie"),
        sent: number("sent"),
        received: number("received"),
        retransmits: number("retransmits"),
    }
}

/// Nothing is sent again for an answer that a busy machine is late with (tail loss probes come after some 10 ms), so
/// that what is sent again has been lost.
pub fn patient(lab: &Lab) {
    for namespace in [&lab.near].into_iter().chain(&lab.far) {
        let set = || std::fs::write("/proc/sys/net/ipv4/tcp_early_retrans", "0");
        namespace.within(set).expect("root may set it");
    }
}

/// The peer of apps that connect: gives back what comes. Its port at the far end.
pub fn echo(lab: &Lab) -> (Process, String) {
    echo_at(lab, lab.far.as_ref().expect("a pair"), "10.77.0.2")
}

/// The same at this address.
pub fn echo_at(lab: &Lab, netns: &Netns, ip: &str) -> (Process, String) {
    patient(lab);
    let mut command = command(python(), &script("echo.py"));
    command.arg(ip);
    let process = Process::start(command, netns, &lab.path().join("echo"));
    process.says("port ");
    let port = process.stdout().trim().trim_start_matches("port ").to_owned();
    (process, port)
}

/// A daemon at the near end with connections to an echo at the far one.
pub fn connected(lab: &Lab, count: usize) -> (Daemon, Process, String) {
    let (echo, port) = echo(lab);
    let daemon = Daemon::start(lab, false, "daemon", &format!("connect 10.77.0.2 {port} {count}"));
    daemon.of(count);
    (daemon, echo, port)
}

/// What passed the cable and what the app said while something was done.
pub struct Watched {
    pub before: Vec<Told>,
    pub after: Vec<Told>,
    seen: Vec<Seen>,
}

/// Lets the app send, does `work`, and waits until all has come back.
pub fn watch(lab: &Lab, daemon: &Daemon, work: impl FnOnce()) -> Watched {
    watch_at(lab.far.as_ref().expect("a pair"), daemon, work)
}

/// The same, with the peer's end of the cable in this namespace.
pub fn watch_at(netns: &Netns, daemon: &Daemon, work: impl FnOnce()) -> Watched {
    let before = daemon.quiet();
    let capture = Capture::start(netns);
    daemon.order("go");
    daemon.once("sending", |sending, _| sending);
    work();
    let after = daemon.quiet();
    Watched { before, after, seen: capture.finish() }
}

impl Watched {
    fn packets(&self, told: &Told) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| u64::from(seen.source_port) == told.port)
    }

    fn of(list: &[Told], cookie: u64) -> Told {
        *list.iter().find(|told| told.cookie == cookie).expect("it is open")
    }

    /// Every byte came over the cable once, and nothing was sent again: as if nobody had been there. (Where a processor is
    /// not to be had for longer than an RTO, TCP by itself sends again what was not lost.)
    pub fn untouched(&self, cookie: u64) {
        let (before, after) = (Self::of(&self.before, cookie), Self::of(&self.after, cookie));
        let sent = after.sent - before.sent;
        let passed: usize = self.packets(&after).map(|seen| seen.payload).sum();
        assert!(sent > 0, "{after:?} has sent nothing");
        assert_eq!(passed as u64, sent, "bytes on the cable of {after:?}");
        if slow() == 1 {
            assert_eq!(after.retransmits, before.retransmits, "{after:?}");
        }
    }

    /// For this long (ms) nothing of it came over the cable, and its TCP sent again.
    pub fn dark(&self, cookie: u64, ms: f64) {
        let (before, after) = (Self::of(&self.before, cookie), Self::of(&self.after, cookie));
        let times: Vec<f64> = self.packets(&after).map(|seen| seen.at_ms).collect();
        let longest = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
        assert!(longest >= ms, "{longest} ms without a packet of {after:?}");
        assert!(after.retransmits > before.retransmits, "{before:?} {after:?}");
    }
}
