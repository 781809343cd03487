//! A packet socket that keeps all of each TCP packet, and the streams in them.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::lab::capture::Capture;
use crate::lab::netns::Netns;

/// "Congestion experienced" (RFC 3168, 5).
pub const CE: u8 = 3;

/// A TCP packet; above the MTU if it came as a super-packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Milliseconds since 1970, when it was read from the socket.
    pub at_ms: f64,
    pub from: u16,
    pub to: u16,
    pub seq: u32,
    pub syn: bool,
    pub rst: bool,
    /// The echo of a congestion mark.
    pub ece: bool,
    pub window: u16,
    /// The ECN field of its IP header.
    pub ecn: u8,
    pub payload: Vec<u8>,
}

/// A capture that goes on.
pub type Tap = Capture<Packet>;

/// Starts to watch what arrives on this interface.
pub fn tap(netns: &Netns, interface: &str) -> Tap {
    Capture::on(netns, interface, tcp)
}

fn tcp(frame: &[u8], at_ms: f64) -> Option<Packet> {
    // Flipped headers make packets that cannot be read; others are none of ours.
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let ecn = match packet.net? {
        NetSlice::Ipv4(ip) => ip.header().ecn().value(),
        NetSlice::Ipv6(ip) => ip.header().traffic_class() & 3,
        NetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    Some(Packet {
        at_ms,
        from: tcp.source_port(),
        to: tcp.destination_port(),
        seq: tcp.sequence_number(),
        syn: tcp.syn(),
        rst: tcp.rst(),
        ece: tcp.ece(),
        window: tcp.window_size(),
        ecn,
        payload: tcp.payload().to_vec(),
    })
}

/// The byte that stands there in the tests' streams (wire.py).
pub fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    /// Its bytes as they came first, without holes.
    pub bytes: Vec<u8>,
    /// Packets of which all bytes had been there before.
    pub repeated: usize,
}

impl Stream {
    /// Positions that do not have the pattern's byte.
    pub fn wrong(&self) -> Vec<usize> {
        (0..self.bytes.len()).filter(|i| self.bytes[*i] != pattern(*i)).collect()
    }
}

/// Position in the stream of each of its packets with payload, from the SYN on.
pub fn placed(packets: &[Packet], from: u16, to: u16) -> Vec<(usize, &Packet)> {
    let of_it = || packets.iter().filter(|p| (p.from, p.to) == (from, to));
    let isn = of_it().find(|p| p.syn).expect("the capture began before the connection").seq;
    let data = of_it().filter(|p| !p.payload.is_empty());
    data.map(|p| (p.seq.wrapping_sub(isn).wrapping_sub(1) as usize, p)).collect()
}

/// Puts a stream together.
pub fn stream(packets: &[Packet], from: u16, to: u16) -> Stream {
    let mut stream = Stream::default();
    let mut placed = placed(packets, from, to);
    placed.sort_by_key(|(at, _)| *at);
    for (at, packet) in placed {
        let known = stream.bytes.len().checked_sub(at).expect("no bytes are missing");
        match packet.payload.get(known..) {
            Some(new) if !new.is_empty() => stream.bytes.extend_from_slice(new),
            _ => stream.repeated += 1,
        }
    }
    stream
}
