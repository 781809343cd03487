//! A fault that is armed.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::Ticket;
use super::loaded::Shared;
use super::stream::Stream;
use super::{Counts, GuardError};
use crate::chain::told;
use crate::scenario::Scenario;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Faults that are armed on a stream; dropping it lifts them, also while a panic unwinds. It outlives the stream, and
/// may be sent to other threads.
#[derive(Debug)]
#[must_use = "dropping it lifts the fault"]
pub struct Guard {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    /// Closed when the fault is lifted.
    _held: Option<Arc<OwnedFd>>,
}

impl Guard {
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: &Stream,
        held: Option<Arc<OwnedFd>>,
        scenario: &Scenario,
    ) -> Result<Self, GuardError> {
        let ticket = shared.board().arm(stream, scenario)?;
        Ok(Self { shared, ticket: Some(ticket), _held: held })
    }

    /// What was counted since it was armed.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn counts(&self) -> Result<Counts, GuardError> {
        self.ticket.as_ref().map_or(Ok(Counts::default()), |t| self.shared.board().counts(t))
    }

    /// Lifts the faults now; returns what they did.
    ///
    /// # Errors
    /// The kernel refuses: within two seconds the lease ends the faults all the same.
    pub fn lift(mut self) -> Result<Counts, GuardError> {
        let Some(ticket) = self.ticket.take() else { return Ok(Counts::default()) };
        let mut board = self.shared.board();
        board.disarm(&ticket)?;
        board.counts(&ticket)
    }

    /// Blocks until the counters fulfil a condition; returns them.
    ///
    /// # Errors
    /// [`GuardError::Timeout`] if that does not come within this time.
    pub fn wait(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Counts) -> bool,
    ) -> Result<Counts, GuardError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(counts) = self.look(what, within, deadline, &holds)? {
                return Ok(counts);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Blocks until this guard's faults have acted on `n` packets, both directions together.
    ///
    /// # Errors
    /// As [`Guard::wait`].
    pub fn wait_hits(&self, n: u64, within: Duration) -> Result<Counts, GuardError> {
        self.wait(&hits(n), within, |counts| counts.hits() >= n)
    }

    /// [`Guard::wait`] for tokio: others go on meanwhile.
    ///
    /// # Errors
    /// As [`Guard::wait`].
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Counts) -> bool,
    ) -> Result<Counts, GuardError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(counts) = self.look(what, within, deadline, &holds)? {
                return Ok(counts);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// [`Guard::wait_hits`] for tokio.
    ///
    /// # Errors
    /// As [`Guard::wait`].
    pub async fn until_hits(&self, n: u64, within: Duration) -> Result<Counts, GuardError> {
        self.until(&hits(n), within, |counts| counts.hits() >= n).await
    }

    fn look(
        &self,
        what: &str,
        within: Duration,
        deadline: Instant,
        holds: &impl Fn(&Counts) -> bool,
    ) -> Result<Option<Counts>, GuardError> {
        // The clock before the counters: what has come by the deadline is seen.
        let late = Instant::now() >= deadline;
        let counts = self.counts()?;
        match (holds(&counts), late) {
            (true, _) => Ok(Some(counts)),
            (false, false) => Ok(None),
            (false, true) => {
                Err(GuardError::Timeout { what: what.to_owned(), within, counts: Box::new(counts) })
            }
        }
    }
}

fn hits(n: u64) -> String {
    format!("{n} packets hit")
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        if let Err(e) = self.shared.board().disarm(&ticket) {
            tracing::error!("a fault could not be lifted, its lease ends it: {}", told(&e));
        }
    }
}
