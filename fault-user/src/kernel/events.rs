//! The ring buffer's consumer: a thread of its own, so that a busy controller loses no events.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use super::Kernel;
use super::error::KernelError;

/// Raw records, in ring order. Decoding is the ledger's.
pub type Batch = Vec<Box<[u8]>>;

/// Records per batch at most: keeps the controller's loop responsive under load.
const BATCH: usize = 4096;
/// How often the ring and the stop flag are looked at. Packets and sends wake nobody (fault-ebpf's
/// `emit`); in that time the ring would hold the events of nine million a second.
const POLL_MS: u16 = 20;

/// Handle of the consumer thread.
#[must_use = "dropping it stops reading events"]
pub struct EventReader {
    stop: Arc<AtomicBool>,
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
        let thread = std::thread::Builder::new()
            .name("flowfault-events".into())
            .spawn(move || consume(ring, &tx, &flag))
            .map_err(KernelError::map("start the event thread"))?;
        Ok(EventReader { stop, thread: Some(thread) })
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

fn consume(mut ring: RingBuf<MapData>, tx: &mpsc::UnboundedSender<Batch>, stop: &AtomicBool) {
    loop {
        // Read the flag before the ring: what was written before the stop is then still read.
        let stopping = stop.load(Ordering::Acquire);
        let mut batch = Batch::new();
        while batch.len() < BATCH
            && let Some(item) = ring.next()
        {
            batch.push(Box::from(&*item));
        }
        let drained = batch.len() < BATCH;
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
