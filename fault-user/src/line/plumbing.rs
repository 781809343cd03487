//! The engine's way out: device, shared memory, the controller's channels.

use fault_common::event::Event;
use fault_common::line::{Back, TAGS};
use tokio::sync::mpsc::UnboundedSender;

use super::engine::ConnKey;
use super::frame::Piece;
use super::tap::Tap;
use super::{Answer, Outlet};
use crate::clock;
use crate::kernel::{Batch, Shared};

/// Events told at a time.
const BATCH: usize = 1024;
/// How long an event may wait for others, ns: as long as the ring's do. Each batch wakes the
/// controller, which on a small machine takes the processor that the app needs.
const GATHER_NS: u64 = 20_000_000;

/// Index of a connection in the shared tables.
pub fn index((slot, dir): ConnKey) -> u32 {
    slot * 2 + dir as u32
}

/// The engine's way out.
pub struct Plumbing {
    pub tap: Tap,
    pub shared: Shared,
    tag: u32,
    pub refused: u64,
    told: Batch,
    /// When the first of them was told.
    told_from: u64,
    pub events: UnboundedSender<Batch>,
    pub answers: Box<dyn FnMut(Answer) + Send>,
}

impl Plumbing {
    pub fn new(
        tap: Tap,
        shared: Shared,
        events: UnboundedSender<Batch>,
        answers: Box<dyn FnMut(Answer) + Send>,
    ) -> Self {
        Self { tap, shared, tag: 0, refused: 0, told: Batch::new(), told_from: 0, events, answers }
    }

    /// When [`Plumbing::tell_all`] is to be called, if anything was told.
    pub fn tell_at(&self) -> Option<u64> {
        (!self.told.is_empty()).then_some(self.told_from + GATHER_NS)
    }

    /// Sends what was told. The ring's events of what followed from a packet may be there first:
    /// who reads them goes by their times.
    pub fn tell_all(&mut self) {
        if !self.told.is_empty() {
            // The receiver goes only when the run is over.
            let _ = self.events.send(std::mem::take(&mut self.told));
        }
    }
}

impl Outlet for Plumbing {
    fn write(&mut self, piece: &mut Piece, back: &Back) -> bool {
        self.tag = (self.tag + 1) & (TAGS - 1);
        let tag = self.tag as u16;
        self.shared.set_back(tag, *back);
        piece.set_tag(tag);
        let taken = self.tap.write(&piece.slices());
        if let Err(e) = &taken {
            self.refused += 1;
            tracing::debug!("a frame was not taken back: {e}");
        }
        taken.is_ok()
    }

    fn tell(&mut self, event: Event) {
        if self.told.is_empty() {
            self.told_from = self.now();
        }
        self.told.push(bytes_of(&event));
        if self.told.len() >= BATCH {
            self.tell_all();
        }
    }

    fn answer(&mut self, answer: Answer) {
        (self.answers)(answer);
    }

    fn done(&mut self, key: ConnKey, accepted: u64) {
        self.shared.set_done(index(key), accepted);
    }

    fn now(&self) -> u64 {
        clock::monotonic_ns()
    }
}

/// The record as the ring would hold it.
fn bytes_of(event: &Event) -> &[u8] {
    let p = std::ptr::from_ref(event).cast::<u8>();
    // SAFETY: an Event has no padding (asserted in fault_common::layout), so all of its bytes
    // are initialised.
    unsafe { std::slice::from_raw_parts(p, size_of::<Event>()) }
}
