use super::super::build::build;
use super::super::entry::{Entry, Packet, What};
use super::super::flow::FlowRecord;
use super::UDP;

/// Datagrams of one flow, 1 ms apart: place, length, whether it was dropped.
fn flow(datagrams: &[(u32, u32, bool)]) -> FlowRecord {
    let entry = |(i, &(seq, len, dropped)): (usize, &(u32, u32, bool))| Entry {
        ts: 1_000_000 * (i as u64 + 1),
        cookie: 7,
        pid: 0,
        tid: 0,
        app: 0,
        flow: Some(0),
        slot: 0,
        proto: UDP,
        passive: false,
        lport: 4000,
        rport: 53,
        retrans: 0,
        what: What::Tx(Packet {
            dropped,
            discarded: false,
            held_us: 0,
            judged: None,
            rule: dropped.then_some(0),
            flags: 0,
            segs: 1,
            seq,
            len,
            ack: 0,
            ifindex: 1,
        }),
    };
    let entries: Vec<Entry> = datagrams.iter().enumerate().map(entry).collect();
    build(&entries).remove(0)
}

#[test]
fn each_datagram_is_a_send_with_bytes_of_its_own() {
    let flow = flow(&[(0, 100, false), (100, 1, true), (101, 300, false)]);
    let ranges: Vec<_> = flow.sends.iter().map(|s| s.range.clone()).collect();
    assert_eq!(ranges, [0..100, 100..101, 101..401]);
    assert!(flow.passed(&(0..100)).covers(&(0..100)));
    assert!(flow.passed(&(100..101)).ranges().is_empty(), "its only copy was dropped");
    assert_eq!(flow.retransmits, 0);
}

#[test]
fn a_copy_that_a_fault_made_is_no_send() {
    let flow = flow(&[(0, 100, true), (0, 100, false), (100, 50, false), (0, 100, false)]);
    assert_eq!(flow.sends.len(), 2, "{:?}", flow.sends);
    assert_eq!(flow.copies_of(&(0..100)).count(), 3);
}

#[test]
fn a_place_beyond_32_bits_goes_on() {
    let flow = flow(&[(u32::MAX - 9, 10, false), (0, 10, false)]);
    let ranges: Vec<_> = flow.sends.iter().map(|s| s.range.clone()).collect();
    assert_eq!(ranges, [0..10, 10..20]);
}
