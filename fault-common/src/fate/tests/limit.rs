use proptest::prelude::*;

use super::*;
use crate::decide::UNPLACED;

fn limit(bytes: u64, then: Then) -> Fault {
    fault(Model::Limit(Limit { bytes, then }))
}

fn data(pos: u64, payload: u32, flags: u8) -> Packet {
    Packet { pos, payload, wire: payload + 52, flags: flags | tcp::ACK, ..segment(0) }
}

fn judge(bytes: u64, packet: &Packet) -> (Option<End>, Option<u32>) {
    let fate = Line::new([limit(bytes, Then::Drop)]).judge(packet);
    assert_eq!(fate.acted == 1, fate.end.is_some() || fate.keep.is_some());
    (fate.end, fate.keep)
}

#[test]
fn what_lies_below_passes_what_lies_beyond_does_not_and_what_straddles_is_cut() {
    assert_eq!(judge(1000, &data(0, 1000, 0)), (None, None));
    assert_eq!(judge(1000, &data(500, 600, 0)), (None, Some(500)));
    assert_eq!(judge(1000, &data(1000, 1, 0)), (Some(End::Cut), None));
    let reset = Line::new([limit(1000, Then::Reset)]).judge(&data(1000, 1, 0));
    assert_eq!((reset.end, reset.by), (Some(End::Reset), 0));
}

#[test]
fn control_passes_but_a_fin_is_the_byte_after_the_last() {
    let unplaced = |pos, flags| data(pos | UNPLACED, 0, flags);
    for flags in [0, tcp::SYN, tcp::RST] {
        assert_eq!(judge(1000, &unplaced(5000, flags)), (None, None));
    }
    assert_eq!(judge(1000, &unplaced(999, tcp::FIN)), (None, None));
    assert_eq!(judge(1000, &unplaced(1000, tcp::FIN)), (Some(End::Cut), None));
    // The data passes, its FIN does not.
    assert_eq!(judge(1000, &data(0, 1000, tcp::FIN)), (None, Some(1000)));
    assert_eq!(judge(1000, &data(0, 999, tcp::FIN)), (None, None));
    // TCP Fast Open: the connection still opens.
    assert_eq!(judge(0, &data(0, 100, tcp::SYN)), (None, Some(0)));
}

#[test]
fn retransmissions_of_what_is_below_pass_after_the_limit_is_reached() {
    let mut line = Line::new([limit(1000, Then::Drop)]);
    assert_eq!(line.judge(&data(1000, 500, 0)).end, Some(End::Cut));
    assert_eq!(line.judge(&Packet { retransmission: true, ..data(0, 500, 0) }).end, None);
}

#[test]
fn datagrams_are_lost_whole_and_nothing_passes_after_the_first() {
    let mut line = Line::new([limit(1000, Then::Drop)]);
    let ends: Vec<_> = [600, 400, 0, 1, 0, 1]
        .iter()
        .zip(0..)
        .map(|(payload, i)| line.judge(&datagram(i, *payload)).end.is_some())
        .collect();
    assert_eq!(ends, [false, false, false, true, true, true]);
}

#[test]
fn later_faults_see_the_packet_as_it_was_cut() {
    let corrupt =
        Corrupt { p: P_ALWAYS, bits: 1, valid: true, offset: (0, u32::MAX), headers: false };
    let size = When { size: Some((0, 552)), ..When::default() };
    let reject = Fault { when: size, ..fault(Model::Reject(2)) };
    let fin = When { segment: Some(Segment::Fin), ..When::default() };
    let fin = Fault { when: fin, ..fault(Model::MarkCe(P_ALWAYS)) };
    let stack = [limit(1000, Then::Drop), fault(Model::Corrupt(corrupt)), fin, reject];
    let fate = Line::new(stack).judge(&data(500, 600, tcp::FIN));
    assert_eq!(fate.corrupt.unwrap().range, (0, 500));
    assert_eq!((fate.end, fate.by), (Some(End::Rejected(2)), 3), "552 bytes are left of it");
    assert!(!fate.mark_ce, "its FIN is gone");
}

proptest! {
    /// Exactly the bytes below the limit pass, however the stream is cut into packets.
    #[test]
    fn a_stream_passes_up_to_the_limit(
        bytes in 0u64..20_000, sizes in prop::collection::vec(1u32..1448, 1..40),
    ) {
        let mut line = Line::new([limit(bytes, Then::Drop)]);
        let (mut pos, mut passed) = (0, 0);
        for size in sizes {
            let fate = line.judge(&data(pos, size, 0));
            if fate.end.is_none() {
                prop_assert_eq!(passed, pos, "a hole");
                passed += u64::from(fate.keep.unwrap_or(size));
            }
            pos += u64::from(size);
        }
        prop_assert_eq!(passed, pos.min(bytes));
    }
}
