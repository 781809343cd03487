//! Resets that missed. A stack takes a reset only at exactly the sequence number that it expects
//! next (RFC 5961, 3.2), and a busy connection may have moved on between the look at its numbers
//! and the packet. So it is looked at again, and reset again, until it is gone.

use std::time::Duration;

use super::actions;
use super::prepare::Stage;
use super::state::State;
use crate::act::{ActError, Connection, LastSegment};
use crate::clock;
use crate::line::Reached;
use crate::plan::Side;

/// The first look comes so soon, each later one after twice the time, ns.
const FIRST: u64 = 2_000_000;
/// The last look: about two seconds after the reset.
const LOOKS: u32 = 10;
/// A peer that has sent nothing between two looks is gone or idle; of an idle one the numbers were
/// right.
const SILENT: u32 = 2;
/// At a limit so many looks (126 ms) are for the number at which all that it lets through has come.
/// Should some of that have been lost on the way, the one that is expected instead serves as well.
const EXACT: u32 = 6;

/// A reset that may have missed.
#[derive(Debug)]
pub struct Unsure {
    cookie: u64,
    side: Side,
    /// The limit that it is for.
    limit: Option<Reached>,
    /// What the peer had sent last; its resets do not count.
    received: Option<LastSegment>,
    silent: u32,
    looks: u32,
    at: u64,
}

impl Unsure {
    /// One that was just sent.
    pub fn new(
        cookie: u64,
        side: Side,
        received: Option<LastSegment>,
        limit: Option<Reached>,
    ) -> Self {
        let at = clock::monotonic_ns() + FIRST;
        Self { cookie, side, limit, received, silent: 0, looks: 0, at }
    }

    /// What follows from another look. `open`: the local socket is not closed; `received`: its last segment from the peer.
    pub fn next(&mut self, open: bool, received: Option<LastSegment>) -> Next {
        // With the local socket gone, the kernel resets a peer that goes on sending; unless a limit
        // keeps from it what the peer sends.
        if !open && self.limit.is_none() {
            return Next::Done;
        }
        let missed = self.missed(received);
        if self.silent == SILENT {
            return Next::Done;
        }
        self.looks += 1;
        match (self.looks == LOOKS, open) {
            (true, true) => Next::GiveUp,
            (true, false) => Next::Done,
            (false, _) if missed => Next::Again,
            (false, _) => Next::Wait,
        }
    }

    /// How long until the next look.
    pub fn pause(&self) -> Duration {
        Duration::from_nanos(FIRST << self.looks)
    }

    /// Whether the connection is still there, as far as one can see from here.
    fn missed(&mut self, received: Option<LastSegment>) -> bool {
        // Of the local socket it is known.
        if self.side != Side::Peer {
            return true;
        }
        self.silent = if received == self.received { self.silent + 1 } else { 0 };
        self.received = received;
        self.silent == 0
    }
}

/// What is to be done about a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The connection is gone.
    Done,
    /// It may be; look again.
    Wait,
    /// It was missed.
    Again,
    /// It will not take it.
    GiveUp,
}

/// Why a connection may stay although it was reset.
pub const NOT_TAKEN: &str = "it moves too fast, or wants signed segments (TCP-MD5, TCP-AO). `abort = true` ends it for \
                             certain";

/// When [`check`] is to be called.
pub fn next_at(state: &State<'_>) -> Option<u64> {
    state.actions.unsure.iter().map(|u| u.at).min()
}

/// Looks at those whose time has come.
pub fn check(stage: &Stage, state: &mut State<'_>, now: u64) {
    let (due, later) =
        std::mem::take(&mut state.actions.unsure).into_iter().partition(|u| u.at <= now);
    state.actions.unsure = later;
    let due: Vec<Unsure> = due;
    for unsure in due {
        if let Some(still) = look(stage, state, unsure, now) {
            state.actions.unsure.push(still);
        }
    }
}

/// Sends it again if it missed; `None` once the connection is gone.
fn look(stage: &Stage, state: &mut State<'_>, mut unsure: Unsure, now: u64) -> Option<Unsure> {
    let cookie = unsure.cookie;
    let open = state.sockets.get(&cookie).is_some_and(|s| s.open);
    let (_, connection) = actions::connection(stage, state, cookie)?;
    match unsure.next(open, connection.received) {
        Next::Done => return None,
        Next::Wait => {}
        Next::Again => {
            if let Err(e) = again(stage, &unsure, &connection, open) {
                state.fail(format!("cannot reset socket {cookie}: {e}"));
                return None;
            }
        }
        Next::GiveUp => {
            state.fail(format!("socket {cookie} did not take its reset: {NOT_TAKEN}"));
            return None;
        }
    }
    unsure.at = now + unsure.pause().as_nanos() as u64;
    Some(unsure)
}

/// Sends what may have missed once more. A peer that is gone already does not mind.
fn again(
    stage: &Stage,
    unsure: &Unsure,
    connection: &Connection,
    open: bool,
) -> Result<(), ActError> {
    let exact = unsure.limit.filter(|_| unsure.looks <= EXACT);
    let connection = exact.map_or(*connection, |reached| actions::at_limit(*connection, reached));
    let sender = actions::sender_of(stage, unsure.cookie);
    if unsure.side == Side::Peer || unsure.limit.is_some() {
        sender.reset_peer(&connection)?;
    }
    if unsure.side != Side::Peer && open {
        sender.reset_local(&connection)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(end_seq: u32) -> Option<LastSegment> {
        let (ack, window) = (1, 2);
        Some(LastSegment { end_seq, ack, window, timestamps: None, has_ack: true })
    }

    #[test]
    fn a_peer_that_goes_on_sending_was_missed_and_a_silent_one_was_not() {
        let mut unsure = Unsure::new(7, Side::Peer, segment(10), None);
        assert!(unsure.missed(segment(11)));
        assert!(!unsure.missed(segment(11)));
        assert!(unsure.missed(segment(12)));
        assert!(!unsure.missed(segment(12)) && unsure.silent < SILENT);
        assert!(!unsure.missed(segment(12)) && unsure.silent == SILENT);
    }

    #[test]
    fn a_local_socket_that_is_not_closed_was_missed() {
        for side in [Side::Local, Side::Both] {
            assert!(Unsure::new(7, side, segment(10), None).missed(segment(10)));
        }
    }
}
