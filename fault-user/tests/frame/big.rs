//! BIG TCP: super-packets beyond 64 KB, whose IP length is 0.

use bytes::Bytes;
use fault_user::line::frame::Frame;

use crate::card::send;
use crate::spec::Spec;
use crate::wire::{Wire, packets, written};

const IP: usize = 28;
const SIZE: u16 = 1400;
const PAYLOAD: usize = 150_001;

/// As Linux builds it before it stopped adding the jumbo option (RFC 2675).
fn with_jumbo_option() -> Frame {
    let mut bytes = Spec::tcp(true, PAYLOAD, Some(SIZE)).bytes();
    let length = (bytes.len() - IP - 40 + 8) as u32;
    bytes[IP + 6] = 0;
    let option = [&[6, 0, 0xc2, 4][..], &length.to_be_bytes()].concat();
    bytes.splice(IP + 40..IP + 40, option);
    let start = u16::from_ne_bytes([bytes[6], bytes[7]]) + 8;
    bytes[6..8].copy_from_slice(&start.to_ne_bytes());
    Frame::parse(Bytes::from(bytes)).unwrap()
}

fn check(frame: &Frame) {
    assert_eq!(frame.only_whole(), None);
    assert_eq!(frame.payload().len(), PAYLOAD);
    let segments = frame.segments();
    assert_eq!(segments, 108);
    let uncut = send(&written(&frame.whole(0)));
    assert_eq!(uncut.len(), 108);
    for (i, sent) in uncut.iter().enumerate() {
        let wire = Wire::read(sent);
        assert!(wire.good());
        assert_eq!(frame.segment(i as u32).unwrap().ip_len as usize, wire.ip_len);
    }
    // Still big, no longer big, and one.
    for at in [1, 46, 47, 48, 60, 107] {
        let mut sent = send(&written(&frame.run(0, at, 0).unwrap()));
        sent.extend(send(&written(&frame.run(at, segments, 0).unwrap())));
        assert_eq!(sent, uncut, "cut at {at}");
    }
    let mut stream = Vec::new();
    for (from, to) in [(0, 80_001), (80_001, 145_000), (145_000, PAYLOAD)] {
        for wire in packets(&frame.part(from, to, 0).unwrap()) {
            assert!(wire.good());
            stream.extend(wire.payload);
        }
    }
    assert_eq!(stream, frame.payload());
}

#[test]
fn ipv4() {
    check(&Spec::tcp(false, PAYLOAD, Some(SIZE)).frame());
}

#[test]
fn ipv6_without_an_option() {
    check(&Spec::tcp(true, PAYLOAD, Some(SIZE)).frame());
}

#[test]
fn ipv6_with_the_jumbo_option() {
    let frame = with_jumbo_option();
    check(&frame);
    let big = written(&frame.run(1, 100, 0).unwrap());
    assert_eq!(big[IP + 4..IP + 6], [0, 0]);
    let option = u32::from_be_bytes(big[IP + 44..IP + 48].try_into().unwrap());
    assert_eq!(option as usize, big.len() - IP - 40, "RFC 2675, 2");
    let ordinary = written(&frame.run(1, 2, 0).unwrap());
    assert_eq!(ordinary[IP + 6], 6, "no jumbo option in a packet that needs none");
}

/// Not BIG TCP, and RFC 2675 forbids it: somebody's mistake, to be passed on as it is.
#[test]
fn a_jumbo_option_beside_a_length_is_an_option_like_others() {
    let mut bytes = Spec::tcp(true, 100, Some(40)).bytes();
    bytes[IP + 5] += 8;
    bytes[IP + 6] = 0;
    bytes.splice(IP + 40..IP + 40, [6, 0, 0xc2, 4, 0, 0, 0, 0]);
    let start = u16::from_ne_bytes([bytes[6], bytes[7]]) + 8;
    bytes[6..8].copy_from_slice(&start.to_ne_bytes());
    let frame = Frame::parse(Bytes::from(bytes)).unwrap();
    let one = written(&frame.run(1, 2, 0).unwrap());
    assert_eq!(one[IP + 40..IP + 44], [6, 0, 0xc2, 4]);
    assert_eq!(frame.segment(1).unwrap().ip_len as usize, one.len() - IP);
}
