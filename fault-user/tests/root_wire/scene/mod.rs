//! A client that flowfault runs, a server that it does not know, and what both write down.

pub mod counters;
mod tunnel;
pub mod wiretap;

use std::fs;
use std::process::Command;

use fault_user::report::model::{FlowReport, Report};
use serde_json::Value;

use crate::lab::process::Process;
use crate::lab::run::{Finished, Run};
use crate::lab::{Lab, netns::CABLE, netns::Netns, python, slow};
use tunnel::Tunnel;
use wiretap::{Packet, Tap};

/// The server's port in most tests.
pub const PORT: u16 = 7000;
/// Bytes that the bystander sends, and gets back (wire.py).
pub const BYSTANDER_BYTES: usize = 20 * 1000;

/// Where the connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Cable4,
    Cable6,
    Lo4,
    Lo6,
    /// Through interfaces without an Ethernet header.
    Tunnel4,
    Tunnel6,
}

impl Place {
    /// All but the tunnels.
    pub const ALL: [Self; 4] = [Self::Cable4, Self::Cable6, Self::Lo4, Self::Lo6];

    fn host(self) -> &'static str {
        match self {
            Self::Cable4 => "10.77.0.2",
            Self::Cable6 => "fd77::2",
            Self::Lo4 => "127.0.0.1",
            Self::Lo6 => "::1",
            Self::Tunnel4 => "10.78.0.2",
            Self::Tunnel6 => "fd78::2",
        }
    }

    /// As part of HOST:PORT.
    pub fn bracketed(self) -> String {
        if self.is_v6() { format!("[{}]", self.host()) } else { self.host().into() }
    }

    pub fn is_v6(self) -> bool {
        matches!(self, Self::Cable6 | Self::Lo6 | Self::Tunnel6)
    }

    pub fn is_lo(self) -> bool {
        matches!(self, Self::Lo4 | Self::Lo6)
    }

    /// Payload of a full wire packet with timestamps; on `lo` about so much.
    pub fn mss(self) -> usize {
        match self {
            Self::Cable4 | Self::Tunnel4 => 1448,
            Self::Cable6 | Self::Tunnel6 => 1428,
            Self::Lo4 | Self::Lo6 => 65483,
        }
    }
}

/// One test's laboratory.
pub struct Scene {
    /// To be dropped before the laboratory is closed.
    pub tunnel: Option<Tunnel>,
    pub lab: Lab,
    pub place: Place,
}

impl Scene {
    pub fn new(place: Place) -> Self {
        let lab = if place.is_lo() { Lab::alone() } else { Lab::pair() };
        let tunnel = matches!(place, Place::Tunnel4 | Place::Tunnel6).then(|| {
            let far = lab.far.as_ref().expect("a pair");
            Tunnel::new(&lab.near, far)
        });
        Self { tunnel, lab, place }
    }

    /// The namespace of the server.
    pub fn peers(&self) -> &Netns {
        self.lab.far.as_ref().unwrap_or(&self.lab.near)
    }

    /// Watches what arrives at the server.
    pub fn tap_peer(&self) -> Tap {
        wiretap::tap(self.peers(), if self.place.is_lo() { "lo" } else { CABLE })
    }

    /// Watches what arrives at the client, before any fault at its ingress.
    pub fn tap_client(&self) -> Tap {
        wiretap::tap(&self.lab.near, if self.place.is_lo() { "lo" } else { CABLE })
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.lab.file(&format!("{name}.py"));
        fs::write(&path, format!("from wire import *\n{text}")).expect("the directory is ours");
        path
    }

