//! The RST that a firewall's `tcp-reset` answers a packet with (RFC 9293, 3.10.7.1).

use bytes::Bytes;

use super::checksum::{fold, sum};
use super::icmp::answerable;
use super::network::{Network, TCP};
use super::parsed::{Frame, Tcp};
use super::read::{put_long, put_word};
use super::segment::phantom_bytes;
use super::transport::{ACK, RST};

const HEADER: usize = 20;
/// What Linux gives a new packet.
const TTL: u8 = 64;
/// IPv4's DF flag.
const DONT_FRAGMENT: u16 = 0x4000;

/// The RST, or RST and ACK, as an IP packet to the sender of this frame's first wire packet, from
/// its destination: for a raw socket with IP_HDRINCL. `None` for what gets no RST: not TCP, a RST,
/// a fragment, a wrong checksum, multicast or broadcast.
pub fn reset_answer(frame: &Frame) -> Option<Bytes> {
    let network = frame.network.filter(|network| answerable(frame, network))?;
    let tcp = frame.tcp().filter(|tcp| tcp.flags & RST == 0)?;
    let mut header = [0; HEADER];
    let ports = &frame.bytes[network.transport_at..network.transport_at + 4];
    header[..2].copy_from_slice(&ports[2..]);
    header[2..4].copy_from_slice(&ports[..2]);
    header[12] = (HEADER as u8 / 4) << 4;
    let (seq, ack, flags) = numbers(frame, tcp)?;
    put_long(&mut header, 4, seq);
    put_long(&mut header, 8, ack);
    header[13] = flags;

    let mut packet = ip_header(frame, &network);
    // Source and destination are the last things in an IP header without options.
    let addresses = sum(&packet[packet.len() - 2 * network.address_len()..], 0);
    let pseudo = fold(u64::from(addresses) + u64::from(TCP) + HEADER as u64);
    let check = !sum(&header, pseudo);
    put_word(&mut header, 16, check);
    packet.extend_from_slice(&header);
    Some(packet.into())
}

/// Sequence number, acknowledgement number and flags of the answer.
fn numbers(frame: &Frame, tcp: Tcp) -> Option<(u32, u32, u8)> {
    if tcp.flags & ACK != 0 {
        return Some((tcp.ack, 0, RST));
    }
    let segment = frame.segment(0)?;
    let len = (segment.payload.len() as u32).wrapping_add(phantom_bytes(segment.flags));
    Some((0, tcp.seq.wrapping_add(len), RST | ACK))
}

/// From the packet's destination to its source, with the length of a bare TCP header.
fn ip_header(frame: &Frame, network: &Network) -> Vec<u8> {
    let address = |at: usize| &frame.bytes[at..at + network.address_len()];
    let mut packet;
    if network.v6 {
        packet = vec![0x60, 0, 0, 0, 0, HEADER as u8, TCP, TTL];
    } else {
        packet = vec![0x45, 0, 0, 20 + HEADER as u8, 0, 0, 0, 0, TTL, TCP, 0, 0];
        put_word(&mut packet, 6, DONT_FRAGMENT);
    }
    packet.extend_from_slice(address(network.destination_at));
    packet.extend_from_slice(address(network.source_at()));
    if !network.v6 {
        let check = !sum(&packet, 0);
        put_word(&mut packet, 10, check);
    }
    packet
}
