//! The run as a history that Jepsen's checkers read: EDN, one operation a line (docs/jepsen.md).
//!
//! A send is an operation: invoked when the app began it, completed when it knew. `:fail` means that it did
//! not happen, for certain; whatever is not proven is `:info`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::model::{Report, SendReport};
use crate::verdict::{Outcome, Verdict};

/// Renders it, with a line end; the same report gives the same bytes.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for (index, op) in history(report).iter().enumerate() {
        let _ = writeln!(out, "{}", line(index, op));
    }
    out
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Op<'a> {
    /// Since t = 0, ns.
    time: i64,
    kind: &'static str,
    /// `None`: the nemesis.
    process: Option<u32>,
    f: &'static str,
    value: &'a str,
    /// Further keys with their values, which are texts.
    more: Vec<(&'static str, &'a str)>,
}

fn line(index: usize, op: &Op<'_>) -> String {
    let process = op.process.map_or_else(|| ":nemesis".to_owned(), |p| p.to_string());
    let mut text = format!(
        "{{:index {index}, :time {}, :type :{}, :process {process}, :f :{}, :value {}",
        op.time,
        op.kind,
        op.f,
        quoted(op.value)
    );
    for (key, value) in &op.more {
        let _ = write!(text, ", :{key} {}", quoted(value));
    }
    text + "}"
}

/// A string of EDN.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn ns(ms: f64) -> i64 {
    (ms * 1e6).round() as i64
}

/// Which end of a send, in the order in which those of one moment come: what began earlier ends before
/// others begin, and nothing ends before it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    EndOfEarlier,
    Begin,
    EndAtOnce,
}

fn history(report: &Report) -> Vec<Op<'_>> {
    let sends = report.sends.iter().filter_map(|s| Some((s, s.id.as_deref()?)));
    let mut edges = Vec::new();
    for (n, (send, id)) in sends.enumerate() {
        let begin = ns(send.started_ms);
        let end = ns(send.finished_ms).max(begin);
        let last = if end == begin { Edge::EndAtOnce } else { Edge::EndOfEarlier };
        edges.push((begin, Edge::Begin, n, send, id));
        edges.push((end, last, n, send, id));
    }
    edges.sort_by_key(|(time, edge, n, ..)| (*time, *edge, *n));
    let mut processes = Processes::default();
    let mut ops = nemesis(report);
    for (time, edge, n, send, id) in edges {
        let (kind, process) = match edge {
            Edge::Begin => ("invoke", processes.begin(&send.app, n)),
            _ => (completion(send), processes.end(&send.app, n, completion(send))),
        };
        let more = if edge == Edge::Begin { vec![("app", &*send.app)] } else { told(send) };
        ops.push(Op { time, kind, process: Some(process), f: "send", value: id, more });
    }
    // Stable: operations of one moment stay in their order, after the nemesis.
    ops.sort_by_key(|op| op.time);
    ops
}

/// What is known of a send: only a failure that is proven is one.
fn completion(send: &SendReport) -> &'static str {
    match (send.outcome, send.verdict) {
        (Outcome::Ok, _) => "ok",
        (Outcome::Failed, Verdict::CleanFailure) => "fail",
        (Outcome::Failed | Outcome::None, _) => "info",
    }
}

fn told(send: &SendReport) -> Vec<(&'static str, &str)> {
    let mut more = vec![("app", &*send.app), ("verdict", send.verdict.name())];
    more.extend(send.flow.as_deref().map(|flow| ("flow", flow)));
    more
}

/// Faults armed and lifted, as Jepsen's plots of nemesis activity want them.
fn nemesis(report: &Report) -> Vec<Op<'_>> {
    let faulty: BTreeSet<&str> = report.faults.iter().map(|f| f.step.as_str()).collect();
    let steps = report.steps.iter().filter(|s| faulty.contains(s.name.as_str()));
    let mut ops = Vec::new();
    for step in steps {
        for (f, ms) in [("start", step.armed_ms), ("stop", step.lifted_ms)] {
            let op = |ms| Op {
                time: ns(ms),
                kind: "info",
                process: None,
                f,
                value: &step.name,
                more: vec![("what", &step.what)],
            };
            ops.extend(ms.map(op));
        }
    }
    ops
}

/// Logical processes: one operation each at a time. One whose operation ended in `:info` is never used
/// again, for that operation may yet take effect.
#[derive(Debug, Default)]
struct Processes<'a> {
    next: u32,
    idle: BTreeMap<&'a str, BTreeSet<u32>>,
    /// Of each send that is under way.
    busy: BTreeMap<usize, u32>,
}

impl<'a> Processes<'a> {
    fn begin(&mut self, app: &'a str, send: usize) -> u32 {
        let process = self.idle.entry(app).or_default().pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.busy.insert(send, process);
        process
    }

    fn end(&mut self, app: &'a str, send: usize, how: &str) -> u32 {
        let process = self.busy.remove(&send).unwrap_or_default();
        if how != "info" {
            self.idle.entry(app).or_default().insert(process);
        }
        process
    }
}

#[cfg(test)]
mod tests;
