//! The verdicts of a run: from memory, or where that does not hold it from its file.

use std::fs::File;
use std::io::{self, BufReader};

use super::Options;
use super::state::State;
use crate::audit::Decisions;
use crate::capture::{Marks, Named, Packet};
use crate::correlate::{self, Facts};
use crate::expect::Tally;
use crate::history::{self, History, Lookup, Watch};
use crate::ledger::audit::Account;
use crate::ledger::flow::FlowRecord;
use crate::ledger::lines::End;
use crate::ledger::store::{ReadError, Reader};
use crate::report::kept::{Kept, SENDS, Sends, SendsFile};
use crate::report::model::SendReport;
use crate::report::{OutDir, write};
use crate::scenario::model::ExpectWhat;

/// What a run came to.
pub struct Judged<'a> {
    /// As things stood at its end, in order of opening.
    pub flows: Vec<FlowRecord>,
    pub sends: Sends,
    /// Of everything that was counted, also after the end.
    pub accounts: Vec<Account>,
    pub decisions: Decisions<'a>,
    /// Of each packet of the capture, its messages.
    pub named: Vec<Named>,
}

impl<'a> Judged<'a> {
    /// Where there is nothing to judge by.
    pub fn nothing(facts: &'a Facts, seed: u64) -> Self {
        let (sends, _) = Kept::new(SENDS, Tally::new(false), None).finish();
        let decisions = Decisions::new(&[], seed, &facts.names);
        Self { flows: Vec::new(), sends, accounts: Vec::new(), decisions, named: Vec::new() }
    }
}

/// Why there are no verdicts.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// They cannot be written.
    #[error("cannot write sends.jsonl.zst: {0}; is the disk full?")]
    Sends(io::Error),
    /// The events were not written.
    #[error("cannot write the run's events: {0}; is the disk full?")]
    Spool(io::Error),
    /// They cannot be read.
    #[error("cannot read the run's events again")]
    Read(#[from] ReadError),
}

/// Judges a run that is held whole.
pub fn whole<'a>(
    state: &mut State<'_>,
    facts: &'a Facts,
    seed: u64,
    packets: &[Packet],
    out: Option<&OutDir>,
) -> Result<Judged<'a>, JudgeError> {
    // The audit is about everything that was counted; verdicts are about the run. What comes
    // after its end (faults lifted, apps told to go) is no longer part of it.
    let accounts = state.recorded.ledger.flows().iter().map(Account::of).collect();
    let flows = state.recorded.ledger.flows_until(state.end.unwrap_or(u64::MAX));
    let correlation = correlate::correlate(&flows, &state.recorded.messages, facts);
    state.warnings.extend(correlation.warnings);
    let mut marks = Marks::new(packets);
    marks.stretch(&|cookie| flows.iter().find(|f| f.cookie == cookie), u64::MAX);
    let too_many = correlation.sends.len() > SENDS;
    let file = if too_many { sends_file(out)? } else { None };
    let mut kept = Kept::new(SENDS, tally(state), file);
    for send in correlation.sends {
        marks.send(&send);
        kept.add(send);
    }
    let mut decisions = Decisions::new(&state.recorded.armed, seed, &facts.names);
    state.recorded.ledger.entries().iter().for_each(|e| decisions.note(e));
    let (sends, written) = kept.finish();
    written.map_err(JudgeError::Sends)?;
    Ok(Judged { flows, sends, accounts, decisions, named: marks.finish() })
}

/// Judges one that only its file has; `end` is its last line.
pub fn long<'a>(
    state: &mut State<'_>,
    (facts, options): (&'a Facts, &Options),
    (seed, end): (u64, &End),
    packets: &[Packet],
    out: Option<&OutDir>,
) -> Result<Judged<'a>, JudgeError> {
    let file = state.recorded.finish(end).map_err(JudgeError::Spool)?;
    let decoder = zstd::Decoder::new(file).map_err(ReadError::from)?;
    let mut reader = Reader::new(BufReader::with_capacity(1 << 18, decoder))?;
    let kept = Kept::new(history::sends(options.held), tally(state), sends_file(out)?);
    let mut taking = Taking { marks: Marks::new(packets), kept };
    let mut decisions = Decisions::new(&state.recorded.armed, seed, &facts.names);
    let heads = state.recorded.ledger.heads();
    let history = History::new(heads, facts.clone(), options.held);
    let rest = history::replay(&mut reader, history, &mut taking, |e| decisions.note(e))?;
    let accounts = heads.accounts(|cookie| rest.broken.get(&cookie).cloned());
    let Taking { marks, kept } = taking;
    let (sends, written) = kept.finish();
    written.map_err(JudgeError::Sends)?;
    state.warnings.extend(rest.warnings);
    Ok(Judged { flows: rest.flows, sends, accounts, decisions, named: marks.finish() })
}

fn sends_file(out: Option<&OutDir>) -> Result<Option<SendsFile>, JudgeError> {
    let begin = |out: &OutDir| SendsFile::begin(File::create(out.path().join(write::SENDS))?);
    out.map(begin).transpose().map_err(JudgeError::Sends)
}

fn tally(state: &State<'_>) -> Tally {
    let expects = &state.scenario.expects;
    Tally::new(expects.iter().any(|e| matches!(e.what, ExpectWhat::MaxGap { .. })))
}

/// Takes verdicts as they come.
struct Taking<'p> {
    marks: Marks<'p>,
    kept: Kept,
}

impl Watch for Taking<'_> {
    fn stretch(&mut self, flow: &Lookup<'_>, until: u64) {
        self.marks.stretch(flow, until);
    }

    fn send(&mut self, send: SendReport) {
        self.marks.send(&send);
        self.kept.add(send);
    }
}
