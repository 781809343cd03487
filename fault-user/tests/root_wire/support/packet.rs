//! A packet as a capture has it.

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;

/// Where a packet was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Eye {
    Lo,
    #[default]
    Cable,
    /// The delay line's device: out of it comes what goes into the line, and back.
    Line,
}

/// How a packet was seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// When the interface had it: ns since 1970.
    pub at_ns: u64,
    /// It was sent by this interface, not received.
    pub outgoing: bool,
    pub eye: Eye,
    /// Payload bytes of each wire packet that it will be cut into; 0 if it is one.
    pub cut: u32,
}

/// A TCP or UDP packet; above the MTU if it came as a super-packet.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    pub seen: Seen,
    pub tcp: bool,
    pub from: u16,
    pub to: u16,
    pub seq: u32,
    pub flags: u8,
    /// Bytes of TCP or UDP payload.
    pub payload: u32,
    /// Bytes of the IP packet.
    pub ip_len: u32,
    /// Number and time (ns since 1970) at the beginning of the payload, if it has room for them.
    pub message: Option<(u64, u64)>,
}

impl Packet {
    /// Reads an Ethernet frame of which the end may be missing; none if it is something else.
    pub fn parse(frame: &[u8], seen: Seen) -> Option<Self> {
        let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let (ip_len, header) = match packet.net? {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                (u32::from(header.total_len()), header.slice().len() as u32)
            }
            // No test here has extension headers.
            LaxNetSlice::Ipv6(ip) => (40 + u32::from(ip.header().payload_length()), 40),
            LaxNetSlice::Arp(_) => return None,
        };
        let of = Self { seen, ip_len, ..Self::default() };
        let (of, transport, payload) = match packet.transport? {
            TransportSlice::Tcp(tcp) => (of.with_tcp(&tcp), tcp.header_len() as u32, tcp.payload()),
            TransportSlice::Udp(udp) => {
                let (from, to) = (udp.source_port(), udp.destination_port());
                (Self { from, to, ..of }, 8, udp.payload())
            }
            _ => return None,
        };
        let number =
            |at: usize| Some(u64::from_be_bytes(payload.get(at..at + 8)?.try_into().ok()?));
        let message = number(0).zip(number(8));
        Some(Self { payload: ip_len.checked_sub(header + transport)?, message, ..of })
    }

    fn with_tcp(self, tcp: &TcpSlice<'_>) -> Self {
        Self {
            tcp: true,
            from: tcp.source_port(),
            to: tcp.destination_port(),
            seq: tcp.sequence_number(),
            flags: tcp.slice()[13],
            ..self
        }
    }

    /// As it goes into the line, and as it comes out again.
    pub fn is_handed(&self) -> bool {
        self.seen.eye == Eye::Line && self.seen.outgoing
    }

    pub fn is_given_back(&self) -> bool {
        self.seen.eye == Eye::Line && !self.seen.outgoing
    }

    /// Wire packets that it is.
    pub fn wire_packets(&self) -> u64 {
        if self.seen.cut == 0 { 1 } else { self.payload.div_ceil(self.seen.cut).into() }
    }

    /// Bytes of them, with their headers.
    pub fn wire_bytes(&self) -> u64 {
        let headers = u64::from(self.ip_len - self.payload);
        u64::from(self.payload) + headers * self.wire_packets()
    }

    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}
