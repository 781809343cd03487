//! Which of several connections a `[[flow]]` means, key by key. The app opens them one after the other; those that
//! are meant are dark from their SYN on, the others know nothing of it.

mod hello;
mod names;
mod narrowed;
mod ranges;

use std::fs;

use fault_user::report::model::{FlowReport, Report};
use serde_json::Value;

use crate::support::process::Process;
use crate::support::run::{Finished, Run};
use crate::support::scenarios::quoted;
use crate::support::{Lab, command, python, script, stretched};

/// Where the echo servers listen, at the far end of the cable and next to it.
const SERVERS: [&str; 5] =
    ["10.77.0.2:7800", "10.77.0.2:7801", "10.77.0.2:7900", "10.88.0.2:7800", "[fd77::2]:7800"];

/// A laboratory with echo servers.
struct Scene {
    lab: Lab,
    _servers: Process,
}

/// What the app says of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: String,
    connected: bool,
    greeted: Option<bool>,
    echoes: u64,
    retransmits: u64,
    local: u64,
}

/// What became of a run: the app's word, and the report.
#[derive(Debug)]
struct Outcome {
    accounts: Vec<Account>,
    report: Report,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::pair();
        let far = lab.far.as_ref().expect("a pair");
        far.ip("addr add 10.88.0.2/32 dev lo");
        lab.near.ip("route add 10.88.0.0/16 via 10.77.0.2");
        let servers = command(python(), &format!("{} {}", script("echoes.py"), SERVERS.join(" ")));
        let servers = Process::start(servers, far, &lab.path().join("echoes"));
        servers.says("listening");
        Self { lab, _servers: servers }
    }

    /// A scenario in which the app opens these connections, and the flow `dark` loses everything.
    fn scenario(&self, connections: &[&str], flow: &str) -> String {
        let account = self.lab.file("account");
        let arguments = format!("{} {account} 0.4 {}", script("dialer.py"), connections.join(" "));
        let dialer = quoted(python(), &arguments);
        format!(
            "schema = 1\nname = 'selected'\nseed = 7\nduration = '{}'\n\
             [[app]]\nname = 'dialer'\ncommand = {dialer}\nready = {{ log = 'ready' }}\nmain = true\n\
             [[flow]]\nname = 'dark'\n{flow}\n\
             [[step]]\nname = 'outage'\nat = '0s'\nfaults = [{{ flow = 'dark', drop = 1.0 }}]\n",
            stretched(20_000),
        )
    }

    /// Runs it to its end.
    fn finish(&self, connections: &[&str], flow: &str) -> Finished {
        let name = format!("run-{}", fs::read_dir(self.lab.path()).expect("ours").count());
        Run::start(&self.lab, &name, &self.scenario(connections, flow), &[]).finish()
    }

    /// What becomes of them.
    fn run(&self, connections: &[&str], flow: &str) -> Outcome {
        self.outcome(self.finish(connections, flow).expect(0))
    }

    /// With the account of the app.
    fn outcome(&self, report: Report) -> Outcome {
        let text = fs::read_to_string(self.lab.path().join("account")).expect("the app is done");
        let accounts = text.lines().map(account).collect();
        Outcome { accounts, report }
    }

    fn close(self) {
        drop(self._servers);
        self.lab.close();
    }
}

fn account(line: &str) -> Account {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let number = |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("no {key}: {value}"));
    Account {
        name: value["name"].as_str().expect("it has a name").to_owned(),
        connected: value["connected"].as_bool().expect("it says so"),
        greeted: value["greeted"].as_bool(),
        echoes: number("echoes"),
        retransmits: number("retransmits"),
        local: number("local"),
    }
}

impl Outcome {
    fn flow(&self, account: &Account) -> &FlowReport {
        let port = format!(":{}", account.local);
        let found = self.report.flows.iter().find(|f| f.local.ends_with(&port));
        found.unwrap_or_else(|| panic!("no {account:?}: {:#?}", self.report.flows))
    }

    /// Just the connections whose names begin with `dark` met the fault, and from their SYN on; the others were whole.
    fn dark_from_the_syn(&self) {
        assert!(self.accounts.iter().any(|a| a.name.starts_with("dark")), "{self:#?}");
        for account in &self.accounts {
            let flow = self.flow(account);
            if account.name.starts_with("dark") {
                assert!(!account.connected, "{account:?}");
                assert_eq!(flow.name, "dark", "{account:?} {flow:#?}");
                assert!(flow.egress.dropped > 0, "{flow:#?}");
                assert_eq!(flow.egress.dropped, flow.egress.packets, "{flow:#?}");
            } else {
                self.whole(account);
            }
        }
    }

    fn whole(&self, account: &Account) {
        let flow = self.flow(account);
        assert_eq!((account.connected, account.echoes), (true, 4), "{account:?} {flow:#?}");
        assert_eq!(account.retransmits, 0, "{account:?}");
        assert!(!flow.selected, "{account:?} {flow:#?}");
        assert_eq!((flow.egress.dropped, flow.ingress.dropped), (0, 0), "{flow:#?}");
        assert!(flow.egress.packets > 0, "{flow:#?}");
    }
}
