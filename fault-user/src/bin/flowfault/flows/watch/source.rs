//! Looks at the sockets again and again, beside the thread that draws: with many sockets a look takes longer
//! than a key may.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fault_user::sockets::age::Memory;
use fault_user::sockets::{Inventory, Request, SocketsError, look};

const INTERVAL: Duration = Duration::from_secs(1);

/// What a look has found.
pub type Found = Result<Inventory, SocketsError>;

/// The thread that looks. It ends when nobody waits for what it finds.
pub struct Source {
    found: Receiver<Found>,
}

impl Source {
    pub fn start(request: Request) -> Result<Self> {
        let (sender, found) = sync_channel(1);
        let mut memory = Memory::default();
        let work = move || {
            loop {
                let started = Instant::now();
                let mut result = look(&request);
                if let Ok(inventory) = &mut result {
                    memory.recall(&mut inventory.flows, Instant::now());
                }
                if sender.send(result).is_err() {
                    return;
                }
                thread::sleep(INTERVAL.saturating_sub(started.elapsed()));
            }
        };
        thread::Builder::new().spawn(work).context("cannot start the thread that looks")?;
        Ok(Self { found })
    }

    /// The next result, if there is one.
    pub fn next(&self) -> Result<Found, TryRecvError> {
        self.found.try_recv()
    }
}
