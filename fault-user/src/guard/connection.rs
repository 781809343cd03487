//! What is done to a connection from outside, and not to its packets.

use std::sync::Arc;

use fault_common::rule::Direction;

use super::GuardError;
use super::stream::Stream;
use crate::act::{self, ActError, RawSender};
use crate::experiment::actions;
use crate::kernel::Kernel;

/// Raw sockets whose packets the programs let pass.
pub struct Speaker(Arc<RawSender>);

impl Speaker {
    /// Opens them.
    ///
    /// # Errors
    /// Missing privileges.
    pub fn open(kernel: &mut Kernel) -> Result<Self, GuardError> {
        Ok(Self(Arc::new(actions::sender(kernel, None)?)))
    }

    /// For the line's answers.
    pub fn sender(&self) -> Arc<RawSender> {
        Arc::clone(&self.0)
    }

    /// A stall is over: says so to the side that it held, which else would wait for its next probe, up to two
    /// minutes.
    ///
    /// # Errors
    /// The kernel refuses the packet.
    pub fn open_window(
        &self,
        kernel: &Kernel,
        stream: &Stream,
        direction: Direction,
    ) -> Result<(), GuardError> {
        let Some(entry) = kernel.socket(stream.cookie)? else { return Ok(()) };
        let connection = stream.connection(entry.last.map(actions::last));
        match direction {
            Direction::Egress if connection.sent.is_some() => {
                self.0.open_window_to_peer(&connection).map(drop)?;
            }
            Direction::Ingress if connection.received.is_some() => {
                self.0.open_window_to_local(&connection).map(drop)?;
            }
            // No segment of that direction has been seen, so none was stalled.
            _ => {}
        }
        Ok(())
    }
}

/// Has the local stack destroy the socket; one that is gone already is no error.
///
/// # Errors
/// The kernel refuses.
pub fn abort(stream: &Stream) -> Result<(), GuardError> {
    match act::destroy(&stream.connection([None, None])) {
        Err(ActError::Gone { .. }) => Ok(()),
        other => Ok(other?),
    }
}
