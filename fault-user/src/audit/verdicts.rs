//! Verdicts made again from the events and the apps' words.

use super::agreement::Compare;
use super::{Audit, Finding, Record, facts};
use crate::correlate;
use crate::expect::Tally;
use crate::ledger::build;
use crate::ledger::entry::Entry;
use crate::ledger::store::Events;
use crate::report::kept::{Kept, SENDS};
use crate::report::model::{Report, SendReport};

pub(super) fn check(record: &Record<'_>, events: &Events, report: &Report, audit: &mut Audit) {
    let end = record.end.ts;
    let parts = events.entries.iter().flat_map(Entry::parts);
    let until: Vec<Entry> = parts.filter(|e| e.ts <= end).collect();
    let flows = build::build(&until);
    let again = correlate::correlate(&flows, &events.messages, &facts(record));
    let mut kept = Kept::new(SENDS, Tally::new(false), None);
    again.sends.into_iter().for_each(|send| kept.add(send));
    audit.verdicts += kept.total();
    compare(report, kept, audit);
}

/// What report.json has of all the sends.
pub(super) fn compare(report: &Report, kept: Kept, audit: &mut Audit) {
    let (again, _) = kept.finish();
    let mut differs = Compare(&mut audit.findings);
    differs.same("the number of sends", report.sends.len(), again.sends.len());
    differs.same("the number of other sends", report.sends_omitted, again.omitted);
    // Of the others all that report.json has is how many fared how.
    for (verdict, made) in again.verdicts.iter().filter(|_| again.omitted > 0) {
        let said = report.verdicts.get(verdict).copied().unwrap_or(0);
        differs.same(&format!("the number of verdicts {verdict}"), said, *made);
    }
    for (said, made) in report.sends.iter().zip(&again.sends) {
        audit.findings.extend(finding(said, made));
    }
}

/// What is wrong with a verdict that was made again.
pub(super) fn finding(said: &SendReport, made: &SendReport) -> Option<Finding> {
    let (report, record) = (words(said), words(made));
    let send = || said.id.clone().unwrap_or_else(|| format!("at {} ms", said.started_ms));
    (report != record).then(|| Finding::Verdict { send: send(), report, record })
}

/// Everything that a verdict is about but its times, which lose digits on their way through JSON.
fn words(send: &SendReport) -> String {
    let stream = send.stream.map_or_else(|| "no bytes".into(), |[a, b]| format!("bytes {a}..{b}"));
    format!(
        "{}{} {} ({}, {}; {stream} of socket {}, {} dropped, {} sent again{}, {})",
        send.id.as_deref().map(|id| format!("{id}: ")).unwrap_or_default(),
        match send.outcome {
            crate::verdict::Outcome::Ok => "ok,",
            crate::verdict::Outcome::Failed => "failed,",
            crate::verdict::Outcome::None => "nothing said,",
        },
        send.verdict.name(),
        word(&send.cause),
        word(&send.confidence),
        send.cookie.map_or_else(|| "?".into(), |c| c.to_string()),
        send.drops,
        send.retransmits,
        send.rule.as_deref().map(|r| format!(", {r}")).unwrap_or_default(),
        if send.acked_ms.is_some() { "acknowledged" } else { "not acknowledged" },
    )
}

fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}
