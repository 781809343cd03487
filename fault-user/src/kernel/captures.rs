//! The consumer of the packet programs' ring of captured packets: a thread of its own, so that neither
//! events nor the controller wait for payload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};

use super::Kernel;
use super::error::KernelError;

/// How often the ring is looked at; nobody waits for what is in it.
const LOOK: Duration = Duration::from_millis(20);

/// Handle of the consumer thread.
#[must_use = "dropping it stops reading captured packets"]
pub struct CaptureReader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Box<[u8]>>>>,
}

impl Kernel {
    /// Starts to read captured packets. Once per [`Kernel`].
    ///
    /// # Errors
    /// The ring cannot be mapped, or was taken before.
    pub fn captures(&mut self) -> Result<CaptureReader, KernelError> {
        let map = self
            .ebpf
            .take_map("CAPTURES")
            .ok_or(KernelError::Object { what: "without the map CAPTURES" })?;
        let ring = RingBuf::try_from(map).map_err(KernelError::map("map the ring of captures"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("flowfault-capture".into())
            .spawn(move || consume(ring, &flag))
            .map_err(KernelError::map("start the capture thread"))?;
        Ok(CaptureReader { stop, thread: Some(thread) })
    }
}

impl CaptureReader {
    /// Reads what is left in the ring and gives all records. Detach the programs first. `None`: its
    /// thread has panicked.
    pub fn finish(mut self) -> Option<Vec<Box<[u8]>>> {
        self.stop.store(true, Ordering::Release);
        self.thread.take()?.join().ok()
    }
}

impl Drop for CaptureReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the capture thread panicked");
        }
    }
}

/// What comes is bounded: the programs hand over no more packets than `Setup::captures` says.
fn consume(mut ring: RingBuf<MapData>, stop: &AtomicBool) -> Vec<Box<[u8]>> {
    let mut records = Vec::new();
    loop {
        // Read the flag before the ring: what was written before the stop is then still read.
        let stopping = stop.load(Ordering::Acquire);
        while let Some(item) = ring.next() {
            records.push(Box::from(&*item));
        }
        if stopping {
            return records;
        }
        std::thread::sleep(LOOK);
    }
}
