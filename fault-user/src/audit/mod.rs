//! Whether a finished run adds up, from what its files say and nothing else: `flowfault report DIR --audit`.
//! The run itself asks the same before it writes its report.
//!
//! | file | responsibility |
//! |---|---|
//! | `laws` | the conservation laws of [`crate::ledger::audit`], on the record |
//! | `decisions` | each decision of the hook made again by `fault_common::decide` |
//! | `agreement` | report.json against the record |
//! | `verdicts` | all verdicts made again, against report.json |
//! | `long` | all of that for a run of which memory holds only a part |
//! | `finding` | what can be wrong |

mod agreement;
mod decisions;
mod finding;
mod laws;
mod long;
mod verdicts;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::correlate::names::Names;
use crate::correlate::{Facts, Gap};
use crate::ledger::audit::Account;
use crate::ledger::build;
use crate::ledger::lines::End;
use crate::ledger::store::{self, Events, ReadError, Reader};
use crate::report::model::{AuditReport, Report};
use crate::report::write;

pub use decisions::Decisions;
pub use finding::Finding;

/// What a run has left, but for the events themselves.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// t = 0, CLOCK_MONOTONIC ns.
    pub t0: u64,
    /// Of every random decision.
    pub seed: u64,
    /// What indices stand for.
    pub names: &'a Names,
    /// Number of events.
    pub events: u64,
    /// How it ended.
    pub end: &'a End,
}

/// What an audit has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// What does not add up.
    pub findings: Vec<Finding>,
    /// Events, decisions and verdicts that were looked at.
    pub events: u64,
    /// Decisions of the hook that were made again.
    pub decisions: u64,
    /// Packets that it judged by more than the record has: rules that count beside others that do, or
    /// that draw.
    pub undecided: u64,
    /// Verdicts that were made again.
    pub verdicts: u64,
}

impl Audit {
    /// As report.json has it.
    pub fn report(&self) -> AuditReport {
        AuditReport {
            events: self.events,
            decisions: self.decisions,
            undecided: self.undecided,
            verdicts: self.verdicts,
            findings: self.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Why there is nothing to audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No report.
    #[error(transparent)]
    Report(#[from] write::Error),
    /// No events.
    #[error("cannot open {}: the audit needs the whole directory of a run", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Events that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
}

/// Audits a record and what the run itself says of it, after `decisions` has seen every event. Verdicts are not made
/// again: that is for whoever has nothing but the files.
pub fn of_run(
    record: &Record<'_>,
    accounts: &[Account],
    decisions: Decisions<'_>,
    report: &Report,
) -> Audit {
    let mut audit = Audit { events: record.events, ..Audit::default() };
    laws::check(record, accounts, report, &mut audit);
    decisions.finish(&mut audit);
    agreement::check(record, accounts, report, &mut audit);
    audit
}

/// Audits a directory.
///
/// # Errors
/// [`AuditError`]: its files cannot be read. What is wrong in them is a finding.
pub fn of_dir(dir: &Path) -> Result<Audit, AuditError> {
    let report = write::load(dir)?;
    let path = write::events(dir);
    let reader = open(&path)?;
    if let Some(held) = reader.header().held {
        return long::of_dir(dir, &path, held, &report);
    }
    let events = reader.all().map_err(|source| AuditError::Read { path, source })?;
    Ok(of_files(&events, &report))
}

fn open(path: &Path) -> Result<Reader<Box<dyn BufRead>>, AuditError> {
    let failed = |source| AuditError::Open { path: path.to_owned(), source };
    let input = store::input(path).map_err(failed)?;
    Reader::new(input).map_err(|source| AuditError::Read { path: path.to_owned(), source })
}

/// Audits what the two files hold.
pub fn of_files(events: &Events, report: &Report) -> Audit {
    let found = events.entries.len() as u64;
    let Some(end) = &events.end else {
        let findings = vec![Finding::NoEnd];
        return Audit { findings, events: found, ..Audit::default() };
    };
    let names = events.header.names();
    let seed = events.header.seed;
    let record = Record { t0: events.header.t0, seed, names: &names, events: found, end };
    let mut decisions = Decisions::new(&events.armed, seed, &names);
    events.entries.iter().for_each(|entry| decisions.note(entry));
    let flows = build::build(&events.entries);
    let accounts: Vec<Account> = flows.iter().map(Account::of).collect();
    let mut audit = of_run(&record, &accounts, decisions, report);
    verdicts::check(&record, events, report, &mut audit);
    audit
}

/// What the record has of what verdicts are made from.
fn facts(record: &Record<'_>) -> Facts {
    let end = record.end;
    Facts {
        t0: record.t0,
        end: end.ts,
        late_after: end.late_after_ns.map(Duration::from_nanos),
        armed_at_end: end.armed.iter().map(|a| (a.flow, a.direction)).collect(),
        gaps: end.gaps.iter().map(|g| Gap { cookie: g.cookie, from: g.from, to: g.to }).collect(),
        names: record.names.clone(),
    }
}
