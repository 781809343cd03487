//! What report.json says against the record.

use std::collections::BTreeMap;
use std::fmt::Display;

use fault_common::rule::Direction;

use super::{Audit, Finding, Record};
use crate::ledger::audit::{Account, SlotCounters};
use crate::report::model::{Counters, Report};

pub(super) fn check(record: &Record<'_>, accounts: &[Account], report: &Report, audit: &mut Audit) {
    let mut compare = Compare(&mut audit.findings);
    let end = record.end;
    compare.same("the seed", report.seed, record.seed);
    compare.same("recorded events", report.events.recorded, end.recorded);
    compare.same("lost events", report.events.lost, end.counters.lost);
    flows(record, accounts, report, &mut compare);
    faults(record, report, &mut compare);
}

/// Gathers what differs.
pub(super) struct Compare<'a>(pub &'a mut Vec<Finding>);

impl Compare<'_> {
    pub fn same<T: PartialEq + Display>(&mut self, what: &str, report: T, record: T) {
        if report != record {
            let (report, record) = (report.to_string(), record.to_string());
            self.0.push(Finding::Report { what: what.to_owned(), report, record });
        }
    }
}

fn flows(record: &Record<'_>, accounts: &[Account], report: &Report, compare: &mut Compare<'_>) {
    let slots: BTreeMap<u64, u32> = accounts.iter().map(|a| (a.cookie, a.slot)).collect();
    let counters: BTreeMap<(u32, Direction), &SlotCounters> =
        record.end.counters.slots.iter().map(|c| ((c.slot, c.direction), c)).collect();
    for flow in &report.flows {
        let Some(slot) = slots.get(&flow.cookie) else {
            compare.same(&format!("events of socket {}", flow.cookie), "some", "none");
            continue;
        };
        for (direction, said) in Direction::BOTH.into_iter().zip([flow.egress, flow.ingress]) {
            let Some(counted) = counters.get(&(*slot, direction)) else { continue };
            let what =
                |of: &str| format!("{of} of flow `{}` {direction:?}", flow.name).to_lowercase();
            compare.same(&what("packets"), said.packets, counted.packets);
            // What the line lost for want of room is no fault's.
            let Counters { dropped, .. } = said;
            let at_most = dropped.min(counted.dropped);
            compare.same(&what("dropped packets"), dropped, at_most);
        }
    }
}

fn faults(record: &Record<'_>, report: &Report, compare: &mut Compare<'_>) {
    let counted = &record.end.counters.rules;
    compare.same("faults", report.faults.len(), record.names.rules.len());
    for (fault, counted) in report.faults.iter().zip(counted) {
        let name = format!("{}: {} {} {}", fault.step, fault.flow, fault.direction, fault.fault);
        compare.same("the name of a fault", &name, &counted.name);
        compare.same(&format!("packets that `{name}` judged"), fault.matched, counted.matched);
        compare.same(&format!("packets that `{name}` acted on"), fault.acted, counted.acted);
    }
}
