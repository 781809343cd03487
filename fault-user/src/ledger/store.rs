//! The events of a run: kept, asked while it goes on, written to and read from `events.jsonl`.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::build;
use super::entry::{Entry, What};
use super::flow::FlowRecord;
use super::heads::Heads;
use super::lines::{Armed, End, Line};
use crate::correlate::names::{Names, RuleName};
use crate::outcome::AppMessage;

/// Version of the layout of `events.jsonl`.
pub const SCHEMA: u32 = 3;

/// All events of a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    heads: Heads,
    live: BTreeMap<u32, BTreeMap<u64, LiveSocket>>,
    /// Flow and socket of the last event: mostly the next one's, and then it is listed.
    last: Option<(u32, u64)>,
}

/// What is known at once, without waiting for the order of events to settle. Times in ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveSocket {
    pub opened: Option<u64>,
    pub established: Option<u64>,
    pub closed: Option<u64>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps an event.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.note(&entry);
    }

    /// Takes in an event that is kept elsewhere.
    pub fn note(&mut self, entry: &Entry) {
        self.heads.note(entry);
        let Some(flow) = entry.flow else { return };
        if matches!(entry.what, What::Marker { .. } | What::Overflow { .. } | What::Multipath) {
            return;
        }
        let (last, this) = (self.last, Some((flow, entry.cookie)));
        let plain = matches!(entry.what, What::Tx(_) | What::Rx(_) | What::Send { .. });
        if plain && last == this {
            return;
        }
        self.last = this;
        let socket = self.live.entry(flow).or_default().entry(entry.cookie).or_default();
        let moment = match entry.what {
            What::Opened { .. } => &mut socket.opened,
            What::Established { .. } => &mut socket.established,
            What::Closed { .. } => &mut socket.closed,
            _ => return,
        };
        *moment = Some(moment.map_or(entry.ts, |t| t.min(entry.ts)));
    }

    /// Lets go of the events, for they are kept elsewhere.
    pub fn let_go(&mut self) {
        self.entries = Vec::new();
    }

    /// What is known of each socket apart from its bytes.
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Everything so far that was not let go, in order of arrival.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The sockets that stood for a flow so far, by cookie. A socket is listed from its first
    /// event of any kind, so one that was open before the run is here with no `opened`.
    pub fn sockets(&self, flow: u32) -> impl Iterator<Item = (u64, LiveSocket)> {
        self.live.get(&flow).into_iter().flatten().map(|(&cookie, &socket)| (cookie, socket))
    }

    /// One record per socket, as things stood at `end` (CLOCK_MONOTONIC ns).
    pub fn flows_until(&self, end: u64) -> Vec<FlowRecord> {
        // What came with an event may be older than it.
        let parts = self.entries.iter().flat_map(Entry::parts);
        let until: Vec<Entry> = parts.filter(|e| e.ts <= end).collect();
        build::build(&until)
    }

    /// One record per socket.
    pub fn flows(&self) -> Vec<FlowRecord> {
        build::build(&self.entries)
    }
}

/// First line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub schema: u32,
    /// Always `header`.
    pub kind: String,
    /// t = 0 of the run on the clock of `ts` (CLOCK_MONOTONIC), ns.
    pub t0: u64,
    /// CLOCK_REALTIME minus that clock at the end of the run, ns.
    pub clock: i64,
    /// Seed of every random decision.
    pub seed: u64,
    /// Names behind the `app`, `flow` and `rule` numbers of the events.
    pub apps: Vec<String>,
    pub flows: Vec<String>,
    pub rules: Vec<String>,
    /// Of a run that is longer than memory: how many records were held when it was judged
    /// ([`crate::history::HELD`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<usize>,
}

impl Header {
    /// The header of a run of this version.
    pub fn new(t0: u64, clock: i64, seed: u64, names: &Names) -> Self {
        Self {
            schema: SCHEMA,
            kind: "header".to_owned(),
            t0,
            clock,
            seed,
            apps: names.apps.clone(),
            flows: names.flows.clone(),
            rules: (0..names.rules.len() as u32).map(|i| names.rule(i)).collect(),
            held: None,
        }
    }

    /// The same as the report has them.
    pub fn names(&self) -> Names {
        let rule = |text: &String| {
            // No name of a step has a colon.
            let (step, what) = text.split_once(": ").unwrap_or(("", text));
            RuleName { step: step.to_owned(), what: what.to_owned(), fault: what.to_owned() }
        };
        Names {
            apps: self.apps.clone(),
            flows: self.flows.clone(),
            rules: self.rules.iter().map(rule).collect(),
        }
    }
}

