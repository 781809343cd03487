//! Packets that no fault means.

use fault_common::event::{KIND_RX, KIND_TX, NO_RULE, VERDICT_PASS};
use fault_common::rule::Direction;
use proptest::prelude::*;

use crate::rig::{A, Conn, MS, MSS, Rig};
use crate::wire::packets;

const ACK: u8 = 0x10;

proptest! {
    #[test]
    fn frames_go_on_at_once_unchanged_and_in_order(
        lens in prop::collection::vec(0..5 * MSS, 1..12),
        bank in 0..3u32,
    ) {
        let mut rig = Rig::new();
        rig.bank = bank;
        let mut sent = Vec::new();
        let mut from = 0;
        for len in lens {
            let spec = rig.spec(from, len);
            let handed = rig.handed(A);
            rig.accept(&handed, &spec);
            sent.push((rig.now, packets(&spec.frame().whole(0))));
            from += len as u64;
            rig.wait(MS);
        }
        let went: Vec<_> = rig.out.written.iter().map(|w| (w.at, w.wire.clone())).collect();
        let plain = |list: Vec<(u64, Vec<crate::wire::Wire>)>| {
            list.into_iter().map(|(at, mut wire)| {
                wire.iter_mut().for_each(|w| w.tags.clear());
                (at, wire)
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(plain(went), plain(sent));
    }
}

#[test]
fn what_the_kernel_must_restore_comes_back_with_it() {
    let mut rig = Rig::new();
    rig.bytes(A, 0, 10);
    let back = rig.out.written[0].back;
    assert_eq!((back.ifindex, back.mark, back.tc_index, back.priority, back.dir), (4, 5, 6, 7, 0));
}

/// As `tell()` of the packet programs: bytes that move, control segments, nothing of plain
/// acknowledgements.
#[test]
fn what_is_told_of_egress() {
    let mut rig = Rig::new();
    rig.bytes(A, 0, 2500);
    rig.bytes(A, 2500, 0);
    for flags in [0x02, 0x11, 0x04, 0x14] {
        rig.like.tcp.as_mut().unwrap().flags = flags;
        rig.bytes(A, 2500, 0);
    }
    let told: Vec<_> = rig
        .out
        .events
        .iter()
        .map(|e| (e.flags, e.len, e.segs, e.seq.wrapping_sub(crate::rig::BASE)))
        .collect();
    // The number of a SYN is skipped: the first payload byte comes after it.
    assert_eq!(
        told,
        [
            (ACK, 2500, 3, 0),
            (2, 0, 1, 2501),
            (0x11, 0, 1, 2500),
            (4, 0, 1, 2500),
            (0x14, 0, 1, 2500)
        ]
    );
    for e in &rig.out.events {
        assert_eq!((e.kind, e.verdict, e.rule, e.dir), (KIND_TX, VERDICT_PASS, NO_RULE, 0));
        assert_eq!((e.cookie, e.slot, e.flow, e.app, e.ifindex), (103, 3, 0, 1, 4));
        assert_eq!((e.lport, e.rport, e.proto, e.ack), (40000, 443, 6, 0x0102_0304));
        assert_eq!(e.ts, crate::rig::T0);
    }
    assert_eq!(rig.engine.tally.events, 5);
}

/// Of ingress: acknowledgements that are new, control segments; told when they arrive.
#[test]
fn what_is_told_of_ingress() {
    let conn = Conn { dir: Direction::Ingress, ..A };
    let mut rig = Rig::new();
    rig.bytes(conn, 0, 100);
    rig.bytes(conn, 100, 100);
    rig.like.tcp.as_mut().unwrap().flags = 0x11;
    rig.bytes(conn, 200, 0);
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.kind, e.flags, e.len)).collect();
    assert_eq!(told, [(KIND_RX, ACK, 100), (KIND_RX, 0x11, 0)]);
    let ports = (rig.out.events[0].lport, rig.out.events[0].rport);
    assert_eq!(ports, (443, 40000), "seen from the receiver");
}
