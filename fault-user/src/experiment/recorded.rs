//! `events.jsonl` of a run: every event, and all else that its verdicts were made from.
//!
//! While the run goes on all of it goes to `events.jsonl.zst`, and up to [`Options::held`] records stay in memory as
//! well. A run that has no more of them is judged from there, and has a plain `events.jsonl` in the end; one that has
//! more is judged from the file.
//!
//! [`Options::held`]: super::Options::held

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;

use super::Options;
use super::assemble::names;
use super::counted::Counted;
use super::prepare::Stage;
use super::state::State;
use crate::clock;
use crate::correlate::Facts;
use crate::correlate::names::Names;
use crate::ledger::entry::Entry;
use crate::ledger::lines::{Armed, End, FlowDirection, Line, LostEvents};
use crate::ledger::spool::Spool;
use crate::ledger::store::{Header, JsonlWriter, Ledger, Record};
use crate::outcome::AppMessage;
use crate::report::{OutDir, write};

/// All that events and apps have told.
#[derive(Default)]
pub struct Recorded {
    pub ledger: Ledger,
    pub messages: Vec<AppMessage>,
    /// What the hook had armed, in order.
    pub armed: Vec<Armed>,
    /// Of each message, how many events came before it.
    places: Vec<usize>,
    /// Records that are held at most.
    held: usize,
    /// Its first line, once t = 0 is known.
    header: Option<Header>,
    spool: Option<Spool>,
    /// Where the file is that has all of it; it may have no name.
    file: Option<File>,
    /// Whether the file alone has it.
    long: bool,
    /// Why there is no file.
    failed: Option<io::Error>,
}

impl Recorded {
    /// Keeps so many records in memory at most.
    pub fn new(held: usize) -> Self {
        Self { held, ..Self::default() }
    }

    /// Keeps an event.
    pub fn event(&mut self, entry: Entry) {
        if let Some(spool) = &mut self.spool {
            spool.push(Record::Entry(entry));
        }
        if self.long {
            self.ledger.note(&entry);
        } else {
            self.ledger.push(entry);
            self.check();
        }
    }

    /// Keeps what an app said.
    pub fn message(&mut self, message: AppMessage) {
        if let Some(spool) = &mut self.spool {
            spool.push(Record::Line(Line::Message(message.clone())));
        }
        if !self.long {
            self.places.push(self.ledger.entries().len());
            self.messages.push(message);
            self.check();
        }
    }

    /// Keeps what is armed from now on.
    pub fn armed(&mut self, armed: Armed) {
        if let Some(spool) = &mut self.spool {
            spool.push(Record::Line(Line::Armed(armed.clone())));
        }
        self.armed.push(armed);
    }

    /// Whether there is room for more events: if not, the kernel counts what it cannot tell.
    pub fn has_room(&self) -> bool {
        self.spool.as_ref().is_none_or(Spool::has_room)
    }

