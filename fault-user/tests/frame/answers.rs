//! RST and ICMP errors, read with etherparse.

use std::net::IpAddr;

use bytes::Bytes;
use etherparse::{IcmpEchoHeader, Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type};
use etherparse::{PacketBuilder, icmpv4::DestUnreachableHeader, icmpv6::DestUnreachableCode};
use fault_user::line::frame::{Frame, Reject, reset_answer, unreachable};
use proptest::prelude::*;

use crate::spec::{DST4, DST6, SRC4, SRC6, Spec, State, Tcp};
use crate::strategy::any_frame;
use crate::wire::{Wire, packets, written};

const ALL: [Reject; 4] = [Reject::Port, Reject::Host, Reject::Net, Reject::Admin];

/// An IP packet as an Ethernet frame, for the reader.
fn ethernet(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[0; 12][..], &ethertype, packet].concat()
}

fn reset_of(flags: u8, payload: usize) -> Option<Wire> {
    let mut spec = Spec::tcp(true, payload, None);
    spec.tcp = Some(Tcp { seq: 0xffff_fffe, flags, urgent: 0, options: vec![] });
    reset_answer(&spec.frame()).map(|answer| Wire::read(&ethernet(&answer)))
}

proptest! {
    #[test]
    fn the_quote_is_the_first_wire_packet(spec in any_frame()) {
        let frame = spec.frame();
        let mut first = frame.run(0, 1, 0).unwrap();
        first.full_checksum().unwrap();
        let first = first.ip_packet().unwrap();
        for kind in ALL {
            let answer = unreachable(&frame, kind).unwrap();
            let limit = if spec.v6 { 1232 } else { 548 };
            prop_assert_eq!(&answer.bytes[8..], &first[..first.len().min(limit)]);
            prop_assert_eq!(&answer.bytes[4..8], &[0; 4]);
            if !spec.v6 {
                prop_assert_eq!(crate::card::fold(crate::card::words(&answer.bytes)), 0xffff);
            }
        }
        let sent = packets(&frame.run(0, 1, 0).unwrap());
        let quote = Wire::read(&ethernet(&first));
        prop_assert!(quote.good());
        prop_assert_eq!(&quote.payload, &sent[0].payload);
    }

    #[test]
    fn a_reset_goes_back_to_the_sender(spec in any_frame()) {
        let frame = spec.frame();
        let answer = reset_answer(&frame);
        prop_assert_eq!(answer.is_some(), spec.tcp.as_ref().is_some_and(|tcp| tcp.flags & 4 == 0));
        if let Some(answer) = answer {
            let wire = Wire::read(&ethernet(&answer));
            prop_assert!(wire.good() && wire.payload.is_empty());
            let at = if spec.v6 { 8 } else { 12 };
            let expected =
                if spec.v6 { [DST6, SRC6].concat() } else { [DST4, SRC4].concat() };
            prop_assert_eq!(&answer[at..at + expected.len()], &expected[..]);
            let ports = answer.len() - 20;
            prop_assert_eq!(&answer[ports..ports + 4], &[443u16.to_be_bytes(), 40000u16.to_be_bytes()].concat()[..]);
        }
    }
}

#[test]
fn reset_numbers_are_those_of_rfc_9293() {
    let acked = reset_of(0x18, 10).unwrap();
    assert_eq!((acked.seq, acked.flags), (0x0102_0304, 0x04));
    let syn = reset_of(0x02, 0).unwrap();
    assert_eq!((syn.seq, syn.flags), (0, 0x14));
    // Behind the SYN, ten bytes and the FIN, from 0xffff_fffe.
    for (flags, payload, ack) in [(0x02, 0, 0xffff_ffffu32), (0x02, 10, 9), (0x03, 10, 10)] {
        let mut spec = Spec::tcp(false, payload, None);
        spec.tcp = Some(Tcp { seq: 0xffff_fffe, flags, urgent: 0, options: vec![] });
        let answer = reset_answer(&spec.frame()).unwrap();
        assert_eq!(answer[28..32], ack.to_be_bytes());
    }
    assert_eq!(reset_of(0x14, 0), None);
}

