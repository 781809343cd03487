//! Windows, congestion marks, complete checksums.

use fault_user::line::frame::{CeMark, Refused};
use proptest::prelude::*;

use crate::spec::{Spec, State};
use crate::strategy::{any_frame, tcp_frame};
use crate::wire::{packet, packets, written};

proptest! {
    #[test]
    fn the_window_is_set_in_every_wire_packet(spec in tcp_frame(), window in any::<u16>()) {
        let mut piece = spec.frame().whole(0);
        let mut expected = packets(&piece);
        piece.set_window(window).unwrap();
        for wire in &mut expected {
            wire.window = window;
        }
        prop_assert_eq!(packets(&piece), expected);
    }

    #[test]
    fn ce_is_marked_on_ect_only(spec in any_frame()) {
        let mut piece = spec.frame().whole(0);
        let before = packets(&piece);
        let (mark, ecn) = match spec.class & 3 {
            0 => (CeMark::NotEct, 0),
            3 => (CeMark::AlreadyCe, 3),
            _ => (CeMark::Marked, 3),
        };
        prop_assert_eq!(piece.mark_ce(), mark);
        for (after, mut wire) in packets(&piece).into_iter().zip(before) {
            wire.ecn = ecn;
            prop_assert!(after.good());
            prop_assert_eq!(after, wire);
        }
    }

    #[test]
    fn a_complete_checksum_leaves_nothing_to_the_card(spec in any_frame()) {
        let frame = spec.frame();
        for i in 0..frame.segments() {
            let mut piece = frame.run(i, i + 1, 0).unwrap();
            let before = packet(&piece);
            piece.full_checksum().unwrap();
            prop_assert_eq!(&written(&piece)[..10], &[0; 10]);
            prop_assert_eq!(packet(&piece), before);
        }
    }
}

#[test]
fn a_computed_udp_checksum_of_zero_is_sent_as_its_complement() {
    let mut spec = Spec::udp(false, 2, None);
    spec.payload = vec![0, 0];
    spec.state = State::Full;
    let frame = spec.frame().whole(0).ip_packet().unwrap();
    // This payload makes the sum 0xffff, so its complement 0.
    spec.payload = frame[26..28].to_vec();
    spec.state = State::Partial;
    let mut piece = spec.frame().whole(0);
    piece.full_checksum().unwrap();
    assert_eq!(piece.ip_packet().unwrap()[26..28], [0xff, 0xff]);
    assert!(packet(&piece).good());
}

#[test]
fn a_super_packet_has_no_complete_checksum_and_udp_no_window() {
    let mut piece = Spec::udp(true, 100, Some(10)).frame().whole(0);
    assert_eq!(piece.full_checksum(), Err(Refused::ManySegments(10)));
    assert_eq!(piece.set_window(1), Err(Refused::NotTcp));
}