    /// To be called now and then.
    pub fn tend(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.tend();
        }
    }

    /// Whether the file alone has all of it.
    pub fn is_long(&self) -> bool {
        self.long
    }

    /// Lets go of what is in memory once it is too much.
    fn check(&mut self) {
        let records = self.ledger.entries().len() + self.messages.len();
        if records <= self.held || self.header.is_none() || self.failed.is_some() {
            return;
        }
        if self.spool.is_none()
            && let Err(e) = unnamed().and_then(|file| self.spool_to(file))
        {
            self.failed = Some(e);
            return;
        }
        self.long = true;
        self.ledger.let_go();
        (self.messages, self.places) = (Vec::new(), Vec::new());
    }

    /// Writes all so far, in the order in which it came, and from now on what comes.
    fn spool_to(&mut self, file: File) -> io::Result<()> {
        let Some(header) = self.header.clone() else { return Ok(()) };
        let mut spool = Spool::begin(file.try_clone()?, header)?;
        for armed in &self.armed {
            spool.push(Record::Line(Line::Armed(armed.clone())));
        }
        let mut lines = self.places.iter().zip(&self.messages).peekable();
        for (place, entry) in self.ledger.entries().iter().enumerate() {
            while let Some((_, message)) = lines.next_if(|(at, _)| **at <= place) {
                spool.push(Record::Line(Line::Message(message.clone())));
            }
            spool.push(Record::Entry(*entry));
        }
        for (_, message) in lines {
            spool.push(Record::Line(Line::Message(message.clone())));
        }
        (self.spool, self.file) = (Some(spool), Some(file));
        Ok(())
    }

    /// Writes the end of a long run. Its file, from its beginning.
    ///
    /// # Errors
    /// Some of it could not be written.
    pub fn finish(&mut self, end: &End) -> io::Result<File> {
        let (Some(mut spool), Some(mut file)) = (self.spool.take(), self.file.take()) else {
            return Err(io::Error::other("there is no file of events; please report this"));
        };
        spool.push(Record::Line(Line::End(end.clone())));
        spool.finish()?;
        io::Seek::rewind(&mut file)?;
        Ok(file)
    }

    /// Writes a run that is held whole, as plain text, and takes away what was written on the way.
    fn write_whole(&mut self, header: &Header, end: &End, out: &OutDir) -> io::Result<()> {
        let file = BufWriter::new(File::create(out.path().join(write::EVENTS))?);
        let mut writer = JsonlWriter::new(file, header)?;
        for armed in &self.armed {
            writer.write_line(&Line::Armed(armed.clone()))?;
        }
        for entry in self.ledger.entries() {
            writer.write(entry)?;
        }
        for message in &self.messages {
            writer.write_line(&Line::Message(message.clone()))?;
        }
        writer.write_line(&Line::End(end.clone()))?;
        writer.finish()?;
        if let Some(spool) = self.spool.take() {
            // That it could not be written does not matter any more.
            _ = spool.finish();
            fs::remove_file(out.path().join(write::LONG_EVENTS))?;
        }
        Ok(())
    }

    /// Why the events of the run are not on disk, if they should be.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}

/// A file that goes with this process.
fn unnamed() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir())
}

/// t = 0: from now on records go to disk as well. Without a directory only once memory holds too many.
pub fn begin(stage: &Stage, state: &mut State<'_>, options: &Options, out: Option<&OutDir>) {
    let names = names(state.scenario, &stage.plan);
    let t0 = state.t0.unwrap_or_default();
    let clock = clock::realtime_offset_ns();
    let header = Header::new(t0, clock, stage.plan.seed, &names);
    state.recorded.header = Some(Header { held: Some(options.held), ..header });
    let Some(out) = out else { return };
    let path = out.path().join(write::LONG_EVENTS);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
    if let Err(e) = file.and_then(|file| state.recorded.spool_to(file)) {
        state.fail(format!("cannot write {}: {e}", path.display()));
    }
}

/// The first line of a run that is held whole.
pub fn header(facts: &Facts, seed: u64, names: &Names) -> Header {
    Header::new(facts.t0, clock::realtime_offset_ns(), seed, names)
}

/// The last line.
pub fn end(facts: &Facts, counted: &Counted) -> End {
    let armed = facts.armed_at_end.iter();
    let gaps = facts.gaps.iter();
    End {
        ts: facts.end,
        late_after_ns: facts.late_after.map(|d| d.as_nanos() as u64),
        armed: armed.map(|&(flow, direction)| FlowDirection { flow, direction }).collect(),
        gaps: gaps.map(|g| LostEvents { cookie: g.cookie, from: g.from, to: g.to }).collect(),
        recorded: counted.recorded,
        counters: counted.audit.clone(),
    }
}

/// Writes a run that is held whole.
pub fn write(state: &mut State<'_>, header: &Header, end: &End, out: &OutDir) -> io::Result<()> {
    state.recorded.write_whole(header, end, out)
}
