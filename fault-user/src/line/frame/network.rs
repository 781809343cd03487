//! Where the network header is, and what it says (RFC 791, RFC 8200, IEEE 802.1Q).

use super::read::be16;
use super::refused::Refused;
use super::vnet;

/// The ethertype behind the Ethernet addresses: the line's own tag.
pub(super) const TAG: usize = vnet::LEN + 12;
/// The line's tag is behind it.
pub(super) const TCI: usize = TAG + 2;
/// The ethertype behind the line's tag.
pub(super) const ETHERTYPE: usize = TAG + 4;
/// The shortest frame that can be told from noise.
pub(super) const SHORTEST: usize = ETHERTYPE + 2;

pub(super) const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// As many as the kernel itself walks (VLAN_MAX_DEPTH), ours included.
const INNER_TAGS: usize = 7;

const HOP_BY_HOP: u8 = 0;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMPV6: u8 = 58;
const DESTINATION: u8 = 60;
/// RFC 8200, 4.1 names six in a packet; more is somebody's experiment.
const EXTENSIONS: usize = 8;

const IPV6_HEADER: usize = 40;
/// A hop-by-hop header with the jumbo option alone: what BIG TCP over IPv6 has.
pub(super) const JUMBO: usize = 8;
const JUMBO_OPTION: [u8; 2] = [0xc2, 4];

/// A network header. Offsets are from the frame's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub v6: bool,
    pub at: usize,
    /// What comes behind the header, its options and its extensions.
    pub transport_at: usize,
    pub protocol: u8,
    pub fragment: Option<Fragment>,
    /// The address that the pseudo-header has as destination: with a routing header the last one
    /// (RFC 8200, 8.1).
    pub destination_at: usize,
    /// The first extension is nothing but the jumbo option.
    pub jumbo: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    First,
    Later,
}

impl Network {
    pub fn source_at(&self) -> usize {
        self.at + if self.v6 { 8 } else { 12 }
    }

    pub fn address_len(&self) -> usize {
        if self.v6 { 16 } else { 4 }
    }
}

/// The network header of a frame, and where the packet ends: behind it is padding. `gso` frames
/// may have a length of 0 (BIG TCP: as long as the frame).
pub(super) fn locate(frame: &[u8], gso: bool) -> Result<(Network, usize), Refused> {
    let mut at = ETHERTYPE;
    let mut ethertype = be16(frame, at).ok_or(Refused::Malformed)?;
    for _ in 0..INNER_TAGS {
        if ethertype != VLAN && ethertype != QINQ {
            break;
        }
        at += 4;
        ethertype = be16(frame, at).ok_or(Refused::Malformed)?;
    }
    match ethertype {
        IPV4 => ipv4(frame, at + 2, gso).ok_or(Refused::Malformed),
        IPV6 => ipv6(frame, at + 2, gso).ok_or(Refused::Malformed),
        _ => Err(Refused::Protocol),
    }
}

fn ipv4(frame: &[u8], at: usize, gso: bool) -> Option<(Network, usize)> {
    let header: &[u8; 20] = frame.get(at..)?.first_chunk()?;
    let length = usize::from(header[0] & 0xf) * 4;
    let end = end(frame, at, usize::from(be16(header, 2)?), 0, gso)?;
    if header[0] >> 4 != 4 || length < 20 || at + length > end {
        return None;
    }
    let fragment = match be16(header, 6)? & 0x3fff {
        0 => None,
        offset if offset & 0x1fff == 0 => Some(Fragment::First),
        _ => Some(Fragment::Later),
    };
    let network = Network {
        v6: false,
        at,
        transport_at: at + length,
        protocol: header[9],
        fragment,
        destination_at: at + destination(&frame[at..at + length]),
        jumbo: false,
    };
    Some((network, end))
}

