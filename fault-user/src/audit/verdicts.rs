//! Verdicts made again from the events and the apps' words.

use std::time::Duration;

use super::agreement::Compare;
use super::{Audit, Finding, Record};
use crate::correlate::{self, Facts, Gap};
use crate::ledger::build;
use crate::ledger::entry::Entry;
use crate::report::model::{Report, SendReport};

pub(super) fn check(record: &Record<'_>, report: &Report, audit: &mut Audit) {
    let end = record.end;
    let until: Vec<Entry> = record.entries.iter().filter(|e| e.ts <= end.ts).copied().collect();
    let flows = build::build(&until);
    let facts = Facts {
        t0: record.t0,
        end: end.ts,
        late_after: end.late_after_ns.map(Duration::from_nanos),
        armed_at_end: end.armed.iter().map(|a| (a.flow, a.direction)).collect(),
        gaps: end.gaps.iter().map(|g| Gap { cookie: g.cookie, from: g.from, to: g.to }).collect(),
        names: record.names.clone(),
    };
    let again = correlate::correlate(&flows, record.messages, &facts);
    Compare(&mut audit.findings).same("the number of sends", report.sends.len(), again.sends.len());
    for (said, made) in report.sends.iter().zip(&again.sends) {
        audit.verdicts += 1;
        let (said_in_words, made_in_words) = (words(said), words(made));
        if said_in_words != made_in_words {
            let send = said.id.clone().unwrap_or_else(|| format!("at {} ms", said.started_ms));
            let (report, record) = (said_in_words, made_in_words);
            audit.findings.push(Finding::Verdict { send, report, record });
        }
    }
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
