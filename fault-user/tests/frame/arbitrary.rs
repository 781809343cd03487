//! Nothing that a TAP can give makes the line panic.

use bytes::Bytes;
use fault_user::line::frame::{Checksum, Frame, Reject, reset_answer, unreachable};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::strategy::any_frame;
use crate::wire::written;

/// Everything that can be asked of a frame, whatever the answers.
fn exercise(bytes: Vec<u8>, at: &[Index; 3], tag: u16) {
    let Ok(frame) = Frame::parse(Bytes::from(bytes.clone())) else { return };
    let (segments, payload) = (frame.segments(), frame.payload().len());
    for i in [0, segments / 2, segments] {
        if let Some(segment) = frame.segment(i) {
            assert!(segment.payload.end <= payload);
        }
    }
    assert_eq!(frame.protocol().is_none(), frame.only_whole().is_some());
    assert_eq!(frame.source().is_some(), frame.destination().is_some());
    let whole = frame.whole(tag);
    if frame.only_whole().is_some() {
        // Passed as it is.
        let mut expected = bytes;
        expected[0] &= 1;
        expected[24..26].copy_from_slice(&tag.to_be_bytes());
        assert_eq!(written(&whole), expected);
    }
    let cut = at[0].index(payload + 1);
    let segment = at[1].index(segments as usize) as u32;
    let mut pieces = vec![whole, frame.run(segment, segment + 1, tag).unwrap()];
    pieces.extend(frame.part(0, cut, tag));
    pieces.extend(frame.part(cut, payload, tag));
    for piece in pieces {
        for (bits, checksum) in [(3, Checksum::Valid), (3, Checksum::Bad)] {
            let bit = at[2].index(piece.len() * 8 + bits) as u32;
            let mut piece = piece.clone();
            let before = written(&piece);
            if piece.flip_bits(&[bit], checksum).is_err() {
                assert_eq!(written(&piece), before);
            }
            if piece.flip_bits_at(&[bit, bit / 2], checksum).is_ok() {
                assert_eq!(piece.wire_packets(), 1);
            }
            piece.mark_ce();
            let done = piece.full_checksum().and(piece.set_window(7));
            assert!(done.is_err() || piece.body().len() <= piece.len());
        }
    }
    assert!(reset_answer(&frame).is_none_or(|answer| matches!(answer.len(), 40 | 60)));
    for kind in [Reject::Port, Reject::Host, Reject::Net, Reject::Admin] {
        if let Some(answer) = unreachable(&frame, kind) {
            assert!(answer.bytes.len() <= 1240);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<[Index; 3]>()) {
        exercise(bytes, &at, 1);
    }

    #[test]
    fn noise_behind_a_tag(
        mut bytes in prop::collection::vec(any::<u8>(), 28..200),
        ethertype in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x88a8]),
        at in any::<[Index; 3]>(),
    ) {
        bytes[22..24].copy_from_slice(&[0x81, 0]);
        bytes[26..28].copy_from_slice(&ethertype.to_be_bytes());
        if let Some(first) = bytes.get_mut(28) {
            *first = if ethertype == 0x0800 { 0x45 | *first & 2 } else { 0x60 };
        }
        exercise(bytes, &at, 2);
    }

    /// Near misses find more than noise does.
    #[test]
    fn damaged_frames(
        spec in any_frame(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut in any::<Index>(),
        truncate in any::<bool>(),
        at in any::<[Index; 3]>(),
    ) {
        let mut bytes = spec.bytes();
        let headers = bytes.len().min(120);
        for (place, value) in damage {
            bytes[place.index(headers)] = value;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        exercise(bytes, &at, 3);
    }
}
