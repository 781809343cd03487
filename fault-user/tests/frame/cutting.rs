//! Cut in any way, a frame is the same on the wire.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::card::{Vnet, send};
use crate::spec::{Spec, TAG};
use crate::strategy::{any_frame, tcp_frame};
use crate::wire::{Wire, packet, packets, written};

/// Ascending places in 0..=of that begin with 0 and end with `of`.
fn places(cuts: &[Index], of: usize) -> Vec<usize> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(of + 1)).collect();
    places.extend([0, of]);
    places.sort_unstable();
    places.dedup();
    places
}

proptest! {
    #[test]
    fn a_whole_frame_differs_in_tag_flags_and_hdr_len_only(spec in any_frame(), tag in any::<u16>()) {
        let mut expected = spec.bytes();
        expected.truncate(expected.len() - spec.padding);
        expected[24..26].copy_from_slice(&tag.to_be_bytes());
        let result = written(&spec.frame().whole(tag));
        if spec.gso_size.is_some() {
            expected[2..4].copy_from_slice(&result[2..4]);
        }
        prop_assert_eq!(result, expected);
    }

    #[test]
    fn a_frame_says_what_it_is_on_the_wire(spec in any_frame()) {
        let frame = spec.frame();
        prop_assert_eq!(frame.tag(), TAG);
        prop_assert_eq!(frame.payload(), &spec.payload[..]);
        let on_the_wire = packets(&frame.whole(TAG));
        prop_assert_eq!(frame.segments() as usize, on_the_wire.len());
        for (i, wire) in on_the_wire.iter().enumerate() {
            prop_assert!(wire.good(), "{:?}", wire);
            let segment = frame.segment(i as u32).unwrap();
            prop_assert_eq!(segment.seq, wire.seq);
            prop_assert_eq!(segment.flags, wire.flags);
            prop_assert_eq!(segment.ip_len as usize, wire.ip_len);
            prop_assert_eq!(&frame.payload()[segment.payload], &wire.payload[..]);
        }
        prop_assert_eq!(frame.segment(frame.segments()), None);
    }

    /// Byte for byte what the card makes of the uncut frame, checksums and all.
    #[test]
    fn runs_are_the_same_packets(spec in any_frame(), cuts in prop::collection::vec(any::<Index>(), 0..6)) {
        let frame = spec.frame();
        let uncut = send(&written(&frame.whole(9)));
        let mut sent = Vec::new();
        for ends in places(&cuts, frame.segments() as usize).windows(2) {
            let piece = frame.run(ends[0] as u32, ends[1] as u32, 9).unwrap();
            prop_assert_eq!(piece.wire_packets() as usize, ends[1] - ends[0]);
            sent.extend(send(&written(&piece)));
        }
        prop_assert_eq!(sent, uncut);
    }

    #[test]
    fn parts_are_the_same_stream(spec in tcp_frame(), cuts in prop::collection::vec(any::<Index>(), 0..6)) {
        let frame = spec.frame();
        let flags = spec.tcp.as_ref().unwrap().flags;
        let ends = places(&cuts, spec.payload.len());
        let mut sent = Vec::<Wire>::new();
        for range in ends.windows(2) {
            let piece = frame.part(range[0], range[1], 9).unwrap();
            prop_assert_eq!(piece.body(), &spec.payload[range[0]..range[1]]);
            sent.extend(packets(&piece));
        }
        let mut next = spec.tcp.as_ref().unwrap().seq;
        for (i, wire) in sent.iter().enumerate() {
            prop_assert!(wire.good(), "{:?}", wire);
            prop_assert_eq!(wire.seq, next);
            next = next.wrapping_add(wire.payload.len() as u32);
            let (first, last) = (i == 0, i + 1 == sent.len());
            prop_assert_eq!(wire.flags & 0x80, if first { flags & 0x80 } else { 0 });
            prop_assert_eq!(wire.flags & 0x09, if last { flags & 0x09 } else { 0 });
            prop_assert_eq!(wire.flags & 0x76, flags & 0x76);
            prop_assert_eq!(wire.ecn, spec.class & 3);
        }
        if !spec.v6 && ends.len() <= 3 {
            let ids = sent.iter().map(|wire| wire.id.wrapping_sub(spec.id));
            prop_assert!(ids.eq(0..sent.len() as u16), "one cut, no identification twice");
        }
        let stream: Vec<u8> = sent.into_iter().flat_map(|wire| wire.payload).collect();
        prop_assert_eq!(stream, spec.payload);
    }
}

#[test]
fn a_run_of_one_is_no_super_packet_and_has_no_ecn_bit_without_cwr() {
    let mut spec = Spec::tcp(false, 1001, Some(100));
    spec.tcp.as_mut().unwrap().flags = 0x98;
    let frame = spec.frame();
    assert_eq!(Vnet::read(&written(&frame.run(3, 4, 0).unwrap())).gso_type, 0);
    assert_eq!(Vnet::read(&written(&frame.run(0, 2, 0).unwrap())).gso_type, 0x81);
    assert_eq!(Vnet::read(&written(&frame.run(2, 4, 0).unwrap())).gso_type, 1);
    assert_eq!(packet(&frame.run(10, 11, 0).unwrap()).payload, &spec.payload[1000..]);
}

#[test]
fn the_urgent_byte_stays_where_it_is_in_the_stream() {
    let mut spec = Spec::tcp(false, 300, None);
    let tcp = spec.tcp.as_mut().unwrap();
    (tcp.flags, tcp.urgent, tcp.seq) = (0x38, 150, 1000);
    let frame = spec.frame();
    let parts = [(0, 100), (100, 200), (200, 300)];
    let seen = parts.map(|(from, to)| {
        let wire = packet(&frame.part(from, to, 0).unwrap());
        (wire.flags & 0x20 != 0, wire.seq + u32::from(wire.urgent))
    });
    assert_eq!(seen, [(true, 1150), (true, 1150), (false, 1200)]);
}

#[test]
fn offload_flags_that_are_for_the_reader_are_not_written_back() {
    let mut bytes = Spec { state: crate::spec::State::Full, ..Spec::tcp(false, 10, None) }.bytes();
    bytes[0] = 2;
    let frame = fault_user::line::frame::Frame::parse(bytes.into()).unwrap();
    assert_eq!(written(&frame.whole(0))[0], 0);
}
