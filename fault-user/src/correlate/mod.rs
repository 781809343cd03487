//! What the app said beside what the kernel saw: one verdict for every send.
//!
//! `messages` finds the send calls that carried a message, `attempts` says what became of their
//! bytes, `verdict` lays that beside the app's word, `cause` and `why` explain it. All of it is
//! pure: the same events and lines always give the same report.

mod attempts;
mod cause;
mod hands;
mod messages;
pub mod names;
mod report;
mod runs;
mod settle;
mod stragglers;
mod unaccounted;
mod unlogged;
mod unsized_messages;
mod verdict;
mod why;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use fault_common::rule::Direction;

use crate::ledger::flow::FlowRecord;
use crate::outcome::AppMessage;
use crate::report::model::SendReport;
use crate::verdict::Verdict;
use attempts::Attempt;
use names::Names;
pub(crate) use settle::{Cut, Settler};

/// Whatever the round trip, an acknowledgement within this is in time, ns.
const LATE_AT_LEAST: u64 = 1_000_000_000;

/// What the verdicts need to know of the run. Times are CLOCK_MONOTONIC ns.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// t = 0 of the run.
    pub t0: u64,
    /// When the run was over (before its faults were lifted).
    pub end: u64,
    /// The scenario's `late_after`; `None`: 4 x the flow's smallest rtt, at least 1 s.
    pub late_after: Option<Duration>,
    /// Flow indices and directions whose faults were on when the run ended.
    pub armed_at_end: Vec<(u32, Direction)>,
    /// Where events were lost.
    pub gaps: Vec<Gap>,
    /// What to call apps, flows and rules.
    pub names: Names,
}

/// A time in which events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Whose events; `None`: anyone's.
    pub cookie: Option<u64>,
    /// First and last moment, ns.
    pub from: u64,
    pub to: u64,
}

impl Gap {
    fn meets(&self, from: u64, to: u64) -> bool {
        self.from <= to && from <= self.to
    }
}

impl Facts {
    fn armed(&self, flow: &FlowRecord, direction: Direction) -> bool {
        flow.flow.is_some_and(|f| self.armed_at_end.contains(&(f, direction)))
    }

    fn late_after(&self, flow: &FlowRecord) -> u64 {
        let own = self.late_after.map(|d| d.as_nanos() as u64);
        own.unwrap_or_else(|| flow.min_rtt.map_or(0, |rtt| 4 * rtt).max(LATE_AT_LEAST))
    }
}

/// The verdicts of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlation {
    /// One per message and one per run of unclaimed sends, by the time they began.
    pub sends: Vec<SendReport>,
    /// Number of sends per verdict; every verdict is there, zeros too.
    pub verdicts: BTreeMap<String, u64>,
    pub warnings: Vec<String>,
}

/// A message with everything that was found out about it.
struct Judged<'a> {
    message: &'a AppMessage,
    attempts: Vec<Attempt<'a>>,
    /// Which sends are its own is not certain.
    shared: bool,
    /// Sends in its time that were not taken for it.
    foreign: usize,
}

/// Gives every message and every unclaimed send its verdict.
pub fn correlate(flows: &[FlowRecord], messages: &[AppMessage], facts: &Facts) -> Correlation {
    let sockets = names::sockets(flows, &facts.names);
    let flows = &*hands::by_sender(flows);
    let mut sends = Vec::new();
    let mut warnings = Vec::new();
    let mut apps: Vec<u32> = flows.iter().map(|f| f.app).collect();
    apps.extend(messages.iter().map(|m| m.app));
    apps.sort_unstable();
    apps.dedup();
    for app in apps {
        let mine: Vec<_> = flows.iter().filter(|f| f.app == app).collect();
        let mut said: Vec<_> = messages.iter().filter(|m| m.app == app).collect();
        said.sort_by_key(|m| (m.t0, m.t1));
        let claimed = messages::claim(&mine, &said);
        let judged = judged(&mine, &said, &claimed, facts);
        let rest = unlogged::groups(&mine, &claimed);
        let ctx = report::Context { facts, mine: &mine, sockets: &sockets, rest: &rest, let_go: 0 };
        let lines = by_id(&judged);
        for (i, j) in judged.iter().enumerate() {
            let later = retries(&judged, &lines[j.message.id.as_str()], i);
            let (send, warning) = ctx.message(j, &later);
            sends.push(send);
            warnings.extend(warning);
        }
        sends.extend(rest.iter().map(|g| ctx.unlogged(&Attempt::of_group(mine[g.flow], g, facts))));
    }
    sends.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
    Correlation { verdicts: totals(&sends), sends, warnings }
}

fn judged<'a>(
    flows: &[&'a FlowRecord],
    messages: &[&'a AppMessage],
    claimed: &[messages::Claimed],
    facts: &Facts,
) -> Vec<Judged<'a>> {
    let one = |(message, claimed): (&&'a AppMessage, &messages::Claimed)| {
        let since = message.timing_given.then_some(message.t0);
        let attempt = |c: &messages::Claim| Attempt::of_claim(flows[c.flow], c, since, facts);
        let mut attempts: Vec<_> = claimed.claims.iter().map(attempt).collect();
        attempts.sort_by_key(|a| a.begun);
        Judged { message, attempts, shared: claimed.shared, foreign: claimed.foreign }
    };
    messages.iter().zip(claimed).map(one).collect()
}

/// Positions of the messages of each id, and of those that repeat them under another, in order.
fn by_id<'j>(judged: &'j [Judged<'_>]) -> BTreeMap<&'j str, Vec<usize>> {
    let repeats: BTreeMap<&str, &str> = judged
        .iter()
        .filter_map(|j| Some((j.message.id.as_str(), j.message.retry_of.as_deref()?)))
        .collect();
    let mut lines: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (i, j) in judged.iter().enumerate() {
        let mut id = j.message.id.as_str();
        // As often as there are links: an app may say that two repeat each other.
        for _ in 0..=repeats.len() {
            let tries = lines.entry(id).or_default();
            if tries.last() != Some(&i) {
                tries.push(i);
            }
            let Some(of) = repeats.get(id) else { break };
            id = of;
        }
    }
    lines
}

/// Attempts of later outcome lines of the same message: the app tried again by itself.
fn retries<'j, 'a>(judged: &'j [Judged<'a>], lines: &[usize], of: usize) -> Vec<&'j Attempt<'a>> {
    let later = lines.iter().filter(|&&i| i > of);
    later.flat_map(|&i| &judged[i].attempts).collect()
}

fn totals(sends: &[SendReport]) -> BTreeMap<String, u64> {
    let mut totals: BTreeMap<_, _> =
        Verdict::ALL.iter().map(|v| (v.name().to_owned(), 0)).collect();
    for send in sends {
        *totals.entry(send.verdict.name().to_owned()).or_default() += 1;
    }
    totals
}
