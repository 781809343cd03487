//! Conservation: events against counters against TCP, and totals against sends.

use super::{Audit, Finding, Record};
use crate::ledger::audit::{self, Account, Severity};
use crate::report::model::Report;

pub(super) fn check(record: &Record<'_>, flows: &[Account], report: &Report, audit: &mut Audit) {
    let (recorded, found) = (record.end.recorded, record.events);
    if recorded != found {
        audit.findings.push(Finding::Events { recorded, found });
    }
    let laws = audit::audit_accounts(
        flows,
        &record.end.counters,
        (&report.sends, report.sends_omitted),
        &report.verdicts,
    );
    // That a fault met nothing fails a run, but everything adds up.
    let broken = |f: &audit::Finding| {
        f.severity() == Severity::Error && !matches!(f, audit::Finding::FaultMissed { .. })
    };
    audit.findings.extend(laws.into_iter().filter(broken).map(Finding::Law));
}
