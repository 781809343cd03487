//! Sequence numbers, acks and packets as they really come.

use fault_common::event::tcp;
use fault_user::ledger::entry::{Packet, What};
use fault_user::ledger::flow::Ack;
use fault_user::verdict::Outcome::Ok as Fine;
use fault_user::verdict::Verdict::*;
use proptest::prelude::*;

use crate::trace::{Trace, ns};

#[test]
fn a_sequence_number_may_wrap_within_a_message() {
    let mut t = Trace::new();
    let s = t.socket_from(0, u32::MAX - 149);
    t.delivered(s, 10.0, 100);
    t.lost(s, 20.0, 100, 200).send(s, 20.0, 100).tx(s, 230.0, 100, 200).ack(s, 231.0, 200);
    t.delivered(s, 300.0, 100);
    for (id, at) in [("before", 10.0), ("across", 20.0), ("after", 300.0)] {
        t.message(id, Fine, at, at + 1.0);
    }
    let got = |id: &str| (t.verdict_of(id).verdict, t.verdict_of(id).stream);
    assert_eq!(got("before"), (Delivered, Some([0, 100])));
    assert_eq!(got("across"), (Late, Some([100, 200])));
    assert_eq!(got("after"), (Delivered, Some([200, 300])));
}

#[test]
fn retransmits_merge_and_split() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 700).send(s, 10.0, 700);
    t.lost(s, 20.0, 700, 800).send(s, 20.0, 100);
    t.send(s, 30.0, 16);
    // All three come back as one packet, of which only pieces arrive.
    t.lost(s, 220.0, 0, 816).tx(s, 640.0, 0, 300).tx(s, 640.1, 300, 816).ack(s, 641.0, 816);
    for (id, at) in [("a", 10.0), ("b", 20.0), ("c", 30.0)] {
        t.message(id, Fine, at, at + 1.0);
    }
    let got = |id: &str| {
        let send = t.verdict_of(id);
        (send.verdict, send.drops, send.retransmits, send.first_sent_ms)
    };
    assert_eq!(got("a"), (Late, 2, 3, Some(10.0)));
    assert_eq!(got("b"), (Late, 2, 2, Some(20.0)));
    assert_eq!(
        got("c"),
        (Late, 1, 1, Some(220.0)),
        "its first copy was lost within the merged packet"
    );
}

#[test]
fn half_of_a_message_may_have_left() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 10.0, 0, 60)
        .lost(s, 10.0, 60, 100)
        .send(s, 10.0, 100)
        .ack(s, 11.0, 60)
        .close(s, 5_000.0);
    t.message("m", Fine, 10.0, 11.0);
    assert_eq!(t.verdict_of("m").verdict, SilentLoss, "bytes 60..100 never left");
    t.tx(s, 300.0, 55, 100);
    assert_eq!(t.verdict_of("m").verdict, Unconfirmed);
}

#[test]
fn the_ack_of_a_fin_covers_one_more() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.send(s, 10.0, 100).tx(s, 10.0, 0, 100).fin(s, 10.5, 100).ack(s, 11.0, 101).close(s, 12.0);
    t.message("m", Fine, 10.0, 11.0);
    assert_eq!(t.verdict_of("m").verdict, Delivered);
    assert_eq!(t.flows()[0].acks, [Ack { ts: ns(11.0), upto: 100, rule: None }]);
}

#[test]
fn acks_of_what_was_never_sent_are_ignored() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.send(s, 10.0, 100).tx(s, 10.0, 0, 100);
    t.ack(s, 11.0, 101).ack(s, 12.0, -50).ack(s, 13.0, 5_000);
    assert!(t.flows()[0].acks.is_empty());
    t.ack(s, 14.0, 100).ack(s, 15.0, 100).ack(s, 16.0, 40);
    assert_eq!(t.flows()[0].acks, [Ack { ts: ns(14.0), upto: 100, rule: None }]);
}

#[test]
fn a_reset_acknowledges_nothing() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.send(s, 10.0, 100).tx(s, 10.0, 0, 100);
    let flags = tcp::RST | tcp::ACK;
    let rst = Packet {
        dropped: false,
        discarded: false,
        held_us: 0,
        judged: None,
        rule: None,
        flags,
        segs: 1,
        seq: 1,
        len: 0,
        ack: 1_100,
        ifindex: 1,
    };
    t.push(s, 11.0, What::Rx(rst));
    t.close(s, 11.1);
    t.message("m", Fine, 10.0, 10.5);
    assert_eq!(t.verdict_of("m").verdict, Unconfirmed);
}

#[test]
fn keepalive_and_window_probes_are_no_copies() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 100);
    t.tx(s, 5_000.0, 99, 99).tx(s, 6_000.0, 99, 100).ack(s, 6_001.0, 100);
    let flow = &t.flows()[0];
    assert_eq!(flow.tx.len(), 1);
    t.message("m", Fine, 10.0, 11.0);
    assert_eq!(t.verdict_of("m").retransmits, 0);
}

#[test]
fn a_retransmitted_syn_says_the_same_base() {
    let mut t = Trace::new();
    let s = t.socket_from(0, 77);
    let syn = Packet {
        dropped: false,
        discarded: false,
        held_us: 0,
        judged: None,
        rule: None,
        flags: tcp::SYN,
        segs: 1,
        seq: 77,
        len: 0,
        ack: 0,
        ifindex: 1,
    };
    t.push(s, 0.15, What::Tx(syn));
    t.delivered(s, 10.0, 100);
    let flow = &t.flows()[0];
    assert_eq!(flow.sends[0].range, 0..100);
    assert_eq!(flow.min_rtt, Some(1_000_000), "the handshake took two SYNs: no round trip (Karn)");
}