fn ipv6(frame: &[u8], at: usize, gso: bool) -> Option<(Network, usize)> {
    let header: &[u8; IPV6_HEADER] = frame.get(at..)?.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let end = end(frame, at, usize::from(be16(header, 4)?), IPV6_HEADER, gso)?;
    let mut network = Network {
        v6: true,
        at,
        transport_at: at + IPV6_HEADER,
        protocol: header[6],
        fragment: None,
        destination_at: at + 24,
        jumbo: false,
    };
    let big = gso && header[4..6] == [0, 0];
    network.jumbo = big && header[6] == HOP_BY_HOP && jumbo(frame.get(at + IPV6_HEADER..end)?);
    for _ in 0..EXTENSIONS {
        if !extension(&mut network, frame.get(..end)?)? || network.fragment.is_some() {
            break;
        }
    }
    (network.transport_at <= end).then_some((network, end))
}

/// The packet's end by its length field. A length of 0 is BIG TCP's where GSO says how long each
/// wire packet is; else IPv4 cannot have it and IPv6 with it is a jumbogram or empty.
fn end(frame: &[u8], at: usize, length: usize, header: usize, gso: bool) -> Option<usize> {
    let end = match length {
        0 if gso => frame.len(),
        _ => at + header + length,
    };
    (end <= frame.len()).then_some(end)
}

/// As ipv6_has_hopopt_jumbo() of the kernel sees it: nothing else in the header, and TCP behind.
fn jumbo(extensions: &[u8]) -> bool {
    extensions.len() >= JUMBO && extensions[..2] == [TCP, 0] && extensions[2..4] == JUMBO_OPTION
}

/// Steps over an extension header; `false` if there is none. Authentication (51) and ESP (50) are
/// not stepped over: they protect what follows from being changed.
fn extension(network: &mut Network, packet: &[u8]) -> Option<bool> {
    let at = network.transport_at;
    let byte = |i: usize| packet.get(at + i).copied();
    let length = match network.protocol {
        HOP_BY_HOP | DESTINATION => usize::from(byte(1)?) * 8 + 8,
        ROUTING => {
            if !routing(network, packet)? {
                return Some(false);
            }
            usize::from(byte(1)?) * 8 + 8
        }
        FRAGMENT => {
            // Offset and M both 0 is an atomic fragment, a packet like others (RFC 6946).
            network.fragment = match be16(packet, at + 2)? {
                word if word & 0xfff9 == 0 => None,
                word if word >> 3 == 0 => Some(Fragment::First),
                _ => Some(Fragment::Later),
            };
            8
        }
        _ => return Some(false),
    };
    network.protocol = byte(0)?;
    network.transport_at = at + length;
    (network.transport_at <= packet.len()).then_some(true)
}

/// Takes the last address of a routing header that is not used up yet. Types 0 and 2 have it last
/// in their list (RFC 8200, 4.4; RFC 6275, 6.4), a segment routing header first (RFC 8754, 2).
/// `false` for other types: where the packet goes is not known then.
fn routing(network: &mut Network, packet: &[u8]) -> Option<bool> {
    let at = network.transport_at;
    let header: &[u8; 4] = packet.get(at..)?.first_chunk()?;
    let [_, length, kind, left] = *header;
    let addresses = usize::from(length) / 2;
    let last = match (kind, left, addresses) {
        (_, 0, _) => return Some(true),
        (0 | 2, _, 1..) => addresses - 1,
        (4, _, 1..) => 0,
        _ => return Some(false),
    };
    let last = at + 8 + last * 16;
    packet.get(last..last + 16)?;
    network.destination_at = last;
    Some(true)
}

/// Where the destination is: last in a source route that is not used up yet (RFC 791, 3.1, types
/// 131 and 137), else in the header.
fn destination(header: &[u8]) -> usize {
    let mut at = 20;
    while let Some(option) = header.get(at..).filter(|rest| rest.len() >= 3) {
        let length = usize::from(option[1]);
        match option[0] {
            0 => break,
            1 => at += 1,
            131 | 137
                if usize::from(option[2]) < length && (7..=option.len()).contains(&length) =>
            {
                return at + length - 4;
            }
            _ if length < 2 => break,
            _ => at += length,
        }
    }
    16
}
