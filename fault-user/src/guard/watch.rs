//! The thread behind the guards: it renews the lease, so that faults end by themselves should this process hang, and
//! attaches to interfaces that appear.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::GuardError;
use super::board::Board;
use crate::chain::told;
use crate::clock;
use crate::experiment::interfaces::{self, Change, Interface};
use crate::kernel::Network;

/// A lease lasts this long, and is renewed four times as often as it would need to be.
pub const LEASE: Duration = Duration::from_secs(2);
const RENEW: Duration = Duration::from_millis(500);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Dropped, it stops the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What was there when it began to watch, and the thread, which waits for the board.
pub struct Started {
    pub found: Vec<Interface>,
    pub board: oneshot::Sender<Arc<Mutex<Board>>>,
    pub watch: Watch,
}

impl Watch {
    /// Starts it in the network namespace of this thread.
    ///
    /// # Errors
    /// No thread, or the interfaces cannot be listed.
    pub fn start() -> Result<Started, GuardError> {
        let (stop, stopped) = oneshot::channel();
        let (board, made) = oneshot::channel();
        let (listed, list) = mpsc::channel();
        let work = move || {
            if let Err(e) = watch(&listed, made, stopped) {
                // If nobody waits for the list any more, the watch was on already.
                if let Err(mpsc::SendError(Err(e))) = listed.send(Err(e)) {
                    tracing::error!("guards watch no interfaces any more: {e}");
                }
            }
        };
        let thread = std::thread::Builder::new().name("flowfault-guards".into()).spawn(work);
        let thread = thread.map_err(GuardError::io("start the thread of the guards"))?;
        let watch = Self { stop: Some(stop), thread: Some(thread) };
        let ended = |_| std::io::Error::other("its thread has ended");
        let found = list.recv().map_err(ended).and_then(|found| found);
        let found = found.map_err(GuardError::io("list the network interfaces"))?;
        Ok(Started { found, board, watch })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the guards panicked");
        }
    }
}

type Listed = std::io::Result<Vec<Interface>>;

fn watch(
    listed: &mpsc::Sender<Listed>,
    made: oneshot::Receiver<Arc<Mutex<Board>>>,
    mut stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (found, mut changes) = interfaces::watch(None).await?;
        // It is dropped if something else could not be set up: then there is no board, either.
        let _ = listed.send(Ok(found));
        let board = tokio::select! {
            _ = &mut stopped => return Ok(()),
            made = made => made,
        };
        let Ok(board) = board else { return Ok(()) };
        let mut tick = tokio::time::interval(RENEW);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopped => return Ok(()),
                _ = tick.tick() => renew(&board),
                Some(change) = changes.recv() => changed(&board, change),
            }
        }
    })
}

fn renew(board: &Mutex<Board>) {
    let until = clock::monotonic_ns() + LEASE.as_nanos() as u64;
    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(e) = board.renew(until) {
        tracing::error!("faults end, for their lease cannot be renewed: {}", told(&e));
    }
}

fn changed(board: &Mutex<Board>, change: Change) {
    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    match change {
        Change::Gone(index) => board.kernel.forget_interface(Network::Run, index),
        Change::New(i) => {
            if let Err(e) = board.kernel.attach_interface(&i.name, i.index, i.ethernet) {
                // It may be gone again by now; if it is not, its packets are not faulted.
                tracing::warn!("interface {}: {}", i.name, told(&e));
            }
        }
    }
}
