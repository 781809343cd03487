//! Conservation: events against counters against TCP, and totals against sends.

use super::{Audit, Finding, Record};
use crate::ledger::audit::{self, Severity};
use crate::ledger::flow::FlowRecord;
use crate::report::model::Report;

pub(super) fn check(record: &Record<'_>, flows: &[FlowRecord], report: &Report, audit: &mut Audit) {
    let (recorded, found) = (record.end.recorded, record.entries.len() as u64);
    if recorded != found {
        audit.findings.push(Finding::Events { recorded, found });
    }
    let laws = audit::audit(flows, &record.end.counters, &report.sends, &report.verdicts);
    // That a fault met nothing fails a run, but everything adds up.
    let broken = |f: &audit::Finding| {
        f.severity() == Severity::Error && !matches!(f, audit::Finding::FaultMissed { .. })
    };
    audit.findings.extend(laws.into_iter().filter(broken).map(Finding::Law));
}
