//! Ground truth: what the server wrote down, held against what flowfault concluded.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fault_user::report::model::{Report, SendReport};
use fault_user::verdict::{Outcome, Verdict};
use serde_json::Value;

use super::slow;

/// One line of the server's receipts file.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub id: String,
    /// The client's address, as the server saw it.
    pub peer: String,
    /// Milliseconds since 1970.
    pub t_ms: u64,
}

/// All receipts in a file; none if there is no file yet.
pub fn receipts(path: &Path) -> Vec<Receipt> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written while the server goes on.
    let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    lines.map(receipt).collect()
}

fn receipt(line: &str) -> Receipt {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let text =
        |key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key}: {line}")).to_owned();
    let t_ms = value["t_ms"].as_u64().unwrap_or_else(|| panic!("no t_ms: {line}"));
    Receipt { id: text("id"), peer: text("peer"), t_ms }
}

/// Which way was dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// What the app sends is lost, whatever happens to the answers.
    Egress,
    /// Only what the app would receive is lost.
    Ingress,
}

/// Sends that are messages (the rest are handshakes and farewells), by id.
pub fn messages(report: &Report) -> BTreeMap<&str, &SendReport> {
    let mut found = BTreeMap::new();
    for send in &report.sends {
        if let Some(id) = send.id.as_deref() {
            assert!(found.insert(id, send).is_none(), "{id} is reported twice: {report:#?}");
        }
    }
    found
}

/// Holds each of `count` messages (`msg-1` and so on) against the receipts and what the app
/// itself said (`outcomes`, its stdout).
pub fn holds(report: &Report, receipts: &[Receipt], outcomes: &str, count: usize, outage: Outage) {
    let messages = messages(report);
    assert_eq!(messages.len(), count, "each message is judged once: {messages:#?}");
    assert_eq!(report.events.lost, 0, "without lost events nothing is excused: {report:#?}");
    let said = said(outcomes);
    // Once the run is over and its faults are lifted, a closed socket's kernel may still get its
    // bytes through; that is after what the report speaks of.
    let end = started_ms(report) + report.duration_ms;
    for n in 1..=count {
        let id = format!("msg-{n}");
        let send = messages.get(id.as_str()).unwrap_or_else(|| panic!("{id} is not judged"));
        let of_it: Vec<&Receipt> =
            receipts.iter().filter(|r| r.id == id && r.t_ms as f64 <= end).collect();
        arrival(send, &of_it, report, outage);
        let ok = matches!(said.get(&id).map(String::as_str), Some("ok" | "sent"));
        let outcome = if ok { Outcome::Ok } else { Outcome::Failed };
        assert_eq!(send.outcome, outcome, "the app said {:?}: {send:#?}", said.get(&id));
    }
}

/// t = 0 of a run in milliseconds since 1970.
pub fn started_ms(report: &Report) -> f64 {
    let started: jiff::Timestamp = report.started.parse().expect("RFC 3339");
    started.as_nanosecond() as f64 / 1e6
}

/// The relation between a verdict and the server's receipts of that message.
fn arrival(send: &SendReport, receipts: &[&Receipt], report: &Report, outage: Outage) {
    let told = || format!("{send:#?} has {receipts:?}; flows: {:#?}", report.flows);
    match send.verdict {
        Verdict::Delivered | Verdict::Late | Verdict::FalseFailure => {
            assert!(!receipts.is_empty(), "{}", told());
        }
        Verdict::Rerouted => {
            assert!(!receipts.is_empty() && send.via.len() > 1, "{}", told());
            let last = send.via.last().map(String::as_str);
            assert!(receipts.iter().any(|r| flow_of(r, report) == last), "{}", told());
        }
        Verdict::SilentLoss | Verdict::CleanFailure => assert!(receipts.is_empty(), "{}", told()),
        // Its data got out whole and only the way back was dark: the server must have it. While
        // the way out is dark, nothing can have left, so the two generals have no case.
        Verdict::Unconfirmed | Verdict::AmbiguousFailure => {
            assert_eq!(outage, Outage::Ingress, "{}", told());
            assert!(!receipts.is_empty(), "{}", told());
        }
        // A closed socket whose FIN gets no ack lives on in the kernel: nothing is final yet.
        Verdict::Pending => assert_eq!(outage, Outage::Ingress, "{}", told()),
        // Not false, and what is left where a busy host stops the guest in the middle of a send:
        // the time that the app tells is then not the kernel's. The test bounds how many.
        Verdict::Unknown if slow() > 1 => return,
        Verdict::Unlogged | Verdict::Unknown => panic!("no verdict: {}", told()),
    }
    for receipt in receipts {
        let flow = flow_of(receipt, report).unwrap_or_else(|| panic!("no flow: {}", told()));
        assert!(send.via.iter().any(|v| v == flow), "{}", told());
    }
}

/// Name of the flow that a receipt's message came over: the server saw its local address.
fn flow_of<'a>(receipt: &Receipt, report: &'a Report) -> Option<&'a str> {
    let flow = report.flows.iter().find(|f| f.local == receipt.peer);
    flow.map(|f| f.name.as_str())
}

/// The status that the app gave for each id.
fn said(outcomes: &str) -> BTreeMap<String, String> {
    let lines = outcomes.lines().filter(|l| l.starts_with('{'));
    let values =
        lines.map(|l| serde_json::from_str::<Value>(l).unwrap_or_else(|e| panic!("{e}: {l}")));
    let text = |v: &Value, key: &str| {
        v[key].as_str().unwrap_or_else(|| panic!("no {key}: {v}")).to_owned()
    };
    values.map(|v| (text(&v, "id"), text(&v, "status"))).collect()
}

/// How many messages have this verdict.
pub fn count(report: &Report, verdict: Verdict) -> usize {
    messages(report).values().filter(|s| s.verdict == verdict).count()
}
