//! Flipped bits: seen by the application, or discarded by the stack; never in between.

use fault_user::line::frame::{Checksum, Piece, Refused};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::spec::{Spec, State};
use crate::strategy::any_frame;
use crate::wire::{packet, packets, written};

fn distinct(picks: &[Index], of: usize) -> Vec<u32> {
    let mut bits: Vec<u32> = picks.iter().map(|pick| pick.index(of) as u32).collect();
    bits.sort_unstable();
    bits.dedup();
    bits
}

fn flipped(bytes: &[u8], bits: &[u32]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for bit in bits {
        bytes[*bit as usize / 8] ^= 1 << (7 - bit % 8);
    }
    bytes
}

fn payload(piece: &Piece) -> Vec<u8> {
    packets(piece).into_iter().flat_map(|wire| wire.payload).collect()
}

fn picks() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 1..20)
}

proptest! {
    #[test]
    fn valid_reaches_the_application(spec in any_frame(), picks in picks()) {
        prop_assume!(!spec.payload.is_empty());
        let bits = distinct(&picks, spec.payload.len() * 8);
        let mut piece = spec.frame().whole(0);
        piece.flip_bits(&bits, Checksum::Valid).unwrap();
        prop_assert!(packets(&piece).iter().all(|wire| wire.good()));
        prop_assert_eq!(payload(&piece), flipped(&spec.payload, &bits));
        let unchecked = packets(&piece).iter().any(|wire| wire.unchecked);
        prop_assert_eq!(unchecked, spec.state == State::None);
    }

    #[test]
    fn bad_never_does(spec in any_frame(), picks in picks(), which in any::<Index>()) {
        prop_assume!(!spec.payload.is_empty());
        let frame = spec.frame();
        let segment = which.index(frame.segments() as usize) as u32;
        let mut piece = frame.run(segment, segment + 1, 0).unwrap();
        let body = piece.body().to_vec();
        let bits = distinct(&picks, body.len() * 8);
        piece.flip_bits(&bits, Checksum::Bad).unwrap();
        let wire = packet(&piece);
        prop_assert!(!wire.good() && wire.header_good && !wire.unchecked);
        prop_assert_eq!(wire.payload, flipped(&body, &bits));
        prop_assert_eq!(written(&piece)[..2].to_vec(), vec![0, 0]);
    }

    /// The shared payload is as before: the same frame can be sent again, unharmed.
    #[test]
    fn other_pieces_keep_their_bytes(spec in any_frame()) {
        prop_assume!(!spec.payload.is_empty());
        let frame = spec.frame();
        let before = written(&frame.whole(0));
        let mut piece = frame.whole(0);
        piece.flip_bits(&[0], Checksum::Valid).unwrap();
        prop_assert_ne!(written(&piece), before.clone());
        prop_assert_eq!(written(&frame.whole(0)), before);
    }

    /// Bits of fields that lay out the packet are left out: etherparse would not find its way.
    #[test]
    fn headers_too(spec in any_frame(), picks in picks(), which in any::<Index>(), bad in any::<bool>()) {
        let frame = spec.frame();
        let segment = which.index(frame.segments() as usize) as u32;
        let mut piece = frame.run(segment, segment + 1, 0).unwrap();
        piece.full_checksum().unwrap();
        let before = piece.ip_packet().unwrap();
        let layout = headers(&spec, before.len() - piece.body().len());
        let allowed = |bit: &u32| !layout.contains(&(*bit as usize / 8));
        let bits: Vec<u32> =
            distinct(&picks, before.len() * 8).into_iter().filter(allowed).collect();
        prop_assume!(!bits.is_empty());
        let checksum = if bad { Checksum::Bad } else { Checksum::Valid };
        piece.flip_bits_at(&bits, checksum).unwrap();
        prop_assert_eq!(packet(&piece).good(), !bad);
        let mut after = piece.ip_packet().unwrap();
        // But for checksums, exactly these bits.
        let mut expected = flipped(&before, &bits);
        for at in checksums(&spec, before.len() - piece.body().len()) {
            after[at] = 0;
            expected[at] = 0;
        }
        prop_assert_eq!(after, expected);
    }
}

/// Offsets of the checksum fields, from the IP header on.
fn checksums(spec: &Spec, headers: usize) -> Vec<usize> {
    let transport = transport(spec, headers);
    let field = transport + if spec.tcp.is_some() { 16 } else { 6 };
    let mut all = vec![field, field + 1];
    if !spec.v6 {
        all.extend([10, 11]);
    }
    all
}

fn transport(spec: &Spec, headers: usize) -> usize {
    headers - spec.tcp.as_ref().map_or(8, |tcp| 20 + tcp.options.len())
}

