//! Which guards are armed: their rules in the kernel and in the line, and the counters of both.

use std::collections::{BTreeSet, HashMap};

use fault_common::rule::{Direction, MAX_FLOWS};

use super::connection::{self, Speaker};
use super::reset::{self, Sent};
use super::roster::{Known, Room, Roster};
use super::stream::Stream;
use super::{Counts, GuardError};
use crate::experiment::journal::Journal;
use crate::experiment::lay::lay;
use crate::experiment::{counted, line};
use crate::kernel::{Kernel, KernelError, Taken};
use crate::line::tally::Counts as LineCounts;
use crate::line::{Device, LineError, Tap};
use crate::plan::{Plan, RuleId, Side, Via, What};
use crate::scenario::Scenario;
use crate::scenario::model::Capture;

/// Rules that can be armed while the programs are loaded. A rule's number is never given again: what it has counted
/// would be another's.
pub const RULES: u32 = 8192;
/// Streams that can be guarded while they are loaded.
pub const STREAMS: u32 = 4096;

/// An armed guard's place on the board.
#[derive(Debug)]
pub struct Ticket {
    stream: Stream,
    slot: u32,
    rules: Vec<RuleId>,
    before: Counts,
}

/// All of it. Dropping it undoes everything.
pub struct Board {
    name: String,
    plan: Plan,
    roster: Roster,
    /// In the order in which they were armed.
    armed: Vec<RuleId>,
    line: Option<Line>,
    speaker: Option<Speaker>,
    /// By slot.
    resets: HashMap<u32, Sent>,
    pub kernel: Kernel,
    _journal: Journal,
}

struct Line {
    running: line::Running,
    /// Has the settings of lo.
    _journal: Journal,
}

impl Board {
    /// Nothing armed. `name`: of this process's entries in the journal.
    pub fn new(name: String, seed: u64, kernel: Kernel, journal: Journal) -> Self {
        Self {
            name,
            plan: Plan::empty(seed),
            roster: Roster::default(),
            armed: Vec::new(),
            line: None,
            speaker: None,
            resets: HashMap::new(),
            kernel,
            _journal: journal,
        }
    }

    /// Arms the faults of a scenario on a stream.
    ///
    /// # Errors
    /// See [`super::Fault::arm`]; nothing of it is armed then.
    pub fn arm(&mut self, stream: &Stream, scenario: &Scenario) -> Result<Ticket, GuardError> {
        let known = self.known(stream)?;
        let rules = self.plan.extend(scenario, known.flow as usize);
        let armed = self.armed.len();
        self.armed.extend(&rules);
        let ready = self.ready(&known, &rules);
        match ready {
            Ok(before) => {
                self.roster.enter(stream.cookie);
                Ok(Ticket { stream: *stream, slot: known.slot, rules, before })
            }
            Err(e) => {
                // The numbers of its rules are used up.
                self.armed.truncate(armed);
                Err(e)
            }
        }
    }

    fn ready(&mut self, known: &Known, rules: &[RuleId]) -> Result<Counts, GuardError> {
        if self.plan.rules.len() > RULES as usize {
            let what = "faults since the first guard of those that are armed";
            return Err(GuardError::Full { what, count: RULES as usize });
        }
        let needs_line = rules.iter().any(|id| self.plan.rule(*id).via() == Some(Via::Line));
        if needs_line {
            self.open_line()?;
        }
        let speaks = |what| matches!(what, What::Stall | What::Abort | What::Reset(_));
        if rules.iter().any(|id| speaks(self.plan.rule(*id).what)) {
            self.open_speaker()?;
        }
        let before = self.read(known.slot, rules)?;
        self.lay()?;
        if let Err(e) = self.act(known, rules) {
            self.armed.truncate(self.armed.len() - rules.len());
            self.lay()?;
            return Err(e);
        }
        Ok(before)
    }

    /// What is done to the connection itself, once.
    fn act(&mut self, known: &Known, rules: &[RuleId]) -> Result<(), GuardError> {
        let what = |id: &RuleId| self.plan.rule(*id).what;
        if rules.iter().any(|id| what(id) == What::Abort) {
            connection::abort(&known.stream)?;
        }
        let sides: BTreeSet<Side> = rules
            .iter()
            .filter_map(|id| if let What::Reset(side) = what(id) { Some(side) } else { None })
            .collect();
        for side in sides {
            let Some(speaker) = &self.speaker else { return Ok(()) };
            let sent = reset::reset(&mut self.kernel, speaker, &known.stream, side)?;
            let total = self.resets.entry(known.slot).or_default();
            total.iter_mut().zip(sent).for_each(|(total, sent)| *total += sent);
        }
        Ok(())
    }

    /// Lifts the faults of a guard.
    ///
    /// # Errors
    /// The kernel or the line refuses. The guard is off the board all the same: the next change takes its rules off.
    pub fn disarm(&mut self, ticket: &Ticket) -> Result<(), GuardError> {
        self.armed.retain(|id| !ticket.rules.contains(id));
        self.roster.leave(ticket.stream.cookie);
        self.lay()?;
        for id in &ticket.rules {
            let rule = self.plan.rule(*id);
            if rule.what == What::Stall
                && let Some(speaker) = &self.speaker
            {
                speaker.open_window(&self.kernel, &ticket.stream, rule.direction)?;
            }
        }
        Ok(())
    }

