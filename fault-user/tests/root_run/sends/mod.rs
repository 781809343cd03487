//! Byte ranges under everything that apps do: each message stands where the server found it in its stream.
//!
//! The server writes down the place of each message; flowfault learns it from the kernel. Neither knows
//! of the other.

mod calls;
mod hands;
mod streams;
mod threads;
mod tiers;

use std::fs;

use fault_user::report::model::{Report, SendReport};
use fault_user::verdict::{Confidence, Verdict};
use serde_json::Value;

use crate::support::run::{Finished, Run};
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, python, script, stretched};

/// How sends.py tells its outcomes.
const OUTCOMES: &str = "[app.outcomes]\nid = 'id'\nstatus = 'status'\nbytes = 'bytes'\n\
    elapsed_ms = 'elapsed_ms'\nok = ['ok']\nfailed = ['error']\n";

/// A server, an app that sends to it, and what happens to the app's connection.
struct Scene<'a> {
    lab: &'a Lab,
    /// Options of recorder.py.
    server: &'a str,
    /// Arguments of sends.py, or a whole command.
    app: String,
    /// What the only fault does, if there is one.
    fault: &'a str,
    options: &'a [&'a str],
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab, app: &str) -> Self {
        let app = quoted(python(), &format!("{} 127.0.0.1 7600 {app}", script("sends.py")));
        Self { lab, server: "", app, fault: "", options: &[] }
    }

    fn text(&self) -> String {
        let receipts = self.lab.file("receipts");
        let server = format!("{} 127.0.0.1 7600 {receipts} {}", script("recorder.py"), self.server);
        let step = match self.fault {
            "" => String::new(),
            fault => format!(
                "[[step]]\nname = 'fault'\nat = '0s'\nfaults = [{{ flow = 'it', {fault} }}]\n"
            ),
        };
        format!(
            "schema = 1\nname = 'sends'\nseed = 7\nduration = '{}'\nlate_after = '30s'\n\
             [[app]]\nname = 'server'\nmain = false\nready = {{ log = 'listening' }}\ncommand = {}\n\
             [[app]]\nname = 'app'\nready = {{ log = 'connected' }}\ncommand = {}\n{OUTCOMES}\
             [[flow]]\nname = 'it'\napp = 'app'\nremote = '127.0.0.1:7600'\nmax_flows = 20\n{step}",
            stretched(25_000),
            quoted(python(), &server),
            self.app,
        )
    }

    fn run(&self) -> Finished {
        Run::start(self.lab, "out", &self.text(), self.options).finish()
    }

    fn receipts(&self) -> Vec<Receipt> {
        let text = fs::read_to_string(self.lab.path().join("receipts")).expect("the server's");
        text.lines().map(Receipt::read).collect()
    }
}

/// Where the server found something.
#[derive(Debug, Clone)]
struct Receipt {
    id: String,
    peer: String,
    from: u64,
    to: u64,
}

impl Receipt {
    fn read(line: &str) -> Self {
        let v: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |key: &str| v[key].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
        let from = v["from"].as_u64().unwrap_or(0);
        Self { id: text("id"), peer: text("peer"), from, to: v["to"].as_u64().expect("a number") }
    }
}

/// Each message is where the server found it, and nothing was sent that is no message.
fn agree(report: &Report, receipts: &[Receipt]) {
    let found = messages(report);
    let lines: Vec<&Receipt> = receipts.iter().filter(|r| r.id != "eof").collect();
    assert_eq!(found.len(), lines.len(), "{:?}\n{found:#?}", lines);
    for r in lines {
        let send = found[r.id.as_str()];
        assert_eq!(send.stream, Some([r.from, r.to]), "{r:?} {send:#?}");
        assert_eq!(send.bytes, r.to - r.from, "{send:#?}");
        arrived(send);
        let flow = report.flows.iter().find(|f| f.local == r.peer);
        assert_eq!(send.cookie, flow.map(|f| f.cookie), "{r:?} {send:#?}");
    }
    let rest: Vec<_> = report.sends.iter().filter(|s| s.id.is_none()).collect();
    assert!(rest.is_empty(), "{rest:#?}");
}

fn arrived(send: &SendReport) {
    assert!(matches!(send.verdict, Verdict::Delivered | Verdict::Late), "{send:#?}");
}

/// Whether the kernel tells where the bytes of each call begin (Linux 6.16).
fn is_placed(report: &Report) -> bool {
    !report.evidence.blind_spots.iter().any(|spot| spot.contains("are known together"))
}

/// Whether the report says that it does not see these.
fn is_blind(report: &Report, what: &str) -> bool {
    let spots = report.evidence.blind_spots.iter();
    spots.filter(|s| s.contains("not seen")).any(|s| s.contains(what))
}

fn are_unknown(report: &Report) {
    for send in messages(report).values() {
        let found = (send.verdict, send.confidence);
        assert_eq!(found, (Verdict::Unknown, Confidence::Gap), "{send:#?}");
    }
}
