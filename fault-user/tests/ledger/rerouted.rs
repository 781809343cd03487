//! One message on several flows, or in several lines.

use fault_common::rule::Direction::Egress;
use fault_user::verdict::Cause;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
use fault_user::verdict::Verdict::*;

use crate::trace::{Sock, Trace};

fn two_sockets() -> (Trace, Sock, Sock) {
    let mut t = Trace::new();
    let (a, b) = (t.socket(0), t.socket(1));
    (t, a, b)
}

#[test]
fn lost_on_one_flow_and_acknowledged_on_another() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100);
    t.delivered(b, 500.0, 104).close(a, 9_000.0);
    t.message("m", Fine, 9.0, 510.0);
    let send = t.verdict_of("m");
    assert_eq!(
        (send.verdict, send.cause, send.flow.as_deref()),
        (Rerouted, Cause::Hit, Some("first"))
    );
    assert_eq!(send.via, ["first", "second"]);
    assert_eq!((send.stream, send.acked_ms), (Some([0, 100]), Some(501.0)));
    assert!(send.why.ends_with("then sent and acknowledged on second"), "{}", send.why);
}

#[test]
fn still_open_on_the_first_flow_is_rerouted_as_well() {
    let (mut t, a, b) = two_sockets();
    t.tx(a, 10.0, 0, 100).send(a, 10.0, 100);
    t.delivered(b, 500.0, 100);
    t.message("m", Fine, 9.0, 510.0);
    assert_eq!(t.verdict_of("m").verdict, Rerouted);
}

#[test]
fn acknowledged_on_both_is_delivered_with_a_duplicate() {
    let (mut t, a, b) = two_sockets();
    t.tx(a, 10.0, 0, 100).send(a, 10.0, 100);
    t.delivered(b, 500.0, 100).ack(a, 700.0, 100);
    t.message("m", Fine, 9.0, 510.0);
    let send = t.verdict_of("m");
    assert_eq!((send.verdict, send.acked_ms), (Delivered, Some(501.0)));
    assert!(send.why.contains("duplicate: acknowledged on first and second"), "{}", send.why);
}

#[test]
fn lost_on_both() {
    let (mut t, a, b) = two_sockets();
    t.facts.armed_at_end.push((0, Egress));
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100);
    t.lost(b, 500.0, 0, 100).send(b, 500.0, 100).close(b, 900.0);
    t.message("m", Fine, 9.0, 510.0);
    assert_eq!(t.verdict_of("m").verdict, SilentLoss);
}

#[test]
fn while_one_of_them_may_have_arrived_nothing_is_proven() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 400.0);
    t.tx(b, 500.0, 0, 100).send(b, 500.0, 100).close(b, 900.0);
    t.message("m", Fine, 9.0, 510.0);
    assert_eq!(t.verdict_of("m").verdict, Unconfirmed);
    t.messages[0].outcome = Failed;
    assert_eq!(t.verdict_of("m").verdict, AmbiguousFailure);
}

#[test]
fn a_failed_message_that_arrived_on_the_second_flow_is_a_false_failure() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 400.0);
    t.delivered(b, 500.0, 100);
    t.message("m", Failed, 9.0, 510.0);
    assert_eq!(t.verdict_of("m").verdict, FalseFailure);
}

#[test]
fn an_error_on_one_flow_then_the_other() {
    let (mut t, a, b) = two_sockets();
    t.failed_send(a, 10.0, libc::EPIPE);
    t.delivered(b, 500.0, 100);
    t.message("m", Fine, 9.0, 510.0).bytes = Some(100);
    let send = t.verdict_of("m");
    assert_eq!((send.verdict, send.via.len()), (Rerouted, 2));
    t.messages[0].bytes = None;
    assert_eq!(t.verdict_of("m").verdict, Rerouted);
}

#[test]
fn a_second_line_with_the_same_id_reroutes_the_first() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 9_000.0);
    t.delivered(b, 500.0, 100);
    t.message("m", Failed, 9.0, 400.0);
    t.message("m", Fine, 499.0, 510.0);
    let sends = t.run().sends;
    let verdicts: Vec<_> = sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [Rerouted, Delivered]);
    assert_eq!(
        (&sends[0].via[..], sends[0].acked_ms),
        (&["first".to_owned(), "second".to_owned()][..], Some(501.0))
    );
    assert_eq!(sends[1].via, ["second"]);
}

/// Each try has an id of its own and names the one before.
#[test]
fn retries_that_name_what_they_repeat_reroute_it() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100);
    t.lost(a, 410.0, 100, 200).send(a, 410.0, 100).close(a, 9_000.0);
    t.delivered(b, 500.0, 100);
    t.message("one", Failed, 9.0, 400.0);
    t.message("two", Failed, 409.0, 450.0).retry_of = Some("one".into());
    t.message("three", Fine, 499.0, 510.0).retry_of = Some("two".into());
    let sends = t.run().sends;
    let verdicts: Vec<_> = sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [Rerouted, Rerouted, Delivered]);
    assert_eq!(sends[0].via, ["first", "first", "second"]);
    assert!(sends[0].why.ends_with("then sent and acknowledged on second"), "{}", sends[0].why);
    // Without the links they are three messages.
    t.messages.iter_mut().for_each(|m| m.retry_of = None);
    let verdicts: Vec<_> = t.run().sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [CleanFailure, CleanFailure, Delivered]);
}

#[test]
fn messages_that_repeat_each_other_are_followed_once() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 9_000.0);
    t.delivered(b, 500.0, 100);
    t.message("one", Failed, 9.0, 400.0).retry_of = Some("two".into());
    t.message("two", Fine, 499.0, 510.0).retry_of = Some("one".into());
    let verdicts: Vec<_> = t.run().sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [Rerouted, Delivered]);
}

/// A failed try that arrived, and its repetition too: the peer has the message twice.
#[test]
fn a_retry_of_what_had_arrived_is_a_duplicate() {
    let (mut t, a, b) = two_sockets();
    t.tx(a, 10.0, 0, 100).send(a, 10.0, 100).ack(a, 700.0, 100);
    t.delivered(b, 500.0, 100);
    t.message("one", Failed, 9.0, 400.0);
    t.message("two", Fine, 499.0, 510.0).retry_of = Some("one".into());
    let send = t.verdict_of("one");
    assert_eq!(send.verdict, FalseFailure);
    assert!(send.why.contains("duplicate: acknowledged on first and second"), "{}", send.why);
}

#[test]
fn another_try_on_the_same_socket_is_not_rerouted() {
    let mut t = Trace::new();
    let a = t.socket(0);
    t.tx(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 9_000.0);
    t.send(a, 500.0, 100);
    t.message("m", Failed, 9.0, 400.0);
    t.message("m", Failed, 499.0, 510.0);
    let verdicts: Vec<_> = t.run().sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [AmbiguousFailure, CleanFailure]);
}

#[test]
fn the_same_id_of_another_app_is_another_message() {
    let (mut t, a, b) = two_sockets();
    t.lost(a, 10.0, 0, 100).send(a, 10.0, 100).close(a, 9_000.0);
    t.delivered(b, 500.0, 100);
    t.entries.iter_mut().filter(|e| e.cookie == b.cookie).for_each(|e| e.app = 1);
    t.message("m", Failed, 9.0, 400.0);
    t.message("m", Fine, 499.0, 510.0).app = 1;
    let verdicts: Vec<_> = t.run().sends.iter().map(|s| s.verdict).collect();
    assert_eq!(verdicts, [CleanFailure, Delivered]);
}