    fn environment(&self, name: &str) -> [(&'static str, String); 4] {
        let dir = self.lab.path().to_str().expect("paths are UTF-8").to_owned();
        let library = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root_wire/apps");
        [
            ("PYTHONPATH", library.to_owned()),
            ("WIRE_HOST", self.place.host().to_owned()),
            ("WIRE_DIR", dir),
            ("WIRE_NAME", name.to_owned()),
        ]
    }

    /// Starts the server's script and waits until it listens.
    pub fn serve(&self, script: &str) -> Process {
        let mut command = Command::new(python());
        command.arg("-B").arg(self.script("server", script)).envs(self.environment("server"));
        let server = Process::start(command, self.peers(), &self.lab.path().join("server"));
        server.says("listening");
        server
    }

    /// A scenario with the client's script and these flows and steps. 100 ms after t = 0 the file
    /// `go` appears.
    pub fn scenario(&self, client: &str, more: &str) -> String {
        let script = self.script("client", client);
        let env: Vec<String> =
            self.environment("client").iter().map(|(k, v)| format!("{k} = '{v}'")).collect();
        let go = self.lab.file("go");
        format!(
            "schema = 1\nname = 'wire'\nseed = 7\nduration = '{}s'\n\
             [[app]]\nname = 'client'\nmain = true\nready = {{ log = 'ready' }}\n\
             command = ['{}', '-B', '{script}']\nenv = {{ {} }}\n{more}\
             [[step]]\nname = 'go'\nat = '100ms'\nexec = ['touch', '{go}']\n",
            20 * slow(),
            python(),
            env.join(", "),
        )
    }

    /// Starts a run of it.
    pub fn start(&self, client: &str, more: &str) -> Run {
        Run::start(&self.lab, "out", &self.scenario(client, more), &[])
    }

    /// Runs it to its end; its report has to be good.
    pub fn run(&self, client: &str, more: &str) -> Report {
        let finished = self.start(client, more).finish();
        self.good(&finished)
    }

    /// The report of a run that went well.
    pub fn good(&self, finished: &Finished) -> Report {
        let report = finished.report();
        let client = fs::read_to_string(finished.out.join("apps/client.stderr"));
        let server = fs::read_to_string(self.lab.path().join("server.err"));
        assert_eq!(finished.code, 0, "{:#?}\n{client:?}\n{server:?}", report.warnings);
        assert_eq!(report.apps[0].status, "exit 0", "{client:?}\n{server:?}");
        report
    }

    /// The connections to the server's port in their order: `target` and `bystander`.
    pub fn flows(&self) -> String {
        self.flow("target", PORT, "nth = 1") + &self.flow("bystander", PORT, "nth = 2")
    }

    pub fn flow(&self, name: &str, port: u16, more: &str) -> String {
        let host = self.place.bracketed();
        format!("[[flow]]\nname = '{name}'\napp = 'client'\nremote = '{host}:{port}'\n{more}\n")
    }

    /// What a script (`client`, `server`) has noted under that name.
    pub fn notes(&self, who: &str, what: &str) -> Vec<Value> {
        let path = self.lab.path().join(format!("{who}.notes"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
        lines.filter(|n| n["what"] == what).collect()
    }

    /// The only note of that name.
    pub fn noted(&self, who: &str, what: &str) -> Value {
        let notes = self.notes(who, what);
        let stderr = fs::read_to_string(self.lab.path().join("server.err"));
        assert_eq!(notes.len(), 1, "`{what}` of {who}: {notes:?}; server: {stderr:?}");
        notes[0].clone()
    }

    /// The second connection met nothing: its bytes and answers are all there, its packets have
    /// no mark of a fault, and the report counts none.
    pub fn bystander_is_untouched(&self, report: &Report, packets: &[Packet]) {
        let note = self.noted("client", "bystander");
        assert_eq!(note["answered"], 20, "{note}");
        let port = u16::try_from(note["port"].as_u64().expect("a number")).expect("a port");
        let counted = flow(report, "bystander");
        for c in [counted.egress, counted.ingress] {
            let touched = [c.dropped, c.delayed, c.corrupted, c.duplicated, c.reordered, c.reset];
            assert_eq!(touched, [0; 6], "{counted:#?}");
        }
        let of_it: Vec<&Packet> = packets.iter().filter(|p| p.from == port).collect();
        assert!(of_it.iter().all(|p| !p.rst && p.window > 0 && p.ecn != wiretap::CE), "{of_it:?}");
        let stream = wiretap::stream(packets, port, PORT);
        assert_eq!(stream.bytes.len(), BYSTANDER_BYTES, "{counted:#?}");
        assert!(stream.wrong().is_empty(), "{:?}", stream.wrong());
        // A busy machine may let its TCP send something twice; nobody else does.
        assert_eq!(stream.repeated as u64, counted.retransmits, "{counted:#?}");
    }
}

/// A flow in the report.
pub fn flow<'a>(report: &'a Report, name: &str) -> &'a FlowReport {
    let found: Vec<&FlowReport> = report.flows.iter().filter(|f| f.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {:#?}", report.flows);
    found[0]
}

/// A step that arms these faults as soon as the client is ready.
pub fn faults(faults: &str) -> String {
    format!("[[step]]\nname = 'fault'\nat = '0s'\nfaults = [{faults}]\n")
}

/// `actual` of `n` trials with probability `p` lies within five standard deviations: a sound
/// implementation fails once in some 1.7 million tests.
pub fn plausible(actual: u64, n: u64, p: f64) {
    let (mean, sigma) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    let off = (actual as f64 - mean).abs();
    assert!(off <= 5.0 * sigma, "{actual} of {n} with p = {p}: {off:.1} off, sigma {sigma:.1}");
}
