//! Every cause of the contract.

use fault_user::verdict::Cause;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
use fault_user::verdict::Verdict;

use crate::trace::Trace;

#[test]
fn untouched() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 100);
    t.message("m", Fine, 10.0, 11.0);
    let send = t.verdict_of("m");
    assert_eq!((send.cause, send.rule, send.drops), (Cause::Untouched, None, 0));
    assert_eq!(
        send.why,
        "bytes 0..100 were not touched by any fault; acknowledged after 1.0 ms; the app said sent"
    );
}

#[test]
fn hit_when_a_copy_of_its_own_was_dropped() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100).tx(s, 210.0, 0, 100).ack(s, 211.0, 100);
    t.message("m", Fine, 10.0, 11.0);
    let send = t.verdict_of("m");
    assert_eq!((send.cause, send.drops, send.retransmits), (Cause::Hit, 1, 1));
    assert_eq!(send.rule.as_deref(), Some("outage: first egress drop = 1"));
    assert!(send.why.starts_with("1 of 2 copies of bytes 0..100 were dropped"), "{}", send.why);
}

#[test]
fn head_of_line_behind_dropped_bytes() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100);
    t.tx(s, 20.0, 100, 200).send(s, 20.0, 100);
    t.tx(s, 210.0, 0, 100).ack(s, 1_400.0, 200);
    t.message("hit", Fine, 10.0, 11.0);
    t.message("behind", Fine, 20.0, 21.0);
    assert_eq!(t.verdict_of("hit").cause, Cause::Hit);
    let send = t.verdict_of("behind");
    assert_eq!((send.cause, send.drops, send.verdict), (Cause::HeadOfLine, 0, Verdict::Late));
    assert!(send.rule.is_some());
}

#[test]
fn head_of_line_without_ever_having_had_a_packet() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100);
    t.send(s, 20.0, 50).close(s, 5_000.0);
    t.message("behind", Fine, 20.0, 21.0);
    let send = t.verdict_of("behind");
    assert_eq!(
        (send.cause, send.verdict, send.first_sent_ms),
        (Cause::HeadOfLine, Verdict::SilentLoss, None)
    );
    assert!(send.why.starts_with("bytes 100..150 never had a packet"), "{}", send.why);
}

#[test]
fn head_of_line_only_while_the_dropped_bytes_are_unacknowledged() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100).tx(s, 210.0, 0, 100).ack(s, 211.0, 100);
    t.delivered(s, 300.0, 100);
    t.message("after", Fine, 300.0, 301.0);
    assert_eq!(t.verdict_of("after").cause, Cause::Untouched);
}

#[test]
fn ack_path_when_only_the_way_back_was_faulted() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 10.0, 0, 100).send(s, 10.0, 100).lost_ack(s, 11.0, 100);
    t.tx(s, 220.0, 0, 100).lost_ack(s, 221.0, 100).tx(s, 1_700.0, 0, 100).ack(s, 1_701.0, 100);
    t.message("m", Failed, 10.0, 210.0);
    let send = t.verdict_of("m");
    assert_eq!((send.cause, send.verdict, send.drops), (Cause::AckPath, Verdict::FalseFailure, 0));
    assert_eq!(send.rule.as_deref(), Some("outage: first ingress drop = 1"));
}

#[test]
fn lost_acks_of_earlier_bytes_are_not_its_ack_path() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 10.0, 0, 100).send(s, 10.0, 100).lost_ack(s, 11.0, 100);
    t.tx(s, 20.0, 100, 200).send(s, 20.0, 100).lost_ack(s, 21.0, 100).ack(s, 22.0, 200);
    t.message("m", Fine, 20.0, 22.0);
    assert_eq!(t.verdict_of("m").cause, Cause::Untouched);
}

#[test]
fn lost_acks_that_kept_the_window_shut_hold_up_what_is_behind() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 10.0, 0, 100).send(s, 10.0, 100).lost_ack(s, 11.0, 100);
    t.send(s, 20.0, 100).close(s, 5_000.0);
    t.message("m", Fine, 20.0, 22.0);
    let send = t.verdict_of("m");
    assert_eq!((send.cause, send.verdict), (Cause::HeadOfLine, Verdict::SilentLoss));
    assert_eq!(send.rule.as_deref(), Some("outage: first ingress drop = 1"));
}

#[test]
fn sender_blocked_when_the_call_waited_behind_unacknowledged_bytes() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100);
    t.tx(s, 2_000.0, 0, 100).ack(s, 2_001.0, 100);
    t.tx(s, 2_002.0, 100, 200).send(s, 2_002.0, 100).ack(s, 2_003.0, 200);
    t.message("m", Fine, 20.0, 2_010.0);
    let send = t.verdict_of("m");
    assert_eq!((send.cause, send.verdict), (Cause::SenderBlocked, Verdict::Late));
}

/// One call that writes more than there is room for: nothing was ahead of it but its own bytes.
#[test]
fn sender_blocked_when_the_call_waited_behind_its_own_bytes() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.tx(s, 20.0, 0, 5_000).ack(s, 1_500.0, 5_000).tx(s, 1_501.0, 5_000, 9_000);
    t.send(s, 1_502.0, 9_000).ack(s, 1_503.0, 9_000);
    t.message("m", Fine, 19.0, 1_503.0);
    assert_eq!(t.verdict_of("m").cause, Cause::SenderBlocked);
}

#[test]
fn an_app_that_takes_its_time_before_the_call_is_not_blocked() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 500.0, 100);
    t.message("m", Fine, 10.0, 510.0);
    assert_eq!(t.verdict_of("m").cause, Cause::Untouched);
}

#[test]
fn drops_count_packets_on_the_wire() {
    use fault_user::ledger::entry::{Packet, What};
    let mut t = Trace::new();
    let s = t.socket(0);
    let p = Packet {
        dropped: true,
        discarded: false,
        held_us: 0,
        judged: None,
        rule: Some(0),
        flags: 0x10,
        segs: 10,
        seq: 1_000,
        len: 9_500,
        ack: 0,
        ifindex: 1,
    };
    t.push(s, 10.0, What::Tx(p));
    t.send(s, 10.1, 1_500).send(s, 10.2, 8_000);
    t.tx(s, 210.0, 0, 9_500).ack(s, 211.0, 9_500);
    t.message("m", Fine, 10.0, 10.15).bytes = Some(1_400);
    assert_eq!(t.verdict_of("m").drops, 2, "950 bytes a packet: 1500 bytes touch two of them");
}
