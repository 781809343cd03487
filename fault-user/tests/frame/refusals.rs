//! Frames that cannot be taken apart, or not everywhere, and why.

use bytes::Bytes;
use fault_user::line::frame::{Checksum, Frame, NotAFrame, Protocol, Refused};

use crate::spec::{SRC6, Spec, State};
use crate::wire::{packet, written};

/// Where the IP header of an untagged [`Spec`] is.
const IP: usize = 28;

fn parse(bytes: Vec<u8>) -> Frame {
    Frame::parse(Bytes::from(bytes)).unwrap()
}

fn refused(bytes: Vec<u8>, why: Refused) {
    let frame = parse(bytes.clone());
    assert_eq!(frame.only_whole(), Some(why));
    assert_eq!(frame.protocol(), None);
    assert_eq!(frame.segments(), 1);
    assert_eq!(frame.part(0, 1, 0).map(|piece| piece.len()), Err(why));
    let mut piece = frame.run(0, 1, 5).unwrap();
    assert_eq!(piece.flip_bits(&[0], Checksum::Valid), Err(why));
    assert_eq!(piece.flip_bits_at(&[0], Checksum::Bad), Err(why));
    assert_eq!(piece.set_window(0), Err(why));
    assert_eq!(piece.full_checksum(), Err(why));
    let mut expected = bytes;
    expected[24..26].copy_from_slice(&[0, 5]);
    assert_eq!(written(&piece), expected);
}

fn changed(spec: &Spec, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = spec.bytes();
    change(&mut bytes);
    bytes
}

#[test]
fn what_is_no_frame_of_ours() {
    let bytes = Spec::tcp(false, 1, None).bytes();
    let short = Frame::parse(Bytes::copy_from_slice(&bytes[..27])).unwrap_err();
    assert_eq!(short, NotAFrame::Short { len: 27, needed: 28 });
    let untagged = changed(&Spec::tcp(false, 1, None), |bytes| bytes[22] = 8);
    let error = Frame::parse(Bytes::from(untagged)).unwrap_err();
    assert_eq!(error, NotAFrame::Untagged { ethertype: 0x0800 });
}

#[test]
fn fragments_of_both_kinds() {
    let full = |v6| Spec { state: State::Full, ..Spec::udp(v6, 16, None) };
    for word in [0x2000u16, 0x0001, 0x2001] {
        let flagged = changed(&full(false), |bytes| {
            bytes[IP + 6..IP + 8].copy_from_slice(&word.to_be_bytes());
        });
        refused(flagged, Refused::Fragment);
    }
    let spec = Spec { extensions: [true, false, true], ..full(true) };
    assert_eq!(spec.frame().only_whole(), None, "an atomic fragment is a packet");
    for low in [1, 8] {
        refused(changed(&spec, |bytes| bytes[IP + 40 + 8 + 3] = low), Refused::Fragment);
    }
}

#[test]
fn lengths_that_contradict_each_other() {
    let (tcp, udp) = (Spec::tcp(false, 20, None), Spec::udp(false, 20, None));
    for change in [
        changed(&tcp, |b| b[IP + 3] += 1),
        changed(&tcp, |b| b[IP + 2..IP + 4].fill(0)),
        changed(&tcp, |b| b[IP] = 0x44),
        changed(&tcp, |b| b[IP + 20 + 12] = 0x40),
        changed(&tcp, |b| b[IP + 20 + 12] = 0xf0),
        changed(&udp, |b| b[IP + 20 + 5] -= 1),
        changed(&udp, |b| b[IP + 20 + 5] += 1),
        changed(&udp, |b| b.truncate(IP + 19)),
        changed(&Spec::tcp(true, 20, None), |b| b[IP + 4..IP + 6].fill(0)),
        changed(&Spec::tcp(false, 20, Some(10)), |b| b[4..6].fill(0)),
    ] {
        let gso = change[1] != 0;
        let frame = parse(change.clone());
        assert_eq!(frame.only_whole(), Some(Refused::Malformed), "{change:?}");
        assert_eq!(frame.part(0, 1, 0).err(), Some(Refused::Malformed));
        assert!(gso || written(&frame.whole(0x0123)) == change);
    }
}

#[test]
fn offload_of_an_inner_header() {
    let udp = Spec::udp(false, 60, None);
    refused(changed(&udp, |bytes| bytes[6] += 28), Refused::Offload);
    for kind in [3, 4, 5, 0x21, 0x41] {
        let tunnel = changed(&Spec::tcp(false, 60, Some(20)), |bytes| bytes[1] = kind);
        refused(tunnel, Refused::Offload);
    }
}

