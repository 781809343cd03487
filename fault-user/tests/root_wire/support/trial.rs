//! A run with some clients, each with a flow and faults of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fault_user::report::model::{FaultReport, FlowReport, Report};
use serde_json::Value;

use super::packet::{Eye, Packet};
use super::scene::{Scene, script};
use crate::lab::run::Run;
use crate::lab::scenarios::quoted;
use crate::lab::{Lab, python, stretched};

pub const PORT: u16 = 7000;

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Cable4,
    Cable6,
    Lo4,
    Lo6,
    /// An address of the client's own interface: its packets take `lo`.
    Own4,
}

impl Place {
    pub fn is_lo(self) -> bool {
        matches!(self, Self::Lo4 | Self::Lo6 | Self::Own4)
    }

    fn host(self) -> &'static str {
        match self {
            Self::Cable4 => "10.77.0.2",
            Self::Cable6 => "fd77::2",
            Self::Lo4 => "127.0.0.1",
            Self::Lo6 => "::1",
            Self::Own4 => "10.77.0.1",
        }
    }

    fn remote(self) -> String {
        let host = self.host();
        if host.contains(':') { format!("[{host}]:{PORT}") } else { format!("{host}:{PORT}") }
    }

    /// Payload of a full wire packet, with timestamps.
    pub fn mss(self) -> u32 {
        match self {
            Self::Cable4 => 1448,
            Self::Cable6 => 1428,
            Self::Lo4 | Self::Own4 => 65483,
            Self::Lo6 => 65464,
        }
    }
}

/// One client of a run.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    pub place: Place,
    /// Entries of `faults`, without `flow`: `{ drop = 0.1 }`.
    pub faults: Vec<String>,
    /// Whether it connects before the faults are armed.
    pub early: bool,
    /// WORK of traffic.py.
    pub work: String,
    /// When the faults are lifted, ms after the beginning of the run.
    pub lifted: Option<u32>,
}

impl Case {
    pub fn new(name: &'static str, place: Place, fault: &str, work: &str) -> Self {
        let (faults, work) = (vec![fault.into()], work.into());
        Self { name, place, faults, early: true, work, lifted: None }
    }

    /// Connects when the faults are armed.
    pub fn late(self) -> Self {
        Self { early: false, ..self }
    }

    pub fn and(mut self, fault: &str) -> Self {
        self.faults.push(fault.into());
        self
    }

    pub fn lifted(self, ms: u32) -> Self {
        Self { lifted: Some(ms), ..self }
    }

    fn is_udp(&self) -> bool {
        self.work.starts_with("pour") || self.work.starts_with("draw")
    }

    fn text(&self, i: usize, lab: &Lab, name: &str) -> String {
        let (host, go) = (self.place.host(), lab.file(&format!("{name}.go")));
        let when = if self.early { "early" } else { "late" };
        let args = format!("{} client {host} {PORT} {when} {go} {}", script(), self.work);
        let flow = format!("{{ flow = 'f{i}', ");
        let faults: Vec<String> = self.faults.iter().map(|f| f.replacen('{', &flow, 1)).collect();
        let lifted = self.lifted.map(|ms| format!("for = '{}'\n", stretched(ms)));
        format!(
            "[[app]]\nname = 'c{i}'\nmain = true\nready = {{ log = 'ready' }}\ncommand = {}\n\
             [[flow]]\nname = 'f{i}'\napp = 'c{i}'\nremote = '{}'\nprotocol = '{}'\n\
             [[step]]\nname = 's{i}'\nat = '0s'\n{}faults = [{}]\n",
            quoted(python(), &args),
            self.place.remote(),
            if self.is_udp() { "udp" } else { "tcp" },
            lifted.unwrap_or_default(),
            faults.join(", "),
        )
    }
}

/// The scenario of these clients, who begin to work when all faults are armed; `more` of it.
pub fn scenario(lab: &Lab, name: &str, seed: u64, cases: &[Case], more: &str) -> String {
    let clients: String =
        cases.iter().enumerate().map(|(i, case)| case.text(i, lab, name)).collect();
    format!(
        "schema = 1\nname = 'wire'\nseed = {seed}\nduration = '{}'\n{clients}\
         [[step]]\nname = 'go'\nat = '{}'\nexec = ['touch', '{}']\n{more}",
        stretched(25_000),
        stretched(GO_MS),
        lab.file(&format!("{name}.go")),
    )
}

/// When the clients begin to work, ms after the beginning of the run.
pub const GO_MS: u32 = 30;

