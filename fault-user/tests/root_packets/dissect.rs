//! A second parser, written from the RFCs (791, 4302, 8200, 9293) and on slices, to hold against
//! the one in the kernel. What no stack would accept it does not understand.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
/// RFC 8200, 4.1: hop-by-hop, destination, routing, fragment, authentication, destination.
const EXTENSIONS: usize = 6;

/// What a packet says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub proto: u8,
    pub flags: u8,
    /// Of the first payload byte.
    pub seq: u32,
    pub ack: u32,
    pub payload: u32,
    /// IP bytes on the wire: each wire packet has headers of its own.
    pub bytes: u64,
    /// Wire packets.
    pub segs: u32,
}

/// Reads a packet of TCP or UDP that is not a later fragment; `None` for everything else.
///
/// Without a link layer header the ethertype is not in the packet. BPF_PROG_TEST_RUN still takes
/// it from bytes 12 and 13, so the tests choose source addresses that have it there.
pub fn dissect(packet: &[u8], ethernet: bool, segs: u32) -> Option<Facts> {
    let mut ethertype = number(packet, 12)?;
    let mut rest = if ethernet { packet.get(14..)? } else { packet };
    for _ in 0..2 {
        if ethertype == 0x8100 || ethertype == 0x88a8 {
            ethertype = number(rest, 2)?;
            rest = rest.get(4..)?;
        }
    }
    let (src, dst, proto, datagram, at) = match ethertype {
        0x0800 => ipv4(rest)?,
        0x86dd => ipv6(rest)?,
        _ => return None,
    };
    transport(src, dst, proto, datagram, at, segs.max(1))
}

/// Addresses, protocol, the datagram without what follows it, where the transport header is.
type Network<'a> = (IpAddr, IpAddr, u8, &'a [u8], usize);

fn ipv4(packet: &[u8]) -> Option<Network<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let words = usize::from(header[0] & 0xf);
    let offset = number(header, 6)? & 0x1fff;
    if header[0] >> 4 != 4 || words < 5 || offset != 0 {
        return None;
    }
    let total = usize::from(number(header, 2)?);
    let addr =
        |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Some((addr(12), addr(16), header[9], clip(packet, total), words * 4))
}

fn ipv6(packet: &[u8]) -> Option<Network<'_>> {
    let header: &[u8; 40] = packet.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let addr = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).to_canonical())
    };
    let payload = usize::from(number(header, 4)?);
    let datagram = clip(packet, if payload == 0 { 0 } else { payload + 40 });
    let (mut next, mut at) = (header[6], 40);
    for _ in 0..EXTENSIONS {
        let length = match next {
            0 | 43 | 60 => usize::from(*datagram.get(at + 1)?) * 8 + 8,
            51 => usize::from(*datagram.get(at + 1)?) * 4 + 8,
            44 if number(datagram, at + 2)? >> 3 == 0 => 8,
            44 => return None,
            _ => break,
        };
        next = *datagram.get(at)?;
        at += length;
    }
    Some((addr(8)?, addr(24)?, next, datagram, at))
}

/// A length of 0 (BIG TCP) or beyond the packet says nothing.
fn clip(packet: &[u8], total: usize) -> &[u8] {
    match packet.get(..total) {
        Some(datagram) if total > 0 => datagram,
        _ => packet,
    }
}

fn transport(
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    datagram: &[u8],
    at: usize,
    segs: u32,
) -> Option<Facts> {
    let header = datagram.get(at..)?;
    let (length, flags, seq, ack) = match proto {
        TCP => {
            let h: &[u8; 20] = header.first_chunk()?;
            let word = |i: usize| u32::from_be_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
            let syn = u32::from(h[13] & 0x02 != 0);
            (usize::from(h[12] >> 4) * 4, h[13], word(4).wrapping_add(syn), word(8))
        }
        UDP => (8, 0, 0, 0),
        _ => return None,
    };
    if length < 8 || (proto == TCP && length < 20) {
        return None;
    }
    let payload = header.get(length..)?.len() as u32;
    Some(Facts {
        src: SocketAddr::new(src, number(header, 0)?),
        dst: SocketAddr::new(dst, number(header, 2)?),
        proto,
        flags,
        seq,
        ack,
        payload,
        bytes: datagram.len() as u64 + u64::from(segs - 1) * (at + length) as u64,
        segs,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}
