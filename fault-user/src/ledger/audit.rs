//! Whether the evidence of a finished run can be true at all.
//!
//! The exact counters and the events come from different places in the kernel; what one says must
//! not contradict the other, nor what TCP itself says. A run whose evidence does is no evidence.

#![expect(missing_docs, reason = "fields whose name says it all")]

use std::collections::BTreeMap;
use std::ops::Range;

use fault_common::rule::Direction;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::flow::FlowRecord;
use super::law::Law;
use crate::report::model::SendReport;

/// The kernel's exact counters at the end of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Per socket and direction.
    pub slots: Vec<SlotCounters>,
    /// Per rule, by its index in the plan.
    pub rules: Vec<RuleCounters>,
    /// Events that did not fit into the ring buffer.
    pub lost: u64,
    /// Packets that known sockets sent and that could not be parsed; they passed.
    pub unparsed: u64,
}

/// Packets of one socket in one direction, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCounters {
    /// Index of the socket's counters, as events carry it.
    pub slot: u32,
    /// Which way.
    #[serde(with = "super::lines::direction")]
    pub direction: Direction,
    /// All packets.
    pub packets: u64,
    /// Those that a fault lost.
    pub dropped: u64,
}

/// Packets of one rule, as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounters {
    /// `STEP: flow direction fault`.
    pub name: String,
    /// Packets that it judged.
    pub matched: u64,
    /// Those that it acted on.
    pub acted: u64,
    /// Of those: went no further for it.
    pub ended: u64,
    /// The scenario allows it to meet no packet.
    pub may_miss: bool,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a line in the report.
    Warning,
    /// The run's results cannot be trusted, or the run did not do what it was for.
    Error,
}

/// Something that cannot, or should not, be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Finding {
    /// TCP has an ack for bytes that never went out.
    #[error(
        "evidence error: bytes {from}..{to} of socket {cookie} were acknowledged although every copy of them is on record as dropped: the drops did not happen, please report this"
    )]
    AckedThoughDropped { cookie: u64, from: i64, to: i64, certain: bool },
    /// More was dropped than came.
    #[error("evidence error: {what} counts {part} packets out of {whole}: please report this")]
    PartExceedsWhole { what: String, part: u64, whole: u64 },
    /// Events and counters disagree although no event was lost.
    #[error(
        "evidence error: {what} counts {counted} dropped packets, the events tell of {recorded}: please report this"
    )]
    EventsAndCountersDiffer { what: String, counted: u64, recorded: u64 },
    /// A fault was for nothing.
    #[error("fault `{rule}` met no packet: check its flow and its time, or set may_miss = true")]
    FaultMissed { rule: String },
    /// A fault met packets, and chance or its numbers spared all of them.
    #[error("fault `{rule}` met {matched} packets and acted on none")]
    FaultNeverActed { rule: String, matched: u64 },
    /// A socket that the scenario does not name was faulted.
    #[error(
        "evidence error: {dropped} packets of socket {cookie} were dropped, which no [[flow]] selects: please report this"
    )]
    BystanderTouched { cookie: u64, dropped: u64 },
    /// Some send has no verdict, or two.
    #[error("evidence error: {verdicts} verdicts for {sends} sends: please report this")]
    VerdictsDoNotAddUp { verdicts: u64, sends: u64 },
    /// Verdicts around lost events are `unknown`.
    #[error("{0} events did not fit into the ring buffer: sends around them are `unknown`")]
    EventsLost(u64),
    /// Faults do not act on what cannot be told apart.
    #[error(
        "{0} packets that the run's sockets sent could not be parsed (later fragments, ESP): no fault acted on them and no send has them"
    )]
    Unparsed(u64),
}

