//! Which packets a fault means.

use super::Packet;
use crate::decide::UNPLACED;
use crate::event::tcp;

/// All conditions must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct When {
    /// Kind of TCP segment; never holds for UDP.
    pub segment: Option<Segment>,
    /// IP bytes on the wire, inclusive.
    pub size: Option<(u32, u32)>,
    /// It carries a byte of `[from, to)` of the stream.
    pub stream: Option<(u64, u64)>,
    /// Only what carries bytes that were sent before.
    pub retransmission: bool,
}

/// A kind of TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// The SYN flag is set: a SYN or (the other way) its SYN-ACK.
    Syn,
    /// SYN and ACK.
    SynAck,
    /// It carries payload.
    Data,
    /// An acknowledgement without payload, SYN, FIN or RST.
    AckOnly,
    Fin,
    Rst,
}

impl When {
    /// Whether it means `packet`.
    pub fn means(&self, packet: &Packet) -> bool {
        self.segment.is_none_or(|kind| kind.is(packet))
            && self.size.is_none_or(|(min, max)| (min..=max).contains(&packet.wire))
            && self.stream.is_none_or(|range| carries(packet, range))
            && (!self.retransmission || packet.retransmission)
    }
}

impl Segment {
    fn is(self, packet: &Packet) -> bool {
        let has = |flags| packet.flags & flags == flags;
        let control = packet.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0;
        packet.tcp
            && match self {
                Self::Syn => has(tcp::SYN),
                Self::SynAck => has(tcp::SYN | tcp::ACK),
                Self::Data => packet.payload > 0,
                Self::AckOnly => packet.payload == 0 && has(tcp::ACK) && !control,
                Self::Fin => has(tcp::FIN),
                Self::Rst => has(tcp::RST),
            }
    }
}

/// Whether a payload byte of the packet lies in `[from, to)` of the stream. One without payload
/// carries none, whatever its position.
fn carries(packet: &Packet, (from, to): (u64, u64)) -> bool {
    let placed = packet.payload > 0 && packet.pos & UNPLACED == 0;
    placed && packet.pos < to && packet.pos.saturating_add(u64::from(packet.payload)) > from
}