/// Of 6 GiB written 300 bytes are under way, and 100 have not left yet: these come out as copies of bytes that no send
/// has, and the first send has its true place behind them.
#[test]
fn an_open_socket_goes_on_where_its_stream_stood() {
    let mut t = Trace::new();
    let gib6 = 6 << 30;
    let s = t.standing(77, gib6 as u64, 400, 100);
    t.tx(s, 5.0, gib6 - 400, gib6 - 100).tx(s, 6.0, gib6 - 100, gib6);
    t.lost(s, 10.0, gib6, gib6 + 50).send(s, 10.1, 50);
    t.ack(s, 20.0, gib6).tx(s, 210.0, gib6, gib6 + 50).ack(s, 211.0, gib6 + 50);
    t.failed_send(s, 300.0, libc::EPIPE);
    t.message("first", Fine, 9.9, 10.2);
    let send = t.verdict_of("first");
    assert_eq!(send.stream, Some([gib6 as u64, gib6 as u64 + 50]));
    assert_eq!((send.verdict, send.drops, send.retransmits), (Late, 1, 1));
    let flow = &t.flows()[0];
    assert_eq!(flow.una_at(ns(1.0)), gib6 - 400);
    // The first copy on record of the 300 bytes was not their first; of the 100 it was.
    assert_eq!(flow.min_rtt, Some(14_000_000));
    assert_eq!(flow.sends[1].range, gib6 + 50..gib6 + 50);
}

#[test]
fn a_socket_that_was_open_before_starts_at_its_first_byte_on_record() {
    let mut t = Trace::new();
    let s = t.open_socket(0, u32::MAX - 20);
    // A retransmission of older bytes comes before the first send.
    t.tx(s, 5.0, -30, 0).delivered(s, 10.0, 100);
    let flow = &t.flows()[0];
    assert_eq!((flow.sends[0].range.clone(), flow.opened), (30..130, None));
    t.message("m", Fine, 10.0, 11.0);
    assert_eq!(t.verdict_of("m").verdict, Delivered);
}

#[test]
fn round_trips_are_of_bytes_that_were_sent_once() {
    let mut t = Trace::new();
    let s = t.open_socket(0, 1_000);
    t.send(s, 10.0, 100).lost(s, 10.0, 0, 100).tx(s, 210.0, 0, 100).ack(s, 211.0, 100);
    assert_eq!(t.flows()[0].min_rtt, None);
    t.send(s, 300.0, 20).tx(s, 300.0, 100, 110).tx(s, 302.0, 110, 120).ack(s, 305.0, 120);
    assert_eq!(t.flows()[0].min_rtt, Some(3_000_000), "an ack answers the newest packet it covers");
}

#[test]
fn an_ack_may_be_on_record_before_the_send_call_returns() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 10.0, 0, 100).ack(s, 10.05, 100).send(s, 10.1, 100);
    t.message("m", Fine, 10.0, 11.0);
    assert_eq!(t.verdict_of("m").verdict, Delivered);
}

fn busy_trace() -> Trace {
    let mut t = Trace::new();
    let (a, b) = (t.socket(0), t.socket_from(1, u32::MAX - 100));
    t.delivered(a, 10.0, 100).delivered(b, 11.0, 60);
    t.lost(a, 20.0, 100, 200).send(a, 20.1, 100).send(a, 21.0, 50);
    t.lost(b, 30.0, 60, 90).send(b, 30.0, 30).tx(a, 230.0, 100, 250).ack(a, 231.0, 250);
    t.close(b, 900.0);
    for (i, at) in [10.0, 11.0, 20.0, 20.9, 29.9].into_iter().enumerate() {
        t.message(&i.to_string(), Fine, at, at + 0.5);
    }
    t
}

proptest! {
    #[test]
    fn the_order_in_which_events_arrive_does_not_matter(
        order in Just((0..busy_trace().entries.len()).collect::<Vec<_>>()).prop_shuffle()
    ) {
        let sorted = busy_trace();
        let mut shuffled = busy_trace();
        shuffled.entries = order.iter().map(|&i| sorted.entries[i]).collect();
        prop_assert_eq!(shuffled.run(), sorted.run());
    }
}

/// Open before the run, so that no SYN tells its first number: 6 GiB later the numbers have wrapped.
#[test]
fn the_first_byte_of_an_open_socket_stays_the_first_when_numbers_wrap() {
    const STEP: i64 = 1 << 30;
    for isn in [1_000, u32::MAX - 7] {
        let mut t = Trace::new();
        let s = t.open_socket(0, isn);
        for n in 0..6 {
            let ms = 10.0 * f64::from(n);
            t.delivered(s, ms, STEP);
            t.message(&n.to_string(), Fine, ms - 1.0, ms + 2.0);
        }
        for n in 0..6 {
            let send = t.verdict_of(&n.to_string());
            let from = n * STEP as u64;
            assert_eq!(send.stream, Some([from, from + STEP as u64]), "{isn}: {send:#?}");
        }
    }
}
