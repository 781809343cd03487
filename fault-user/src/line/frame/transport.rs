//! Which frames can be taken apart, and where their transport header is (RFC 9293, RFC 768).

use super::network::{self, Network};
use super::read::be16;
use super::refused::Refused;
use super::vnet::{Gso, Vnet};

/// What the flow speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;
pub(super) const CWR: u8 = 0x80;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// A frame that can be taken apart. Offsets are from the frame's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub network: Network,
    pub protocol: Protocol,
    pub payload_at: usize,
}

impl Layout {
    /// The transport header.
    pub fn transport_at(&self) -> usize {
        self.network.transport_at
    }

    /// Offset of the checksum field within the transport header.
    pub fn field(&self) -> usize {
        match self.protocol {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        }
    }

    /// Offset of the checksum field in the frame.
    pub fn check_at(&self) -> usize {
        self.transport_at() + self.field()
    }

    /// Offset of the TCP flags in the frame.
    pub fn flags_at(&self) -> usize {
        self.transport_at() + 13
    }
}

/// Reads the transport header of a packet that ends at `end`, or says why it cannot be taken apart.
pub(super) fn locate(
    frame: &[u8],
    vnet: Vnet,
    network: Network,
    end: usize,
) -> Result<Layout, Refused> {
    if network.fragment.is_some() {
        return Err(Refused::Fragment);
    }
    let header = &frame[network.transport_at..end];
    let (protocol, length) = match network.protocol {
        network::TCP => (Protocol::Tcp, tcp(header)?),
        network::UDP => (Protocol::Udp, udp(header, vnet.gso() == Gso::Udp)?),
        _ => return Err(Refused::Protocol),
    };
    let layout = Layout { network, protocol, payload_at: network.transport_at + length };
    offload(vnet, &layout)?;
    Ok(layout)
}

fn tcp(header: &[u8]) -> Result<usize, Refused> {
    let length = header.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    match length >= TCP_HEADER && length <= header.len() {
        true => Ok(length),
        false => Err(Refused::Malformed),
    }
}

/// A datagram that is shorter than its packet has something behind it (RFC 9868) that is neither
/// payload nor padding. Of a super-packet each wire packet has a length of its own.
fn udp(header: &[u8], gso: bool) -> Result<usize, Refused> {
    let length = be16(header, 4).map_or(0, usize::from);
    match header.len() >= UDP_HEADER && (gso || length == header.len()) {
        true => Ok(UDP_HEADER),
        false => Err(Refused::Malformed),
    }
}

/// Offload must be about this header: a tunnel's frame has an inner one.
fn offload(vnet: Vnet, layout: &Layout) -> Result<(), Refused> {
    let Layout { network, protocol, .. } = layout;
    let same = match vnet.gso() {
        Gso::None => true,
        Gso::Tcp4 => *protocol == Protocol::Tcp && !network.v6,
        Gso::Tcp6 => *protocol == Protocol::Tcp && network.v6,
        Gso::Udp => *protocol == Protocol::Udp,
        Gso::Other => false,
    };
    let checksum = !vnet.partial() || vnet.checksum_at() == (layout.transport_at(), layout.field());
    match same && checksum {
        false => Err(Refused::Offload),
        true if vnet.gso() != Gso::None && vnet.gso_size() == 0 => Err(Refused::Malformed),
        true => Ok(()),
    }
}

/// Whether TCP options hold a signature: MD5 (RFC 2385) or AO (RFC 5925).
pub(super) fn signed(options: &[u8]) -> bool {
    let mut rest = options;
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            0 => return false,
            1 => rest = after,
            19 | 29 => return true,
            _ => match rest.get(1).map(|n| usize::from(*n)) {
                Some(length) if length >= 2 && length <= rest.len() => rest = &rest[length..],
                _ => return false,
            },
        }
    }
    false
}
