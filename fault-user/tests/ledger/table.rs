//! Every cell of the contract's verdict table.

use fault_common::rule::Direction::{Egress, Ingress};
use fault_user::verdict::Outcome::{self, Failed, None as Silent, Ok as Fine};
use fault_user::verdict::Verdict::{self, *};
use fault_user::verdict::{Cause, Confidence};

use crate::trace::{Sock, Trace};

/// What the network does with one message of 100 bytes; the app speaks at 20 ms.
#[derive(Debug, Clone, Copy)]
enum Net {
    InTime,
    LateByTime,
    LateByLoss,
    LeftClosed,
    LeftIngressArmed,
    NeverClosed,
    NeverArmed,
    NeverNoPacket,
    Open,
    OpenNothingArmed,
}

fn play(net: Net) -> (Trace, Sock) {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.send(s, 10.1, 100);
    match net {
        Net::InTime => t.tx(s, 10.0, 0, 100).ack(s, 11.0, 100),
        Net::LateByTime => t.tx(s, 10.0, 0, 100).ack(s, 1_500.0, 100),
        Net::LateByLoss => t.lost(s, 10.0, 0, 100).tx(s, 210.0, 0, 100).ack(s, 211.0, 100),
        Net::LeftClosed => t.tx(s, 10.0, 0, 100).close(s, 9_000.0),
        Net::LeftIngressArmed => {
            t.facts.armed_at_end.push((0, Ingress));
            t.tx(s, 10.0, 0, 100).lost_ack(s, 11.0, 100)
        }
        Net::NeverClosed => t.lost(s, 10.0, 0, 100).lost(s, 210.0, 0, 100).close(s, 9_000.0),
        Net::NeverArmed => {
            t.facts.armed_at_end.push((0, Egress));
            t.lost(s, 10.0, 0, 100)
        }
        Net::NeverNoPacket => t.close(s, 9_000.0),
        Net::Open => t.tx(s, 10.0, 0, 100),
        Net::OpenNothingArmed => t.lost(s, 10.0, 0, 100),
    };
    (t, s)
}

fn verdict(net: Net, outcome: Outcome) -> Verdict {
    let (mut t, _) = play(net);
    t.message("m", outcome, 9.9, 20.0);
    let send = t.verdict_of("m");
    assert_eq!((send.outcome, send.confidence), (outcome, Confidence::Exact));
    assert_eq!((send.stream, send.bytes), (Some([0, 100]), 100));
    assert_eq!(t.unlogged(), [], "its send belongs to the message");
    send.verdict
}

#[test]
fn every_cell() {
    let rows = [
        (Net::InTime, Delivered, FalseFailure),
        (Net::LateByTime, Late, FalseFailure),
        (Net::LateByLoss, Late, FalseFailure),
        (Net::LeftClosed, Unconfirmed, AmbiguousFailure),
        (Net::LeftIngressArmed, Unconfirmed, AmbiguousFailure),
        (Net::NeverClosed, SilentLoss, CleanFailure),
        (Net::NeverArmed, SilentLoss, CleanFailure),
        (Net::NeverNoPacket, SilentLoss, CleanFailure),
        (Net::Open, Pending, Pending),
        (Net::OpenNothingArmed, Pending, Pending),
    ];
    for (net, ok, failed) in rows {
        assert_eq!(verdict(net, Fine), ok, "{net:?}, app says ok");
        assert_eq!(verdict(net, Failed), failed, "{net:?}, app says failed");
        assert_eq!(verdict(net, Silent), Unlogged, "{net:?}, app says neither");
        let (t, _) = play(net);
        let rest: Vec<_> = t.unlogged().iter().map(|s| s.verdict).collect();
        assert_eq!(rest, [Unlogged], "{net:?}, no outcome line at all");
    }
}

#[test]
fn late_after_of_the_scenario_goes_before_the_default() {
    let (mut t, _) = play(Net::InTime);
    t.message("m", Fine, 9.9, 20.0);
    t.facts.late_after = Some(std::time::Duration::from_micros(500));
    assert_eq!(t.verdict_of("m").verdict, Late);
}

#[test]
fn a_slow_path_makes_late_later() {
    let mut t = Trace::new();
    let s = t.open_socket(0, 1_000);
    t.tx(s, 10.0, 0, 10).send(s, 10.0, 10).ack(s, 810.0, 10);
    t.tx(s, 2_000.0, 10, 20).send(s, 2_000.0, 10).ack(s, 4_900.0, 20);
    t.message("m", Fine, 2_000.0, 2_001.0);
    assert_eq!(t.verdict_of("m").verdict, Delivered, "2.9 s is less than 4 x 800 ms");
}

#[test]
fn a_spurious_tail_probe_does_not_make_a_send_late() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.send(s, 10.1, 100).tx(s, 10.0, 0, 100).tx(s, 15.0, 0, 100).ack(s, 16.0, 100);
    t.message("m", Fine, 10.0, 11.0);
    let send = t.verdict_of("m");
    assert_eq!((send.verdict, send.retransmits, send.cause), (Delivered, 1, Cause::Untouched));
}

#[test]
fn failed_without_a_byte_written_is_clean() {
    let mut t = Trace::new();
    t.socket(0);
    t.message("m", Failed, 10.0, 11.0);
    let send = t.verdict_of("m");
    assert_eq!((send.verdict, send.flow, send.stream), (CleanFailure, None, None));
    assert!(send.via.is_empty());
}

#[test]
fn failed_in_the_send_call_is_clean() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.failed_send(s, 10.5, libc::EPIPE);
    t.message("m", Failed, 10.0, 11.0);
    let send = t.verdict_of("m");
    assert_eq!((send.verdict, send.flow.as_deref()), (CleanFailure, Some("first")));
    assert!(send.why.contains("Broken pipe"), "{}", send.why);
}

#[test]
fn ok_without_a_byte_written_is_a_silent_loss_with_a_warning() {
    let mut t = Trace::new();
    t.socket(0);
    t.message("m", Fine, 10.0, 11.0);
    let result = t.run();
    assert_eq!(result.sends[0].verdict, SilentLoss);
    assert!(result.sends[0].why.starts_with("no byte of it was ever handed to a socket"));
    assert_eq!(result.warnings, ["app sender says ok for `m` but sent nothing"]);
}

#[test]
fn every_verdict_is_counted() {
    let (mut t, _) = play(Net::InTime);
    t.message("m", Fine, 9.9, 20.0);
    let verdicts = t.run().verdicts;
    assert_eq!(verdicts.len(), Verdict::ALL.len());
    assert_eq!((verdicts["delivered"], verdicts["pending"]), (1, 0));
}

#[test]
fn the_explanation_names_bytes_rule_and_end() {
    let (mut t, _) = play(Net::NeverClosed);
    t.message("m", Fine, 9.9, 20.0);
    let send = t.verdict_of("m");
    assert_eq!(
        send.why,
        "all 2 copies of bytes 0..100 were dropped by `outage` (first egress drop = 1); \
         the socket closed 9.0 s later without an ack; the app said sent"
    );
    assert_eq!(send.rule.as_deref(), Some("outage: first egress drop = 1"));
    assert_eq!((send.drops, send.retransmits), (2, 1));
}
