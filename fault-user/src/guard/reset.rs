//! Resets of a guarded stream: sent, and repeated until they were taken.

use fault_common::table::SOCKET_CLOSED;

use super::GuardError;
use super::connection::Speaker;
use super::stream::Stream;
use super::watch::LEASE;
use crate::act::Connection;
use crate::clock;
use crate::experiment::actions;
use crate::experiment::resets::{NOT_TAKEN, Next, Unsure};
use crate::kernel::Kernel;
use crate::plan::Side;

/// Resets that were sent: to the peer (egress), to the stream itself (ingress).
pub type Sent = [u64; 2];

/// Resets it; returns once it is gone, as far as one can see from here.
///
/// # Errors
/// [`GuardError::NotReset`]; or the kernel refuses the packets.
pub fn reset(
    kernel: &mut Kernel,
    speaker: &Speaker,
    stream: &Stream,
    side: Side,
) -> Result<Sent, GuardError> {
    let mut sent = [0, 0];
    let Some((mut open, connection)) = look(kernel, stream)? else { return Ok(sent) };
    send(speaker, &connection, (side, open), &mut sent)?;
    let mut unsure = Unsure::new(stream.cookie, side, connection.received, None);
    loop {
        std::thread::sleep(unsure.pause());
        // Whoever does that otherwise waits for the board.
        kernel.renew_lease(clock::monotonic_ns() + LEASE.as_nanos() as u64)?;
        let Some((still, connection)) = look(kernel, stream)? else { return Ok(sent) };
        open = still;
        match unsure.next(open, connection.received) {
            Next::Done => return Ok(sent),
            Next::Wait => {}
            Next::Again => send(speaker, &connection, (side, open), &mut sent)?,
            Next::GiveUp => return Err(GuardError::NotReset { why: NOT_TAKEN }),
        }
    }
}

/// Whether it is open, and its numbers.
fn look(kernel: &Kernel, stream: &Stream) -> Result<Option<(bool, Connection)>, GuardError> {
    let Some(entry) = kernel.socket(stream.cookie)? else { return Ok(None) };
    let connection = stream.connection(entry.last.map(actions::last));
    Ok(Some((entry.state & SOCKET_CLOSED == 0, actions::standing(connection, &entry))))
}

fn send(
    speaker: &Speaker,
    connection: &Connection,
    (side, open): (Side, bool),
    sent: &mut Sent,
) -> Result<(), GuardError> {
    // First: the peer's answer to a reset of ours would find the local socket gone.
    if side != Side::Local {
        speaker.sender().reset_peer(connection)?;
        sent[0] += 1;
    }
    if side != Side::Peer && open {
        speaker.sender().reset_local(connection)?;
        sent[1] += 1;
    }
    Ok(())
}
