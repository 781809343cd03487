//! A limit: fine up to a byte of the stream.

use super::Packet;
use super::State;
use super::model::Limit;
use crate::decide::UNPLACED;
use crate::event::tcp;

/// What a limit says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    All,
    /// So many of its payload bytes, and no FIN.
    First(u32),
    Nothing,
}

/// Judges a packet; of UDP, `state.cursor` counts the payload bytes so far.
pub fn passes(limit: &Limit, packet: &Packet, state: &mut State) -> Passes {
    if packet.tcp { of_stream(limit, packet) } else { of_datagrams(limit, packet, state) }
}

/// By stream position, so a retransmission of bytes below the limit always passes. A FIN is
/// the byte after the last (it has that sequence number), and is beyond the limit if that is.
fn of_stream(limit: &Limit, packet: &Packet) -> Passes {
    let start = packet.pos & !UNPLACED;
    let fin = u64::from(packet.flags & tcp::FIN != 0);
    let end = start.saturating_add(u64::from(packet.payload) + fin);
    if end <= limit.bytes || (packet.payload == 0 && fin == 0) {
        return Passes::All;
    }
    let below = limit.bytes.saturating_sub(start).min(u64::from(packet.payload));
    match below {
        // A SYN with data (TCP Fast Open) still opens the connection.
        0 if packet.flags & tcp::SYN == 0 => Passes::Nothing,
        keep => Passes::First(keep as u32),
    }
}

/// Datagrams have no position: what counts is what was sent. One that would exceed is lost
/// whole and counts, so after it nothing passes any more, however short.
fn of_datagrams(limit: &Limit, packet: &Packet, state: &mut State) -> Passes {
    state.cursor = state.cursor.saturating_add(u64::from(packet.payload));
    if state.cursor <= limit.bytes { Passes::All } else { Passes::Nothing }
}
