//! Whether a finished run adds up, from what its files say and nothing else: `flowfault report DIR --audit`.
//! The run itself asks the same before it writes its report.
//!
//! | file | responsibility |
//! |---|---|
//! | `laws` | the conservation laws of [`crate::ledger::audit`], on the record |
//! | `decisions` | each decision of the hook made again by `fault_common::decide` |
//! | `agreement` | report.json against the record |
//! | `verdicts` | all verdicts made again, against report.json |
//! | `finding` | what can be wrong |

mod agreement;
mod decisions;
mod finding;
mod laws;
mod verdicts;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::correlate::names::Names;
use crate::ledger::build;
use crate::ledger::entry::Entry;
use crate::ledger::flow::FlowRecord;
use crate::ledger::lines::{Armed, End};
use crate::ledger::store::{self, Events, ReadError};
use crate::outcome::AppMessage;
use crate::report::model::{AuditReport, Report};
use crate::report::write::{self, EVENTS};

pub use finding::Finding;

/// What a run has left: the content of `events.jsonl`.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// t = 0, CLOCK_MONOTONIC ns.
    pub t0: u64,
    /// Of every random decision.
    pub seed: u64,
    /// What indices stand for.
    pub names: &'a Names,
    /// Every event, in the order in which they came.
    pub entries: &'a [Entry],
    /// What the hook had armed.
    pub armed: &'a [Armed],
    /// What the apps said.
    pub messages: &'a [AppMessage],
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

/// Audits a record and what the run itself says of it; `flows` as [`build::build`] makes them of it. Verdicts are not made again: that is for whoever
/// has nothing but the files.
pub fn of_run(record: &Record<'_>, flows: &[FlowRecord], report: &Report) -> Audit {
    let mut audit = Audit { events: record.entries.len() as u64, ..Audit::default() };
    laws::check(record, flows, report, &mut audit);
    decisions::check(record, &mut audit);
    agreement::check(record, report, &mut audit);
    audit
}

/// Audits a directory.
///
/// # Errors
/// [`AuditError`]: its files cannot be read. What is wrong in them is a finding.
pub fn of_dir(dir: &Path) -> Result<Audit, AuditError> {
    let report = write::load(dir)?;
    let path = dir.join(EVENTS);
    let file =
        File::open(&path).map_err(|source| AuditError::Open { path: path.clone(), source })?;
    let events = store::read(BufReader::new(file));
    let events = events.map_err(|source| AuditError::Read { path, source })?;
    Ok(of_files(&events, &report))
}

/// Audits what the two files hold.
pub fn of_files(events: &Events, report: &Report) -> Audit {
    let Some(end) = &events.end else {
        let findings = vec![Finding::NoEnd];
        return Audit { findings, events: events.entries.len() as u64, ..Audit::default() };
    };
    let names = events.header.names();
    let record = Record {
        t0: events.header.t0,
        seed: events.header.seed,
        names: &names,
        entries: &events.entries,
        armed: &events.armed,
        messages: &events.messages,
        end,
    };
    let mut audit = of_run(&record, &build::build(&events.entries), report);
    verdicts::check(&record, report, &mut audit);
    audit
}