/// What came of the clients of a run, by name.
#[derive(Debug)]
pub struct Outcomes(BTreeMap<&'static str, Outcome>);

impl Outcomes {
    pub fn of(&self, name: &str) -> &Outcome {
        self.0.get(name).unwrap_or_else(|| panic!("no client is called {name}"))
    }
}

/// What came of one client.
#[derive(Debug)]
pub struct Outcome {
    pub place: Place,
    /// What it says of it.
    pub client: Value,
    /// What the server says of it, if anything.
    pub server: Option<Value>,
    /// Its packets, as they were seen at its own end and at the server's; on `lo` the same.
    pub near: Vec<Packet>,
    pub far: Vec<Packet>,
    pub flow: FlowReport,
    pub faults: Vec<FaultReport>,
}

/// Runs these clients at the same time; what came of each, by name.
pub fn run(cases: &[Case]) -> Outcomes {
    let scene = Scene::new(cases.iter().any(|c| c.place.is_lo()));
    let outcomes = run_in(&scene, "out", 7, cases, "");
    scene.close();
    outcomes
}

/// One run to its end, which has to be a good one.
pub fn run_in(scene: &Scene, name: &str, seed: u64, cases: &[Case], more: &str) -> Outcomes {
    let text = scenario(&scene.lab, name, seed, cases, more);
    let watch = scene.watch();
    let finished = Run::start(&scene.lab, name, &text, &[]).finish();
    let report = finished.expect(0);
    let (near, far) = watch.finish();
    let apps: PathBuf = finished.out.join("apps");
    let said = |i: usize| -> Value {
        let out = fs::read_to_string(apps.join(format!("c{i}.stdout"))).expect("it has written");
        let line = out.lines().find(|l| l.starts_with('{'));
        serde_json::from_str(line.expect("it reports")).expect("JSON")
    };
    let cases = cases.iter().enumerate();
    let outcome = |i, case| outcome(scene, &report, i, case, said(i), (&near, &far));
    Outcomes(cases.map(|(i, case)| (case.name, outcome(i, case))).collect())
}

fn outcome(
    scene: &Scene,
    report: &Report,
    i: usize,
    case: &Case,
    client: Value,
    (near, far): (&[Packet], &[Packet]),
) -> Outcome {
    let port = client["port"].as_u64().expect("it says its port") as u16;
    let of_it = |packets: &[Packet]| -> Vec<Packet> {
        let is_its = |p: &&Packet| p.from == port || p.to == port;
        packets.iter().filter(is_its).cloned().collect()
    };
    let name = format!("f{i}");
    let flows: Vec<&FlowReport> = report.flows.iter().filter(|f| f.name == name).collect();
    let [flow] = flows[..] else { panic!("{name} is one flow: {:#?}", report.flows) };
    let faults = report.faults.iter().filter(|f| f.flow == name).cloned().collect();
    let near = of_it(near);
    let far = if case.place.is_lo() { near.clone() } else { of_it(far) };
    let server = scene.server_notes(case.place).into_iter().find(|n| n["port"] == port);
    Outcome { place: case.place, client, server, near, far, flow: flow.clone(), faults }
}

impl Outcome {
    /// A number that the client says.
    pub fn said(&self, key: &str) -> f64 {
        self.client[key].as_f64().unwrap_or_else(|| panic!("no {key}: {}", self.client))
    }

    /// Whether a packet is the client's own.
    pub fn is_sent(&self, packet: &Packet) -> bool {
        packet.to == PORT
    }

    /// Numbers of the datagrams that went into the line, when, and of those that came out of it
    /// (in the order in which they did).
    pub fn numbers_of(packets: &[&Packet]) -> Vec<(u64, u64)> {
        packets.iter().filter_map(|p| Some((p.message?.0, p.seen.at_ns))).collect()
    }

    /// The `n`th fault of this direction.
    pub fn fault(&self, n: usize, direction: &str) -> &FaultReport {
        let of = self.faults.iter().filter(|f| f.direction == direction).nth(n);
        of.unwrap_or_else(|| panic!("no such fault: {:#?}", self.faults))
    }

    /// What went into the line and what came out of it: what the client sends (or not).
    pub fn handed(&self, sent: bool) -> Vec<&Packet> {
        self.near.iter().filter(|p| p.is_handed() && self.is_sent(p) == sent).collect()
    }

    pub fn given_back(&self, sent: bool) -> Vec<&Packet> {
        self.near.iter().filter(|p| p.is_given_back() && self.is_sent(p) == sent).collect()
    }

    /// What arrived at the server's end.
    pub fn arrived(&self) -> Vec<&Packet> {
        let eye = if self.place.is_lo() { Eye::Lo } else { Eye::Cable };
        let came = |p: &&Packet| p.seen.eye == eye && !p.seen.outgoing && self.is_sent(p);
        self.far.iter().filter(came).collect()
    }

    /// What the server got is what the client sent.
    pub fn is_whole(&self) {
        let got = self.server.as_ref().expect("the server has seen it");
        assert_eq!((&got["bytes"], &got["crc"]), (&self.client["bytes"], &self.client["crc"]));
        assert_eq!(self.client["confirmed"], true, "{}", self.client);
    }
}