#[test]
fn what_is_not_tcp_or_udp_in_the_clear() {
    let spec = Spec { state: State::Full, ..Spec::tcp(true, 60, None) };
    for protocol in [1, 50, 51, 132] {
        refused(changed(&spec, |bytes| bytes[IP + 6] = protocol), Refused::Protocol);
    }
    refused(changed(&spec, |bytes| bytes[26..28].copy_from_slice(&[8, 6])), Refused::Protocol);
}

#[test]
fn ranges_that_are_not_there() {
    let frame = Spec::tcp(false, 25, Some(10)).frame();
    for (from, to) in [(0, 0), (1, 1), (2, 1), (3, 4), (0, 4)] {
        let error = frame.run(from, to, 0).unwrap_err();
        assert_eq!(error, Refused::Range { from: from as usize, to: to as usize, of: 3 });
    }
    for (from, to) in [(0, 0), (25, 25), (9, 5), (0, 26)] {
        assert_eq!(frame.part(from, to, 0).unwrap_err(), Refused::Range { from, to, of: 25 });
    }
}

#[test]
fn cuts_that_would_not_be_the_same_stream() {
    let datagram = Spec::udp(false, 25, Some(10)).frame();
    assert_eq!(datagram.part(0, 5, 0).unwrap_err(), Refused::Datagram);
    let mut syn = Spec::tcp(false, 25, None);
    syn.tcp.as_mut().unwrap().flags = 0x02;
    assert_eq!(syn.frame().part(5, 25, 0).unwrap_err(), Refused::Syn);
    assert_eq!(packet(&syn.frame().part(0, 5, 0).unwrap()).flags, 0x02);
    let mut signed = Spec::tcp(false, 25, None);
    signed.tcp.as_mut().unwrap().options = [&[1, 1, 19, 18][..], &[7; 16]].concat();
    assert_eq!(signed.frame().part(0, 5, 0).unwrap_err(), Refused::Signed);
    assert!(signed.frame().run(0, 1, 0).is_ok());
    let full = Spec { state: State::Full, ..Spec::tcp(false, 25, None) };
    let damaged = parse(changed(&full, |bytes| *bytes.last_mut().unwrap() ^= 1));
    assert_eq!(damaged.part(0, 5, 0).unwrap_err(), Refused::Damaged);
}

/// RFC 8200, 8.1: the pseudo-header has the last address, so the one behind the last router.
#[test]
fn a_routing_header_that_is_not_used_up_names_the_destination() {
    for kind in [0, 2, 4] {
        let mut bytes = Spec { state: State::Full, ..Spec::tcp(true, 40, None) }.bytes();
        let end = bytes.len();
        let destination: Vec<u8> = bytes[IP + 24..IP + 40].to_vec();
        bytes[IP + 24..IP + 40].copy_from_slice(&[0xfd; 16]);
        bytes[IP + 5] += 24;
        bytes[IP + 6] = 43;
        let header = [&[6, 2, kind, 1, 0, 0, 0, 0][..], &destination].concat();
        bytes.splice(IP + 40..IP + 40, header);
        assert_eq!(bytes.len(), end + 24);
        let frame = parse(bytes);
        assert_eq!(frame.protocol(), Some(Protocol::Tcp));
        let octets: [u8; 16] = destination.try_into().unwrap();
        assert_eq!(frame.destination().unwrap().ip(), std::net::IpAddr::from(octets));
        assert_eq!(frame.source().unwrap().ip(), std::net::IpAddr::from(SRC6));
        // Refused as damaged if the pseudo-header had the router's address.
        let mut part = frame.part(0, 11, 0).unwrap();
        part.full_checksum().unwrap();
        let ip = part.ip_packet().unwrap();
        let segment = &ip[64..];
        let pseudo = crate::card::words(&SRC6) + crate::card::words(&octets) + 6;
        let sum = pseudo + segment.len() as u64 + crate::card::words(segment);
        assert_eq!(crate::card::fold(sum), 0xffff);
    }
}

/// The same of IPv4 (RFC 791, 3.1): the last address of a loose source route.
#[test]
fn a_source_route_that_is_not_used_up_names_the_destination() {
    let spec = Spec { state: State::Full, ip_options: 2, ..Spec::udp(false, 40, None) };
    let mut bytes = spec.bytes();
    let destination: Vec<u8> = bytes[IP + 16..IP + 20].to_vec();
    bytes[IP + 16..IP + 20].copy_from_slice(&[10, 9, 9, 9]);
    bytes[IP + 20..IP + 28].copy_from_slice(&[1, 131, 7, 4, 0, 0, 0, 0]);
    bytes[IP + 24..IP + 28].copy_from_slice(&destination);
    let frame = parse(bytes);
    let octets: [u8; 4] = destination.try_into().unwrap();
    assert_eq!(frame.destination().unwrap().ip(), std::net::IpAddr::from(octets));
}
