//! A frame as the line's TAP gives it, and what it says.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::checksum::{fold, sum};
use super::network::{self, Network};
use super::read::{long, word};
use super::refused::{NotAFrame, Refused};
use super::transport::{self, Layout, Protocol};
use super::vnet::{Gso, Vnet};

/// A frame, read and unchanged. One that is not understood can still be passed as a [whole];
/// [`Frame::only_whole`] says why.
///
/// [whole]: Frame::whole
#[derive(Debug, Clone)]
pub struct Frame {
    pub(super) bytes: Bytes,
    pub(super) vnet: Vnet,
    /// Of every IP packet.
    pub(super) network: Option<Network>,
    pub(super) layout: Result<Layout, Refused>,
    /// Where the packet ends and padding begins.
    pub(super) end: usize,
}

/// The header of a TCP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number in the header: of the SYN if there is one, else of the first payload byte.
    pub seq: u32,
    /// Acknowledgement number, whether the ACK flag is set or not.
    pub ack: u32,
    /// The eight flags, FIN the lowest.
    pub flags: u8,
    /// The window as on the wire, not scaled.
    pub window: u16,
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// The bytes are too short, or do not have the line's VLAN tag. Whatever else is wrong with
    /// them, the frame can be passed as it is.
    pub fn parse(bytes: Bytes) -> Result<Self, NotAFrame> {
        if bytes.len() < network::SHORTEST {
            return Err(NotAFrame::Short { len: bytes.len(), needed: network::SHORTEST });
        }
        let ethertype = word(&bytes, network::TAG);
        if ethertype != network::VLAN {
            return Err(NotAFrame::Untagged { ethertype });
        }
        let vnet = Vnet::read(&bytes);
        let big = matches!(vnet.gso(), Gso::Tcp4 | Gso::Tcp6);
        Ok(match network::locate(&bytes, big) {
            Ok((network, end)) => Self {
                layout: transport::locate(&bytes, vnet, network, end),
                network: Some(network),
                vnet,
                end,
                bytes,
            },
            Err(why) => Self { layout: Err(why), network: None, vnet, end: bytes.len(), bytes },
        })
    }

    /// The line's tag: all 16 bits of the TCI.
    pub fn tag(&self) -> u16 {
        word(&self.bytes, network::TCI)
    }

    /// Why this frame can only be passed, held or dropped whole; `None` if it can be taken apart.
    pub fn only_whole(&self) -> Option<Refused> {
        self.layout.err()
    }

    /// TCP or UDP; `None` of a frame that cannot be taken apart.
    pub fn protocol(&self) -> Option<Protocol> {
        self.layout.ok().map(|layout| layout.protocol)
    }

    /// What the IP header says that is in it, behind extensions; `None` of what is not IP.
    pub fn ip_protocol(&self) -> Option<u8> {
        self.network.map(|network| network.protocol)
    }

    /// Address and port of the packet's sender; `None` of a frame that cannot be taken apart.
    pub fn source(&self) -> Option<SocketAddr> {
        let layout = self.layout.ok()?;
        Some(SocketAddr::new(
            self.address(layout.network.source_at()),
            word(&self.bytes, layout.transport_at()),
        ))
    }

    /// Address and port of the packet's receiver: with a routing header the last address. `None`
    /// of a frame that cannot be taken apart.
    pub fn destination(&self) -> Option<SocketAddr> {
        let layout = self.layout.ok()?;
        Some(SocketAddr::new(
            self.address(layout.network.destination_at),
            word(&self.bytes, layout.transport_at() + 2),
        ))
    }

    /// The TCP header; `None` of everything else.
    pub fn tcp(&self) -> Option<Tcp> {
        let layout = self.layout.ok()?;
        let at = layout.transport_at();
        (layout.protocol == Protocol::Tcp).then(|| Tcp {
            seq: long(&self.bytes, at + 4),
            ack: long(&self.bytes, at + 8),
            flags: self.bytes[layout.flags_at()],
            window: word(&self.bytes, at + 14),
        })
    }

    /// TCP or UDP payload of all segments; empty of a frame that cannot be taken apart.
    pub fn payload(&self) -> &[u8] {
        self.layout.map_or(&[], |layout| &self.bytes[layout.payload_at..self.end])
    }

    /// Payload bytes of a wire packet, of a super-packet.
    pub(super) fn gso_size(&self) -> Option<usize> {
        let gso = self.layout.is_ok() && self.vnet.gso() != Gso::None;
        gso.then(|| usize::from(self.vnet.gso_size()))
    }

    /// Without a checksum, as UDP over IPv4 may be (RFC 768) and a tunnel over IPv6 (RFC 6935).
    pub(super) fn unchecked(&self, layout: &Layout) -> bool {
        layout.protocol == Protocol::Udp
            && !self.vnet.partial()
            && word(&self.bytes, layout.check_at()) == 0
    }

    /// The checksum is complete and wrong: the receiver will discard the packet.
    pub(super) fn damaged(&self) -> bool {
        self.layout.is_ok_and(|layout| {
            let complete = !self.vnet.offloaded();
            let pseudo = pseudo(&self.bytes, &layout, self.end - layout.transport_at());
            complete
                && !self.unchecked(&layout)
                && sum(&self.bytes[layout.transport_at()..self.end], pseudo) != 0xffff
        })
    }

    /// The address at an offset of the network header.
    pub(super) fn address(&self, at: usize) -> IpAddr {
        let octets = |i: usize| self.bytes[at + i];
        match self.network.is_some_and(|network| network.v6) {
            true => IpAddr::from(std::array::from_fn::<u8, 16, _>(octets)),
            false => IpAddr::from(std::array::from_fn::<u8, 4, _>(octets)),
        }
    }
}

/// Sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) for so many bytes of transport header
/// and payload. The length has 32 bits, so that of BIG TCP fits.
pub(super) fn pseudo(bytes: &[u8], layout: &Layout, len: usize) -> u16 {
    let network = &layout.network;
    let address = |at: usize| &bytes[at..at + network.address_len()];
    let addresses = sum(address(network.destination_at), sum(address(network.source_at()), 0));
    fold(u64::from(addresses) + u64::from(network.protocol) + len as u64)
}
