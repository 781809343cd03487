//! The events of a run of any length, judged a stretch of time after the other: who has more of them than memory
//! holds reads them from a file, once the run is over, and gives them to this.
//!
//! What comes out is a function of the order in which records come and of `held`, so that an audit of the same file
//! finds the same.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::Range;

use crate::correlate::{Cut, Facts, Settler};
use crate::ledger::build::Sockets;
use crate::ledger::entry::Entry;
use crate::ledger::flow::FlowRecord;
use crate::ledger::heads::Heads;
use crate::ledger::lines::Line;
use crate::ledger::store::{ReadError, Reader, Record};
use crate::outcome::AppMessage;
use crate::report::kept::SENDS;
use crate::report::model::SendReport;

/// How many sends a report holds of a run that is judged with `held` records at a time.
pub fn sends(held: usize) -> usize {
    SENDS.min(held / 4)
}

/// Gives all records of a file to `history`; `each` sees every event.
///
/// # Errors
/// The file cannot be read.
pub fn replay<R: BufRead>(
    reader: &mut Reader<R>,
    mut history: History,
    watch: &mut dyn Watch,
    mut each: impl FnMut(&Entry),
) -> Result<Rest, ReadError> {
    while let Some(record) = reader.next()? {
        match record {
            Record::Entry(entry) => {
                each(&entry);
                history.entry(entry, watch);
            }
            Record::Line(Line::Message(message)) => history.message(message, watch),
            Record::Line(Line::Armed(_) | Line::End(_)) => {}
        }
    }
    Ok(history.finish(watch))
}

/// Records (events, and lines of apps) that are held at most, unless more of them are undecided: each takes some
/// 0.5 KB while it is judged.
pub const HELD: usize = 400_000;

/// Finds a socket's record by its cookie.
pub type Lookup<'a> = dyn Fn(u64) -> Option<&'a FlowRecord> + 'a;

/// Who takes what comes out.
pub trait Watch {
    /// All events up to `until` (ns) are in the records, and nothing of them has been let go since the last call.
    fn stretch(&mut self, flow: &Lookup<'_>, until: u64);
    /// The next verdict; in no strict order of time.
    fn send(&mut self, send: SendReport);
}

/// A run as far as its records have come.
pub struct History {
    sockets: Sockets,
    settler: Settler,
    held: usize,
    /// Records since the last cut.
    fresh: usize,
    end: u64,
}

/// What is left when all is judged.
#[derive(Debug)]
pub struct Rest {
    /// The sockets in order of opening, each with what is known of all of its time; of their sends and packets the
    /// last ones.
    pub flows: Vec<FlowRecord>,
    /// Bytes of sockets of which TCP has an ack that contradicts their drops.
    pub broken: BTreeMap<u64, Range<i64>>,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl History {
    /// `heads` of all events that will come; `held` as [`HELD`].
    pub fn new(heads: &Heads, facts: Facts, held: usize) -> Self {
        let end = facts.end;
        // What comes after the end is no part of any verdict.
        let heads = heads.until(end);
        Self {
            sockets: Sockets::new(&heads),
            settler: Settler::new(facts, &heads.flows(), held / 4),
            held,
            fresh: 0,
            end,
        }
    }

    /// The next event, in the order of the file.
    pub fn entry(&mut self, entry: Entry, watch: &mut dyn Watch) {
        // What came with an event may be older than it.
        let end = self.end;
        for part in entry.parts().filter(|part| part.ts <= end) {
            self.sockets.push(part);
            self.count(watch);
        }
    }

    /// The next line of an app.
    pub fn message(&mut self, message: AppMessage, watch: &mut dyn Watch) {
        self.settler.message(message);
        self.count(watch);
    }

    /// Judges all that is left.
    pub fn finish(mut self, watch: &mut dyn Watch) -> Rest {
        self.advance(self.end, watch);
        self.settler.settle(&mut self.sockets, None, &mut |send| watch.send(send));
        let broken =
            self.sockets.iter().filter_map(|s| Some((s.flow().cookie, s.contradiction()?)));
        Rest {
            broken: broken.collect(),
            flows: self.sockets.finish(),
            warnings: self.settler.warnings(),
        }
    }

    fn count(&mut self, watch: &mut dyn Watch) {
        self.fresh += 1;
        if self.fresh * 2 < self.held {
            return;
        }
        // What nothing can be said of yet is not looked at again and again.
        let stays = self.settler.held() + self.sockets.iter().map(|s| s.held()).sum::<usize>();
        if self.fresh >= stays / 2 {
            self.fresh = 0;
            self.cut(watch);
        }
    }

    /// Settles the older half of what is not in the records yet: lines, and what the delay line tells, may come
    /// that much later than events of the same moment.
    fn cut(&mut self, watch: &mut dyn Watch) {
        let mut times: Vec<u64> = self.sockets.iter().flat_map(|s| s.waiting()).collect();
        if times.is_empty() {
            return;
        }
        let middle = times.len() / 2;
        let until = *times.select_nth_unstable(middle).1;
        self.advance(until, watch);
        let cut = Some(Cut { until });
        self.settler.settle(&mut self.sockets, cut, &mut |send| watch.send(send));
    }

    fn advance(&mut self, until: u64, watch: &mut dyn Watch) {
        self.sockets.advance(until);
        let sockets = &self.sockets;
        watch.stretch(&|cookie| Some(sockets.get(cookie)?.flow()), until);
    }
}