#[test]
fn codes_are_those_of_a_firewall() {
    let message = |v6, kind| unreachable(&Spec::tcp(v6, 10, None).frame(), kind).unwrap();
    use DestUnreachableHeader as V4;
    let v4 = [V4::Port, V4::Host, V4::Network, V4::FilterProhibited];
    use DestUnreachableCode as V6;
    let v6 = [V6::Port, V6::Address, V6::NoRoute, V6::Prohibited];
    for (i, kind) in ALL.into_iter().enumerate() {
        let four = message(false, kind);
        assert_eq!((four.to, four.unreachable), (IpAddr::from(SRC4), IpAddr::from(DST4)));
        let icmp = Icmpv4Slice::from_slice(&four.bytes).unwrap().icmp_type();
        assert_eq!(icmp, Icmpv4Type::DestinationUnreachable(v4[i].clone()));
        let six = message(true, kind);
        assert_eq!((six.to, six.unreachable), (IpAddr::from(SRC6), IpAddr::from(DST6)));
        let icmp = Icmpv6Slice::from_slice(&six.bytes).unwrap().icmp_type();
        assert_eq!(icmp, Icmpv6Type::DestinationUnreachable(v6[i]));
    }
}

/// A frame with this IP packet.
fn frame_of(destination: u8, packet: &[u8]) -> Frame {
    let ethertype = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    let head = [&[0; 10][..], &[destination; 6], &[2; 6], &[0x81, 0, 0, 1], &ethertype].concat();
    Frame::parse(Bytes::from([&head, packet].concat())).unwrap()
}

fn answers(destination: u8, packet: &[u8]) -> bool {
    unreachable(&frame_of(destination, packet), Reject::Port).is_some()
}

fn icmp4(kind: Icmpv4Type) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(SRC4, DST4, 9).icmpv4(kind).write(&mut bytes, &[1; 28]).unwrap();
    bytes
}

fn icmp6(kind: Icmpv6Type) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(SRC6, DST6, 9).icmpv6(kind).write(&mut bytes, &[1; 28]).unwrap();
    bytes
}

#[test]
fn icmp_errors_are_not_answered_and_queries_are() {
    let echo = IcmpEchoHeader { id: 1, seq: 2 };
    assert!(answers(2, &icmp4(Icmpv4Type::EchoRequest(echo))));
    assert!(answers(2, &icmp6(Icmpv6Type::EchoRequest(echo))));
    let error = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    assert!(!answers(2, &icmp4(error)));
    let error = Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Port);
    assert!(!answers(2, &icmp6(error)));
}

fn udp4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 9).udp(1, 2).write(&mut bytes, &[1; 28]).unwrap();
    bytes
}

#[test]
fn nobody_and_everybody_get_no_answer() {
    assert!(answers(2, &udp4(SRC4, DST4)));
    assert!(answers(2, &udp4([127, 0, 0, 1], [127, 0, 0, 1])), "the sender is this host");
    assert!(!answers(0xff, &udp4(SRC4, DST4)), "Ethernet broadcast");
    for other in [[0; 4], [224, 0, 0, 1], [255; 4]] {
        assert!(!answers(2, &udp4(other, DST4)), "from {other:?}");
        assert!(!answers(2, &udp4(SRC4, other)), "to {other:?}");
    }
    let mut multicast = DST6;
    multicast[0] = 0xff;
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(SRC6, multicast, 9).udp(1, 2).write(&mut bytes, &[1]).unwrap();
    assert!(!answers(2, &bytes));
}

#[test]
fn what_is_no_whole_packet_or_no_good_one_gets_no_answer() {
    let mut packet = udp4(SRC4, DST4);
    packet[7] = 1;
    assert!(!answers(2, &packet));
    packet[6..8].copy_from_slice(&[0x20, 0]);
    assert!(answers(2, &packet), "a first fragment");
    // A checksum that somebody else is to compute, so the quote would not be as on the wire.
    let mut tunnel = Spec::udp(false, 60, None).bytes();
    tunnel[6] += 28;
    assert_eq!(unreachable(&Frame::parse(tunnel.into()).unwrap(), Reject::Port), None);
    let mut bytes = Spec { state: State::Full, ..Spec::tcp(false, 10, None) }.bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let frame = Frame::parse(bytes.into()).unwrap();
    assert_eq!(unreachable(&frame, Reject::Port), None);
    assert_eq!(reset_answer(&frame), None);
    assert!(written(&frame.whole(0)).ends_with(frame.payload()));
}