/// Offsets of lengths, protocols, fragmentation, extension headers, and checksums.
fn headers(spec: &Spec, headers: usize) -> Vec<usize> {
    let transport = transport(spec, headers);
    let mut all = checksums(spec, headers);
    if spec.v6 {
        all.extend([0, 4, 5, 6]);
        all.extend(40..transport);
    } else {
        all.extend([0, 2, 3, 6, 7, 9]);
    }
    match spec.tcp {
        Some(_) => all.push(transport + 12),
        None => all.extend([transport + 4, transport + 5]),
    }
    all
}

#[test]
fn flips_that_cancel_out_are_bad_all_the_same() {
    let mut spec = Spec::tcp(false, 8, None);
    spec.payload = vec![0, 1, 0, 0, 0, 0, 0, 0];
    let mut piece = spec.frame().whole(0);
    // 1 -> 0 here and 0 -> 1 there: the sum is the same.
    piece.flip_bits(&[15, 31], Checksum::Bad).unwrap();
    let wire = packet(&piece);
    assert!(!wire.good());
    assert_eq!(wire.payload, [0, 0, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn what_no_checksum_covers_is_bad_all_the_same() {
    let mut piece = Spec::tcp(true, 8, None).frame().whole(0);
    // The hop limit of IPv6.
    piece.flip_bits_at(&[7 * 8], Checksum::Bad).unwrap();
    assert!(!packet(&piece).good());
}

#[test]
fn a_udp_checksum_is_not_flipped_to_none() {
    let mut spec = Spec::udp(false, 2, None);
    spec.state = State::Full;
    let packet_before = spec.frame().whole(0).ip_packet().unwrap();
    let check = u16::from_be_bytes([packet_before[26], packet_before[27]]);
    let ones: Vec<u32> =
        (0..16).filter(|i| check & (0x8000 >> i) != 0).map(|i| 26 * 8 + i).collect();
    let mut piece = spec.frame().whole(0);
    piece.flip_bits_at(&ones, Checksum::Bad).unwrap();
    let wire = packet(&piece);
    assert!(!wire.unchecked && !wire.good());
}

/// Not just any wrong checksum: the one that the packet would have had.
#[test]
fn udp_without_a_checksum_gets_one_to_be_bad() {
    let full = Spec { state: State::Full, ..Spec::udp(false, 9, None) };
    let expected = full.frame().whole(0).ip_packet().unwrap()[26..28].to_vec();
    let mut piece = Spec { state: State::None, ..full }.frame().whole(0);
    piece.flip_bits(&[5], Checksum::Bad).unwrap();
    assert_eq!(piece.ip_packet().unwrap()[26..28], expected);
}

#[test]
fn a_udp_checksum_that_follows_to_zero_is_sent_as_its_complement() {
    let mut spec = Spec { state: State::Full, ..Spec::udp(false, 2, None) };
    spec.payload = vec![0, 0];
    let check = spec.frame().whole(0).ip_packet().unwrap()[26..28].to_vec();
    let value = u16::from_be_bytes([check[0], check[1]]);
    // These flips add the checksum itself to the sum, so what is left of it is 0.
    let ones: Vec<u32> = (0..16).filter(|i| value & (0x8000 >> i) != 0).collect();
    let mut piece = spec.frame().whole(0);
    piece.flip_bits(&ones, Checksum::Valid).unwrap();
    assert_eq!(piece.ip_packet().unwrap()[26..28], [0xff, 0xff]);
    assert!(packet(&piece).good());
}

#[test]
fn a_checksum_that_was_wrong_stays_wrong() {
    let mut bytes = Spec { state: State::Full, ..Spec::tcp(false, 10, None) }.bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let frame = fault_user::line::frame::Frame::parse(bytes.into()).unwrap();
    let mut piece = frame.whole(0);
    piece.full_checksum().unwrap();
    piece.set_window(9).unwrap();
    assert!(!packet(&piece).good());
    // Even if the flip itself would mend it.
    piece.flip_bits(&[79], Checksum::Bad).unwrap();
    assert!(!packet(&piece).good());
}

#[test]
fn refused_flips_change_nothing() {
    let frame = Spec::tcp(false, 100, Some(10)).frame();
    let mut piece = frame.whole(0);
    let before = written(&piece);
    assert_eq!(piece.flip_bits(&[0], Checksum::Bad), Err(Refused::ManySegments(10)));
    assert_eq!(piece.flip_bits_at(&[0], Checksum::Valid), Err(Refused::ManySegments(10)));
    assert_eq!(piece.flip_bits(&[3, 1, 3], Checksum::Valid), Err(Refused::BitTwice(3)));
    assert_eq!(
        piece.flip_bits(&[800], Checksum::Valid),
        Err(Refused::Range { from: 800, to: 801, of: 800 })
    );
    assert_eq!(written(&piece), before);
    let mut one = frame.run(0, 1, 0).unwrap();
    assert_eq!(one.flip_bits_at(&[80], Checksum::Valid), Err(Refused::ChecksumField(80)));
}