impl Finding {
    /// Whether the run fails for it.
    pub fn severity(&self) -> Severity {
        match self {
            Self::FaultNeverActed { .. } | Self::EventsLost(_) | Self::Unparsed(_) => {
                Severity::Warning
            }
            Self::AckedThoughDropped { certain: false, .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// What the events tell of one socket.
#[derive(Debug, Clone)]
pub struct Account {
    pub cookie: u64,
    /// Index of its counters.
    pub slot: u32,
    /// Whether a `[[flow]]` selects it.
    pub selected: bool,
    /// Packets that faults lost, as on the wire, by direction and rule.
    pub told: BTreeMap<(Direction, Option<u32>), u64>,
    /// Bytes of which TCP has an ack that contradicts their drops.
    pub broken: Option<Range<i64>>,
}

impl Account {
    /// That of a record that is held whole.
    pub fn of(flow: &FlowRecord) -> Self {
        let mut law = Law::new(flow.acked_before());
        law.take(flow.proto, &flow.tx, &flow.acks);
        let mut told = BTreeMap::new();
        for c in flow.tx.iter().filter(|c| c.dropped && !c.discarded) {
            *told.entry((Direction::Egress, c.rule)).or_default() += u64::from(c.segs);
        }
        for r in flow.lost_rx.iter().filter(|r| !r.discarded) {
            *told.entry((Direction::Ingress, r.rule)).or_default() += u64::from(r.segs);
        }
        let selected = flow.flow.is_some();
        Self { cookie: flow.cookie, slot: flow.slot, selected, told, broken: law.broken }
    }

    fn sum(&self, of: impl Fn(Direction, Option<u32>) -> bool) -> u64 {
        self.told.iter().filter(|((d, r), _)| of(*d, *r)).map(|(_, n)| n).sum()
    }
}

/// Checks a finished run. `sends` and `verdicts` as [`crate::correlate::correlate`] gives them.
pub fn audit(
    flows: &[FlowRecord],
    counters: &Counters,
    sends: &[SendReport],
    verdicts: &BTreeMap<String, u64>,
) -> Vec<Finding> {
    let accounts: Vec<Account> = flows.iter().map(Account::of).collect();
    audit_accounts(&accounts, counters, (sends, 0), verdicts)
}

/// The same of what was kept of it; `omitted` sends are in `verdicts` alone.
pub fn audit_accounts(
    flows: &[Account],
    counters: &Counters,
    (sends, omitted): (&[SendReport], u64),
    verdicts: &BTreeMap<String, u64>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for flow in flows {
        if let Some(Range { start: from, end: to }) = flow.broken {
            // Certain: no event was lost, so a copy that went out would be on record.
            let (cookie, certain) = (flow.cookie, counters.lost == 0);
            findings.push(Finding::AckedThoughDropped { cookie, from, to, certain });
        }
    }
    for slot in &counters.slots {
        findings.extend(slot_findings(slot, flows, counters.lost));
    }
    findings.extend(bystanders(flows, counters));
    for (id, rule) in counters.rules.iter().enumerate() {
        findings.extend(rule_findings(id as u32, rule, flows, counters.lost));
    }
    findings.extend(verdict_findings(sends, omitted, verdicts));
    if counters.lost > 0 {
        findings.push(Finding::EventsLost(counters.lost));
    }
    if counters.unparsed > 0 {
        findings.push(Finding::Unparsed(counters.unparsed));
    }
    findings
}

fn slot_findings(slot: &SlotCounters, flows: &[Account], lost: u64) -> Vec<Finding> {
    let what = format!("socket slot {} {:?}", slot.slot, slot.direction).to_lowercase();
    let own = flows.iter().filter(|f| f.slot == slot.slot);
    let told = own.map(|f| f.sum(|d, _| d == slot.direction)).sum();
    let mut findings = part_of(&what, slot.dropped, slot.packets);
    findings.extend(agree(what, slot.dropped, told, lost));
    findings
}

fn rule_findings(id: u32, rule: &RuleCounters, flows: &[Account], lost: u64) -> Vec<Finding> {
    let what = format!("fault `{}`", rule.name);
    let told = flows.iter().map(|f| f.sum(|_, rule| rule == Some(id))).sum();
    let mut findings = part_of(&what, rule.acted, rule.matched);
    findings.extend(agree(what, rule.ended, told, lost));
    match (rule.matched, rule.acted) {
        (0, _) if !rule.may_miss => findings.push(Finding::FaultMissed { rule: rule.name.clone() }),
        (1.., 0) => findings
            .push(Finding::FaultNeverActed { rule: rule.name.clone(), matched: rule.matched }),
        _ => {}
    }
    findings
}

fn part_of(what: &str, part: u64, whole: u64) -> Vec<Finding> {
    let finding = Finding::PartExceedsWhole { what: what.to_owned(), part, whole };
    if part > whole { vec![finding] } else { Vec::new() }
}

/// Every dropped packet has an event, unless that was lost; no event tells of another packet.
fn agree(what: String, counted: u64, recorded: u64, lost: u64) -> Option<Finding> {
    let fine = recorded == counted || (lost > 0 && recorded < counted);
    (!fine).then_some(Finding::EventsAndCountersDiffer { what, counted, recorded })
}

fn bystanders(flows: &[Account], counters: &Counters) -> Vec<Finding> {
    let touched = |flow: &Account| {
        let slots = counters.slots.iter().filter(|s| s.slot == flow.slot);
        let counted: u64 = slots.map(|s| s.dropped).sum();
        let dropped = counted.max(flow.sum(|_, _| true));
        (dropped > 0).then_some(Finding::BystanderTouched { cookie: flow.cookie, dropped })
    };
    flows.iter().filter(|f| !f.selected).filter_map(touched).collect()
}

fn verdict_findings(
    sends: &[SendReport],
    omitted: u64,
    totals: &BTreeMap<String, u64>,
) -> Option<Finding> {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for send in sends {
        *counted.entry(send.verdict.name()).or_default() += 1;
    }
    let same = totals.iter().all(|(v, n)| {
        let counted = counted.get(v.as_str()).copied().unwrap_or(0);
        counted == *n || (omitted > 0 && counted <= *n)
    });
    let verdicts: u64 = totals.values().sum();
    let sends = sends.len() as u64 + omitted;
    (!same || verdicts != sends).then_some(Finding::VerdictsDoNotAddUp { verdicts, sends })
}
