//! The audit of a run that is longer than memory: its file is read twice, and nothing of it is held for long.

use std::fs::File;
use std::io;
use std::path::Path;

use super::verdicts::{compare, finding};
use super::{Audit, AuditError, Decisions, Finding, Record, facts, of_run, open};
use crate::expect::Tally;
use crate::history::{self, History, Lookup, Watch};
use crate::ledger::heads::Heads;
use crate::ledger::lines::Line;
use crate::ledger::store::Record as Written;
use crate::report::kept::{self, Kept};
use crate::report::model::{Report, SendReport};
use crate::report::write;

/// More of them would say nothing new.
const LISTED: usize = 20;

pub(super) fn of_dir(
    dir: &Path,
    path: &Path,
    held: usize,
    report: &Report,
) -> Result<Audit, AuditError> {
    let failed = |source| AuditError::Read { path: path.to_owned(), source };
    let mut reader = open(path)?;
    let (mut heads, mut armed, mut end, mut events) = (Heads::default(), Vec::new(), None, 0);
    while let Some(record) = reader.next().map_err(failed)? {
        match record {
            Written::Entry(entry) => {
                events += 1;
                heads.note(&entry);
            }
            Written::Line(Line::Armed(line)) => armed.push(line),
            Written::Line(Line::End(line)) => end = Some(line),
            Written::Line(Line::Message(_)) => {}
        }
    }
    let Some(end) = end else {
        return Ok(Audit { findings: vec![Finding::NoEnd], events, ..Audit::default() });
    };
    let (names, seed) = (reader.header().names(), reader.header().seed);
    let record = Record { t0: reader.header().t0, seed, names: &names, events, end: &end };
    let mut again = Again::new(dir, held)?;
    let mut decisions = Decisions::new(&armed, seed, &names);
    let history = History::new(&heads, facts(&record), held);
    let mut reader = open(path)?;
    let rest = history::replay(&mut reader, history, &mut again, |e| decisions.note(e));
    let rest = rest.map_err(failed)?;
    let accounts = heads.accounts(|cookie| rest.broken.get(&cookie).cloned());
    let mut audit = of_run(&record, &accounts, decisions, report);
    again.finish(report, &mut audit);
    Ok(audit)
}

/// Verdicts made again, beside those that were written down as they were made.
struct Again {
    said: Box<dyn Iterator<Item = io::Result<SendReport>>>,
    kept: Kept,
    findings: Vec<Finding>,
    missing: u64,
}

impl Again {
    fn new(dir: &Path, held: usize) -> Result<Self, AuditError> {
        let path = dir.join(write::SENDS);
        let said = File::open(&path).and_then(kept::read);
        let said = said.map_err(|source| AuditError::Open { path, source })?;
        let kept = Kept::new(history::sends(held), Tally::new(false), None);
        Ok(Self { said: Box::new(said), kept, findings: Vec::new(), missing: 0 })
    }

    fn finish(mut self, report: &Report, audit: &mut Audit) {
        let more = self.said.by_ref().count() as u64;
        let made = self.kept.total();
        audit.verdicts += made;
        audit.findings.extend(self.findings);
        if self.missing + more > 0 {
            let what = format!("the lines of {}", write::SENDS);
            let (report, record) = ((made - self.missing + more).to_string(), made.to_string());
            audit.findings.push(Finding::Report { what, report, record });
        }
        compare(report, self.kept, audit);
    }
}

impl Watch for Again {
    fn stretch(&mut self, _: &Lookup<'_>, _: u64) {}

    fn send(&mut self, made: SendReport) {
        match self.said.next() {
            Some(Ok(said)) if self.findings.len() < LISTED => {
                self.findings.extend(finding(&said, &made));
            }
            Some(Ok(_)) => {}
            // No line, or none that can be read.
            Some(Err(_)) | None => self.missing += 1,
        }
        self.kept.add(made);
    }
}
