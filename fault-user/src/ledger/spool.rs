//! The records of a run on their way to disk while it goes on: JSON lines through zstd, on a thread of their own.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::store::{Header, JsonlWriter, Record};

/// Records that go to the thread at a time.
const CHUNK: usize = 2048;
/// Chunks that may wait for the disk: some 30 MB.
const CHUNKS: usize = 64;
/// How often what is written is made readable, should the run be killed.
const FLUSH: Duration = Duration::from_secs(1);
/// Fast: it has to keep up with the run, and JSON lines shrink to a tenth all the same.
const LEVEL: i32 = 1;

/// A file that is being written.
#[derive(Debug)]
pub struct Spool {
    to: Option<SyncSender<Vec<Record>>>,
    chunk: Vec<Record>,
    handed: Instant,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Spool {
    /// Begins `file` with the header.
    ///
    /// # Errors
    /// There is no thread, or the compressor cannot be set up.
    pub fn begin(file: File, header: Header) -> io::Result<Self> {
        let (to, from) = sync_channel(CHUNKS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("flowfault-spool".into())
            .spawn(move || write(file, &header, &from, &counted))?;
        let (handed, chunk) = (Instant::now(), Vec::new());
        Ok(Self { to: Some(to), chunk, handed, waiting, thread: Some(thread) })
    }

    /// Whether a batch of events can be taken without waiting for the disk.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < CHUNKS / 2
    }

    /// Writes a record; waits if too many wait already.
    pub fn push(&mut self, record: Record) {
        self.chunk.push(record);
        if self.chunk.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Lets a record wait here no longer than a moment. To be called now and then.
    pub fn tend(&mut self) {
        if !self.chunk.is_empty() && self.handed.elapsed() >= FLUSH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.handed = Instant::now();
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The thread is gone only if it failed: `finish` tells why.
        _ = self.to.as_ref().map(|to| to.send(chunk));
    }

    /// Writes all that is left.
    ///
    /// # Errors
    /// What the file system said, now or earlier: then the file is incomplete.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_over();
        self.to = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            _ => {
                Err(io::Error::other("the thread that writes events panicked; please report this"))
            }
        }
    }
}

fn write(
    file: File,
    header: &Header,
    from: &Receiver<Vec<Record>>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let encoder = zstd::Encoder::new(file, LEVEL)?;
    // In front of the compressor: it takes a line in many pieces.
    let mut writer = JsonlWriter::new(BufWriter::with_capacity(1 << 18, encoder), header)?;
    let mut flushed = Instant::now();
    loop {
        let more = match from.recv_timeout(FLUSH) {
            Ok(chunk) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                chunk.iter().try_for_each(|record| writer.write_record(record))?;
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if flushed.elapsed() >= FLUSH {
            writer.flush()?;
            flushed = Instant::now();
        }
        if !more {
            let encoder = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            return encoder.finish()?.sync_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::super::entry::{Entry, What};
    use super::super::store;
    use super::*;
    use crate::correlate::names::Names;

    fn record(ts: u64) -> Record {
        Record::Entry(Entry {
            ts,
            cookie: 1,
            pid: 0,
            tid: 0,
            app: 0,
            flow: None,
            slot: 0,
            proto: 6,
            passive: false,
            lport: 0,
            rport: 0,
            retrans: 0,
            what: What::Send {
                ret: 1,
                end_seq: ts as u32,
                start_seq: None,
                layered: false,
                sender: None,
                sent: None,
                acked: None,
            },
        })
    }

    fn spool(path: &std::path::Path) -> Spool {
        let header = Header::new(1, 2, 3, &Names::default());
        Spool::begin(File::create(path).unwrap(), header).unwrap()
    }

    fn read(path: &std::path::Path) -> store::Events {
        let decoder = zstd::Decoder::new(File::open(path).unwrap()).unwrap();
        store::read(BufReader::new(decoder)).unwrap()
    }

    #[test]
    fn what_goes_in_comes_out_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut spool = spool(&path);
        let n = 3 * CHUNK as u64 + 7;
        (0..n).for_each(|ts| spool.push(record(ts)));
        spool.finish().unwrap();
        let events = read(&path);
        assert!(!events.truncated);
        assert!(events.entries.iter().map(|e| e.ts).eq(0..n));
    }

    #[test]
    fn what_was_written_a_moment_ago_is_readable_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut spool = spool(&path);
        spool.push(record(5));
        let mut found = 0;
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(100));
            spool.tend();
            if std::fs::metadata(&path).unwrap().len() > 0 {
                let events = read(&path);
                assert!(events.truncated, "it has no end yet");
                found = events.entries.len();
            }
            if found > 0 {
                break;
            }
        }
        assert_eq!(found, 1);
        spool.finish().unwrap();
    }
}