    /// What a guard has counted.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn counts(&self, ticket: &Ticket) -> Result<Counts, GuardError> {
        Ok(self.read(ticket.slot, &ticket.rules)?.since(&ticket.before))
    }

    /// Lets faults act until then, unless the line is stuck: what it holds would be lost in a black hole.
    ///
    /// # Errors
    /// The map update fails.
    pub fn renew(&mut self, until_ns: u64) -> Result<(), KernelError> {
        if self.line.as_ref().is_some_and(|line| !line.running.is_alive()) {
            tracing::warn!("the delay line's thread did not run for a second: faults pause");
            return Ok(());
        }
        self.kernel.renew_lease(until_ns)
    }

    fn lay(&mut self) -> Result<(), GuardError> {
        let line = self.line.as_ref().map(|line| &line.running);
        if let Some(line) = line {
            line.line
                .tables(self.plan.tables.clone())
                .map_err(crate::experiment::lay::LayError::Line)?;
        }
        lay(&self.plan, &mut self.kernel, line, &self.armed)?;
        Ok(())
    }

    /// The stream as the kernel knows it, from now on if it did not.
    fn known(&mut self, stream: &Stream) -> Result<Known, GuardError> {
        if let Some(known) = self.roster.get(stream.cookie) {
            return Ok(known);
        }
        let full = |what, count: u32| GuardError::Full { what, count: count as usize };
        let flow = match self.roster.room() {
            Some(Room::Free(flow)) => flow,
            Some(Room::Of(idle)) => {
                self.kernel.forget(idle.stream.cookie, &idle.stream.tuples())?;
                self.roster.remove(idle.stream.cookie);
                idle.flow
            }
            None => return Err(full("guarded streams", MAX_FLOWS)),
        };
        if self.kernel.take_in(&[stream.found()])? == [Taken::NoRoom] {
            return Err(full("streams since the first guard of those that are armed", STREAMS));
        }
        let [_, other] = stream.tuples();
        self.kernel.add_tuple(stream.cookie, &other)?;
        let assigned = self.kernel.assign(stream.cookie, flow)?;
        match self.kernel.socket(stream.cookie)? {
            Some(entry) if assigned => Ok(self.roster.add(*stream, flow, entry.slot)),
            _ => {
                // A bug: nobody but the board gives flows to sockets here.
                let why = "the kernel side did not take its flow";
                let what = "make the stream known";
                Err(GuardError::Io { what, source: std::io::Error::other(why) })
            }
        }
    }

    fn open_line(&mut self) -> Result<(), GuardError> {
        if self.line.is_some() {
            return Ok(());
        }
        self.open_speaker()?;
        let Some(speaker) = &self.speaker else { return Ok(()) };
        let tap = Tap::open()
            .map_err(LineError::Device)
            .map_err(crate::experiment::lay::LayError::Line)?;
        let journal = Journal::write(&format!("{}-line", self.name), true)
            .map_err(GuardError::io("change the settings of lo that the delay line needs"))?;
        // Nobody reads events: what a guard tells, the counters have. Resets are refused before.
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let (resets, _) = tokio::sync::mpsc::unbounded_channel();
        let answers = line::answers(speaker.sender(), resets);
        let device = Device::Tap(tap);
        let running =
            line::open(&mut self.kernel, &self.plan, Capture::NONE, device, events, answers)?;
        self.line = Some(Line { running, _journal: journal });
        Ok(())
    }

    fn open_speaker(&mut self) -> Result<(), GuardError> {
        if self.speaker.is_none() {
            self.speaker = Some(Speaker::open(&mut self.kernel)?);
        }
        Ok(())
    }

    fn read(&self, slot: u32, rules: &[RuleId]) -> Result<Counts, GuardError> {
        let line = match &self.line {
            Some(line) => {
                line.running.line.counts().map_err(crate::experiment::lay::LayError::Line)?
            }
            None => LineCounts::default(),
        };
        let mut counts = Counts::default();
        for direction in Direction::BOTH {
            let of_line = line.sockets.get(&(slot, direction)).copied().unwrap_or_default();
            let resets = self.resets.get(&slot).map_or(0, |sent| sent[direction as usize]);
            let stream = counted::together(&self.kernel.slot(slot, direction)?, &of_line, resets);
            counts.way(direction).stream = stream;
        }
        for id in rules {
            let (rule, of_line) =
                (self.kernel.rule(id.0)?, line.rules.get(&id.0).copied().unwrap_or_default());
            let way = counts.way(self.plan.rule(*id).direction);
            way.judged += rule.matched + of_line.matched;
            way.hit += rule.acted + of_line.acted;
        }
        Ok(counts)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let Some(Line { running, _journal }) = self.line.take() else { return };
        // No packet comes to the line any more before it lets go of what it holds.
        if let Err(e) = self.kernel.close_line() {
            tracing::warn!("cannot take the delay line out: {}", crate::chain::told(&e));
        }
        if let Err(e) = running.finish() {
            tracing::warn!("{e}");
        }
    }
}
