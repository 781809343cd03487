//! A client that flowfault runs, a server that it does not know, and what both have measured.

use std::fs;
use std::process::Command;

use fault_user::line::LineError;
use fault_user::line::fq::Pair;
use fault_user::report::model::Report;
use serde_json::Value;

use crate::lab::process::Process;
use crate::lab::run::Run;
use crate::lab::{Lab, python, slow};
use crate::qdiscs::needs_qdisc;

const PORT: u16 = 7800;

/// Where the connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Cable4,
    Cable6,
    Lo4,
    Lo6,
}

impl Place {
    fn host(self) -> &'static str {
        match self {
            Self::Cable4 => "10.77.0.2",
            Self::Cable6 => "fd77::2",
            Self::Lo4 => "127.0.0.1",
            Self::Lo6 => "::1",
        }
    }

    fn remote(self) -> String {
        let host = self.host();
        if host.contains(':') { format!("[{host}]:{PORT}") } else { format!("{host}:{PORT}") }
    }
}

/// Whether this kernel has fq; says so if not.
pub fn has_fq() -> bool {
    // In a namespace of its own: a failure half way must leave nothing in ours.
    let lab = Lab::alone();
    let pair = lab.near.within(Pair::open);
    match pair {
        Ok(pair) => {
            lab.near.within(|| drop(pair));
            needs_qdisc("fq", true, "")
        }
        Err(LineError::NoFq) => needs_qdisc("fq", false, &LineError::NoFq.to_string()),
        Err(e) => panic!("{e}"),
    }
}

/// One test's laboratory, with its server.
pub struct Scene {
    pub lab: Lab,
    place: Place,
    server: Process,
}

impl Scene {
    pub fn new(place: Place) -> Self {
        let lo = matches!(place, Place::Lo4 | Place::Lo6);
        let lab = if lo { Lab::alone() } else { Lab::pair() };
        let mut command = Command::new(python());
        command.args(["-B", SCRIPT, "serve", place.host()]);
        command.arg(PORT.to_string()).arg(lab.file("server.notes"));
        let server = Process::start(
            command,
            lab.far.as_ref().unwrap_or(&lab.near),
            &lab.path().join("server"),
        );
        server.says("listening");
        Self { lab, place, server }
    }

    /// A scenario in which the client pings `count` times and sends `bytes` each way.
    pub fn scenario(&self, count: u32, bytes: u64, more: &str) -> String {
        let (go, notes) = (self.lab.file("go"), self.lab.file("client.notes"));
        let (python, host, remote) = (python(), self.place.host(), self.place.remote());
        format!(
            "schema = 1\nname = 'waits'\nseed = 7\nduration = '{}s'\n\
             [[app]]\nname = 'client'\nmain = true\nready = {{ log = 'ready' }}\n\
             command = ['{python}', '-B', '{SCRIPT}', 'client', '{host}', '{PORT}', '{notes}', \
             '{go}', '{count}', '{bytes}']\n\
             [[flow]]\nname = 'stream'\napp = 'client'\nremote = '{remote}'\n\
             [[flow]]\nname = 'datagrams'\napp = 'client'\nremote = '{remote}'\nprotocol = 'udp'\n\
             {more}\
             [[step]]\nname = 'go'\nat = '100ms'\nexec = ['touch', '{go}']\n",
            30 * slow(),
        )
    }

    /// Both flows are held for `ms` in this direction, from the start to the end.
    pub fn held(&self, count: u32, bytes: u64, direction: &str, ms: u32) -> String {
        let step = format!(
            "[[step]]\nname = 'far-away'\nat = '0s'\nfaults = [\n\
             {{ flow = 'stream', direction = '{direction}', delay = '{ms}ms' }},\n\
             {{ flow = 'datagrams', direction = '{direction}', delay = '{ms}ms' }},\n]\n"
        );
        format!("line = 'fq'\n{}", self.scenario(count, bytes, &step))
    }

    /// Runs it to its end, which has to be good.
    pub fn run(&self, scenario: &str) -> Report {
        let finished = Run::start(&self.lab, "out", scenario, &[]).finish();
        let report = finished.report();
        let client = fs::read_to_string(finished.out.join("apps/client.stderr"));
        assert_eq!(finished.code, 0, "{:#?}\n{client:?}\n{}", report.warnings, finished.stderr);
        assert_eq!(report.backends.line, "fq", "{report:#?}");
        report
    }

    /// What `client` or `server` has noted under that name.
    pub fn noted(&self, who: &str, what: &str) -> Value {
        let text = fs::read_to_string(self.lab.path().join(format!("{who}.notes")));
        let text = text.expect("there are notes");
        let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
        let found: Vec<Value> = lines.filter(|n| n["what"] == what).collect();
        assert_eq!(found.len(), 1, "`{what}` of {who}: {text}");
        found[0].clone()
    }

    /// Ends it, and sees that nothing is left.
    pub fn close(self) {
        drop(self.server);
        self.lab.close();
    }
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root_fq/apps/waits.py");

/// Numbers of a list.
pub fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list");
    list.iter().map(|n| n.as_f64().expect("a number")).collect()
}
