//! What the line keeps of the packets that faults touch.

use etherparse::{LaxSlicedPacket, TransportSlice};
use fault_common::fate::{Loss, Model};
use fault_user::capture::{Did, Packet};

use crate::rig::{A, BASE, CAPTURE, HEADERS, MS, MSS, Rig, T0, delay, fault, stream};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// The stream's position of a kept packet; its first bytes have to be those that the stream has there.
fn position(packet: &Packet) -> u64 {
    let sliced = LaxSlicedPacket::from_ethernet(&packet.bytes).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("{packet:?}") };
    assert_eq!(tcp.sequence_number(), packet.seq);
    let at = u64::from(packet.seq.wrapping_sub(BASE));
    let payload = &packet.bytes[ETHERNET + HEADERS..];
    assert_eq!(payload, stream(at, payload.len()), "at {at}");
    at
}

#[test]
fn each_lost_wire_packet_is_kept_as_it_came() {
    let mut rig = Rig::under(&[fault(9, Model::Loss(Loss::Every(3)))]);
    rig.bytes(A, 0, 7 * MSS);
    rig.bytes(A, 7 * MSS as u64, 5 * MSS);
    let lost = rig.tally(A).dropped;
    let tally = rig.engine.into_tally();
    let places: Vec<u64> = tally.captured.iter().map(|p| position(p) / MSS as u64).collect();
    assert_eq!((places, lost), (vec![2, 5, 8, 11], 4));
    for packet in &tally.captured {
        assert_eq!((packet.did, &packet.rules[..], packet.segs), (Did::Lost, &[9][..], 1));
        assert_eq!((packet.bytes.len(), packet.payload), (CAPTURE.snaplen as usize, MSS as u32));
        assert_eq!(packet.len as usize, ETHERNET + HEADERS + MSS);
        assert_eq!((packet.ts, packet.ifindex, packet.direction), (T0, 4, A.dir));
    }
}

#[test]
fn what_goes_on_later_is_kept_and_what_no_fault_touches_is_not() {
    let mut rig = Rig::under(&[delay(3, 5 * MS), fault(9, Model::Loss(Loss::First(1)))]);
    rig.bytes(A, 0, MSS);
    rig.bytes(A, MSS as u64, 2 * MSS);
    rig.arm(&[]);
    rig.wait(10 * MS);
    rig.bytes(A, 3 * MSS as u64, MSS);
    let tally = rig.engine.into_tally();
    let kept: Vec<_> =
        tally.captured.iter().map(|p| (position(p), p.did, p.segs, p.rules.clone())).collect();
    let mss = MSS as u64;
    assert_eq!(kept, [(0, Did::Lost, 1, vec![3, 9]), (mss, Did::Changed, 2, vec![3])]);
}

#[test]
fn no_more_is_kept_than_may_be() {
    let mut rig = Rig::under(&[fault(9, Model::Loss(Loss::Every(1)))]);
    let more = 7;
    for n in 0..u64::from(CAPTURE.max) + more {
        rig.bytes(A, n * 10, 10);
    }
    let tally = rig.engine.into_tally();
    assert_eq!((tally.captured.len(), tally.captured_beyond), (CAPTURE.max as usize, more));
}
