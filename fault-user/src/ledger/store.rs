//! The events of a run: kept, asked while it goes on, written to and read from `events.jsonl`.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::build;
use super::entry::{Entry, What};
use super::flow::FlowRecord;

/// Version of the layout of `events.jsonl`.
pub const SCHEMA: u32 = 1;

/// All events of a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    live: BTreeMap<u32, BTreeMap<u64, LiveSocket>>,
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
        let Some(flow) = entry.flow else { return };
        if matches!(entry.what, What::Marker { .. } | What::Overflow { .. }) {
            return;
        }
        let socket = self.live.entry(flow).or_default().entry(entry.cookie).or_default();
        let moment = match entry.what {
            What::Opened { .. } => &mut socket.opened,
            What::Established { .. } => &mut socket.established,
            What::Closed { .. } => &mut socket.closed,
            _ => return,
        };
        *moment = Some(moment.map_or(entry.ts, |t| t.min(entry.ts)));
    }

    /// Everything so far, in order of arrival.
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
        let until: Vec<Entry> = self.entries.iter().filter(|e| e.ts <= end).copied().collect();
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
    /// Names behind the `app`, `flow` and `rule` numbers of the events.
    pub apps: Vec<String>,
    pub flows: Vec<String>,
    pub rules: Vec<String>,
}

impl Header {
    /// The header of a run of this version.
    pub fn new(t0: u64, apps: Vec<String>, flows: Vec<String>, rules: Vec<String>) -> Self {
        Self { schema: SCHEMA, kind: "header".to_owned(), t0, apps, flows, rules }
    }
}

/// Writes `events.jsonl`: the header, then one line per event.
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
    /// The last line broke off: the run was killed while it wrote.
    pub truncated: bool,
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

/// Reads `events.jsonl` again.
///
/// # Errors
/// A [`ReadError`]; a last line without an end is no error but `truncated`.
pub fn read(mut input: impl BufRead) -> Result<Events, ReadError> {
    let mut text = String::new();
    input.read_line(&mut text)?;
    let header = header(&text)?;
    let mut events = Events { header, entries: Vec::new(), truncated: false };
    for number in 2.. {
        text.clear();
        if input.read_line(&mut text)? == 0 {
            break;
        }
        match serde_json::from_str(&text) {
            Ok(entry) => events.entries.push(entry),
            Err(_) if !text.ends_with('\n') => events.truncated = true,
            Err(source) => return Err(ReadError::Line { number, source }),
        }
    }
    Ok(events)
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
