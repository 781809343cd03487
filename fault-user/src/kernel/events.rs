//! The ring buffer's consumer: a thread of its own, so that a busy controller loses no events.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use super::Kernel;
use super::error::KernelError;

/// Raw records, in ring order, one behind the other: an allocation for each would cost more than
/// reading it. Decoding is the ledger's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    /// It came out of the ring, and not from the delay line.
    of_ring: bool,
}

impl Batch {
    /// One without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// One with room for as many as another has.
    fn like(other: &Self) -> Self {
        let (bytes, ends) = (other.bytes.len(), other.ends.len());
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(ends), of_ring: false }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The records.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Records per batch at most: keeps the controller's loop responsive under load.
const BATCH: usize = 4096;
/// Records that may wait for the controller, some 90 MB. Beyond that they stay in the ring, and what finds no room there
/// is counted with its socket and its time.
const BACKLOG: u64 = 1_000_000;
/// How often it is looked whether the controller has caught up.
const CATCH_UP: Duration = Duration::from_millis(5);
/// How often the ring and the stop flag are looked at. Packets and sends wake nobody (fault-ebpf's
/// `emit`); in that time the ring would hold the events of nine million a second.
const POLL_MS: u16 = 20;

/// Handle of the consumer thread.
#[must_use = "dropping it stops reading events"]
pub struct EventReader {
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Kernel {
    /// Starts to read events. Once per [`Kernel`].
    ///
    /// # Errors
    /// The ring cannot be mapped, or was taken before.
    pub fn events(&mut self) -> Result<(EventReader, mpsc::UnboundedReceiver<Batch>), KernelError> {
        let (tx, rx) = mpsc::unbounded_channel();
        Ok((self.events_to(tx)?, rx))
    }

    /// The same, into a channel that others write to as well.
    ///
    /// # Errors
    /// As [`Kernel::events`].
    pub fn events_to(
        &mut self,
        tx: mpsc::UnboundedSender<Batch>,
    ) -> Result<EventReader, KernelError> {
        let ring = self.event_ring()?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let taken = Arc::new(AtomicU64::new(0));
        let read_off = Arc::clone(&taken);
        let thread = std::thread::Builder::new()
            .name("flowfault-events".into())
            .spawn(move || consume(ring, &tx, &flag, &read_off))
            .map_err(KernelError::map("start the event thread"))?;
        Ok(EventReader { stop, taken, thread: Some(thread) })
    }

    /// The ring, once.
    pub(super) fn event_ring(&mut self) -> Result<RingBuf<MapData>, KernelError> {
        if let Some(ring) = self.ring.take() {
            return Ok(ring);
        }
        let map = self
            .ebpf
            .take_map("EVENTS")
            .ok_or(KernelError::Object { what: "without the map EVENTS" })?;
        RingBuf::try_from(map).map_err(KernelError::map("map the event ring"))
    }
}

impl EventReader {
    /// To be told of every batch that was taken: only so many wait at a time.
    pub fn took(&self, batch: &Batch) {
        if batch.of_ring {
            self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }

    /// Reads what is left in the ring and ends. Detach the programs first.
    pub fn finish(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the event thread panicked; events of the end may be missing");
        }
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.join();
    }
}

fn consume(
    mut ring: RingBuf<MapData>,
    tx: &mpsc::UnboundedSender<Batch>,
    stop: &AtomicBool,
    taken: &AtomicU64,
) {
    let (mut read, mut room) = (0, Batch::new());
    loop {
        // Read the flag before the ring: what was written before the stop is then still read.
        let stopping = stop.load(Ordering::Acquire);
        if !stopping && taken.load(Ordering::Relaxed) + BACKLOG < read {
            std::thread::sleep(CATCH_UP);
            continue;
        }
        let mut batch = Batch { of_ring: true, ..room };
        while batch.len() < BATCH
            && let Some(item) = ring.next()
        {
            batch.push(&item);
        }
        read += batch.len() as u64;
        let drained = batch.len() < BATCH;
        room = Batch::like(&batch);
        if !batch.is_empty() && tx.send(batch).is_err() {
            return;
        }
        if drained {
            if stopping {
                return;
            }
            wait(&ring);
        }
    }
}

fn wait(ring: &RingBuf<MapData>) {
    let mut fds = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
    if let Err(e) = poll(&mut fds, POLL_MS)
        && e != nix::errno::Errno::EINTR
    {
        tracing::warn!("waiting for events: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let records: [&[u8]; 4] = [b"one", b"", b"three", b"4"];
        let mut batch = Batch::new();
        assert!(batch.is_empty() && batch.iter().next().is_none());
        records.iter().for_each(|r| batch.push(r));
        assert_eq!(batch.len(), 4);
        assert_eq!(batch.iter().collect::<Vec<_>>(), records);
    }
}
