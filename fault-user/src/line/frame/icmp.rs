//! The ICMP error that a firewall's REJECT answers a packet with (RFC 792, RFC 4443).

use std::net::IpAddr;

use bytes::Bytes;

use super::checksum::sum;
use super::network::{self, Fragment, Network};
use super::parsed::Frame;
use super::read::put_word;

/// So much of the packet is quoted: the error fits 576 bytes (RFC 1812, 4.3.2.3) or IPv6's
/// minimum MTU (RFC 4443, 3.1).
const QUOTE_V4: usize = 576 - 20 - HEADER;
const QUOTE_V6: usize = 1280 - 40 - HEADER;
/// Type, code, checksum and four unused bytes.
const HEADER: usize = 8;

const UNREACHABLE_V4: u8 = 3;
const UNREACHABLE_V6: u8 = 1;

/// Why the destination is said to be unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// Nobody listens (ECONNREFUSED).
    Port,
    /// The host cannot be reached (EHOSTUNREACH).
    Host,
    /// No route (ENETUNREACH).
    Net,
    /// Forbidden by an administrator (v4 EHOSTUNREACH, v6 EACCES).
    Admin,
}

impl Reject {
    fn code(self, v6: bool) -> u8 {
        match (self, v6) {
            (Self::Net, _) => 0,
            (Self::Host, false) | (Self::Admin, true) => 1,
            (Self::Port, false) | (Self::Host, true) => 3,
            (Self::Port, true) => 4,
            (Self::Admin, false) => 13,
        }
    }
}

/// An ICMP or ICMPv6 message without an IP header, for a raw socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpMessage {
    /// Whom to send it to: the packet's sender. An IPv4 address means ICMP, an IPv6 one ICMPv6.
    pub to: IpAddr,
    /// Whom the packet was for.
    pub unreachable: IpAddr,
    /// Header and quote. ICMP's checksum is complete; ICMPv6's is 0, because a raw ICMPv6 socket
    /// always computes it itself (RFC 3542, 3.1), knowing the address it sends from.
    pub bytes: Bytes,
}

/// The error for this frame's first wire packet, which it quotes as on the wire. `None` for what
/// must not be answered (RFC 1122, 3.2.2; RFC 4443, 2.4): ICMP errors, multicast and broadcast,
/// senders that are no single host, later fragments; and for what cannot be: no IP, a
/// checksum that is wrong already, or a foreign one that is yet to be computed. That an address is
/// the broadcast of a subnet cannot be told from a packet, unless its Ethernet address says so.
pub fn unreachable(frame: &Frame, kind: Reject) -> Option<IcmpMessage> {
    let network = frame.network.filter(|network| answerable(frame, network))?;
    let kinds = if network.v6 { UNREACHABLE_V6 } else { UNREACHABLE_V4 };
    let mut bytes = vec![kinds, kind.code(network.v6), 0, 0, 0, 0, 0, 0];
    let quote = quoted(frame, &network)?;
    let limit = if network.v6 { QUOTE_V6 } else { QUOTE_V4 };
    bytes.extend_from_slice(&quote[..quote.len().min(limit)]);
    if !network.v6 {
        let check = !sum(&bytes, 0);
        put_word(&mut bytes, 2, check);
    }
    Some(IcmpMessage {
        to: frame.address(network.source_at()),
        unreachable: frame.address(network.destination_at),
        bytes: bytes.into(),
    })
}

/// Whether anything may be sent in answer to this packet.
pub(super) fn answerable(frame: &Frame, network: &Network) -> bool {
    // The lowest bit of an Ethernet destination's first byte is group or broadcast.
    let group = frame.bytes[super::vnet::LEN] & 1 != 0;
    let later = network.fragment == Some(Fragment::Later);
    !group
        && !later
        && !frame.damaged()
        && !is_icmp_error(frame, network)
        && single_host(frame.address(network.source_at()))
        && single_host(frame.address(network.destination_at))
}

/// Loopback counts: that the sender is this host is what a test on `lo` wants.
fn single_host(address: IpAddr) -> bool {
    match address {
        // 240.0.0.0/4 is class E and the limited broadcast.
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && ip.octets()[0] < 240,
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

/// Errors, redirects, and what is too short to tell.
fn is_icmp_error(frame: &Frame, network: &Network) -> bool {
    let kind = frame.bytes[..frame.end].get(network.transport_at).copied();
    match (network.v6, network.protocol) {
        (false, network::ICMP) => matches!(kind, None | Some(3 | 4 | 5 | 11 | 12)),
        (true, network::ICMPV6) => matches!(kind, None | Some(0..128 | 137)),
        _ => false,
    }
}

/// The first wire packet from its IP header on, its checksum complete.
fn quoted(frame: &Frame, network: &Network) -> Option<Vec<u8>> {
    if frame.layout.is_err() {
        return (!frame.vnet.offloaded()).then(|| frame.bytes[network.at..frame.end].to_vec());
    }
    // A fresh piece of one segment is never refused.
    let mut piece = frame.run(0, 1, 0).ok()?;
    piece.full_checksum().ok()?;
    piece.ip_packet()
}