/// Writes `events.jsonl`: the header, then the lines in any order.
#[derive(Debug)]
pub struct JsonlWriter<W: Write> {
    out: W,
}

impl<W: Write> JsonlWriter<W> {
    /// Writes the header. Give it something buffered.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        line(&mut out, header)?;
        Ok(Self { out })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        line(&mut self.out, entry)
    }

    /// Writes a line of either kind.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Entry(entry) => self.write(entry),
            Record::Line(other) => self.write_line(other),
        }
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// What the writer says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes something else.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_line(&mut self, other: &Line) -> io::Result<()> {
        line(&mut self.out, other)
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// What `events.jsonl` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    pub header: Header,
    pub entries: Vec<Entry>,
    /// What was armed, in the order of the file.
    pub armed: Vec<Armed>,
    /// What the apps said.
    pub messages: Vec<AppMessage>,
    /// How it ended; `None`: the file has no end.
    pub end: Option<End>,
    /// The last line broke off: the run was killed while it wrote.
    pub truncated: bool,
}

impl Events {
    fn take(&mut self, record: Record) {
        match record {
            Record::Entry(entry) => self.entries.push(entry),
            Record::Line(Line::Armed(armed)) => self.armed.push(armed),
            Record::Line(Line::Message(message)) => self.messages.push(message),
            Record::Line(Line::End(end)) => self.end = Some(end),
        }
    }
}

/// A line after the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Entry(Entry),
    Line(Line),
}

impl Record {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        // Nearly all lines are events. Of what is none of both, what it is not as an event says more.
        serde_json::from_str(text)
            .map(Self::Entry)
            .or_else(|e| serde_json::from_str(text).map(Self::Line).map_err(|_| e))
    }
}

/// Why an `events.jsonl` cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("reading the events failed: check that the file is readable")]
    Io(#[from] io::Error),
    #[error("the events have no header line: this is not the events.jsonl of a run")]
    NoHeader,
    #[error(
        "events of schema {0}, this program reads {SCHEMA}: render the run with the program that made it"
    )]
    Schema(u64),
    #[error("line {number} of the events is no event: the file was changed after the run")]
    Line { number: usize, source: serde_json::Error },
}

/// Reads `events.jsonl` again, whole.
///
/// # Errors
/// A [`ReadError`]; a last line without an end is no error but `truncated`.
pub fn read(input: impl BufRead) -> Result<Events, ReadError> {
    Reader::new(input)?.all()
}

/// Opens a file of events; what ends in `.zst` is decompressed.
///
/// # Errors
/// What the system says.
pub fn input(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    Ok(match path.extension().is_some_and(|x| x == "zst") {
        true => Box::new(BufReader::with_capacity(1 << 18, zstd::Decoder::new(file)?)),
        false => Box::new(BufReader::new(file)),
    })
}

/// Reads `events.jsonl` line by line.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    text: String,
    number: usize,
    truncated: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut text = String::new();
        input.read_line(&mut text)?;
        let header = header(&text)?;
        Ok(Self { input, header, text, number: 1, truncated: false })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the last line, or the compressed stream, broke off: the run was killed while it wrote.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// All that is left.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub fn all(mut self) -> Result<Events, ReadError> {
        let mut events = Events {
            header: self.header.clone(),
            entries: Vec::new(),
            armed: Vec::new(),
            messages: Vec::new(),
            end: None,
            truncated: false,
        };
        while let Some(record) = self.next()? {
            events.take(record);
        }
        events.truncated = self.truncated;
        Ok(events)
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// A [`ReadError`]; a last line without an end is no error.
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.truncated {
            return Ok(None);
        }
        self.text.clear();
        self.number += 1;
        match self.input.read_line(&mut self.text) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            // The compressed stream has no end.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.truncated = true;
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        }
        match Record::parse(&self.text) {
            Ok(record) => Ok(Some(record)),
            Err(_) if !self.text.ends_with('\n') => {
                self.truncated = true;
                Ok(None)
            }
            Err(source) => Err(ReadError::Line { number: self.number, source }),
        }
    }
}

fn header(text: &str) -> Result<Header, ReadError> {
    // The schema first: a later one may have another header.
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| ReadError::NoHeader)?;
    if value["kind"] != "header" {
        return Err(ReadError::NoHeader);
    }
    let schema = value["schema"].as_u64().ok_or(ReadError::NoHeader)?;
    if schema != u64::from(SCHEMA) {
        return Err(ReadError::Schema(schema));
    }
    serde_json::from_value(value).map_err(|source| ReadError::Line { number: 1, source })
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
