//! Lost events make verdicts `unknown`, but only those that might rest on them.

use fault_user::verdict::Outcome::Ok as Fine;
use fault_user::verdict::Verdict::*;
use fault_user::verdict::{Confidence, Verdict};

use crate::trace::Trace;

fn in_gap(gap_from: f64, gap_to: f64, own: bool) -> (Verdict, Confidence) {
    let mut t = Trace::new();
    let (s, _) = (t.socket(0), t.socket(1));
    t.delivered(s, 10.0, 10);
    t.message("a", Fine, 10.0, 12.0);
    let whose = if own { Some(s) } else { None };
    t.gap(whose, gap_from, gap_to);
    let send = t.verdict_of("a");
    (send.verdict, send.confidence)
}

#[test]
fn evidence_within_a_gap_is_no_evidence() {
    for own in [true, false] {
        assert_eq!(in_gap(10.5, 10.6, own), (Unknown, Confidence::Gap));
        assert_eq!(in_gap(0.0, 9.9, own), (Delivered, Confidence::Exact));
        assert_eq!(in_gap(11.5, 900.0, own), (Delivered, Confidence::Exact), "after its ack");
    }
}

#[test]
fn a_gap_may_hide_where_else_a_message_went() {
    let mut t = Trace::new();
    let (a, b) = (t.socket(0), t.socket(1));
    t.lost(a, 10.0, 0, 10).send(a, 10.0, 10).close(a, 900.0);
    t.message("a", Fine, 10.0, 500.0);
    t.message("nothing", Fine, 600.0, 601.0);
    assert_eq!(t.verdict_of("a").verdict, SilentLoss);
    t.gap(b, 300.0, 310.0);
    assert_eq!(t.verdict_of("a").verdict, Unknown);
    assert_eq!(t.verdict_of("nothing").verdict, SilentLoss);
    t.gap(None, 600.5, 600.6);
    let send = t.verdict_of("nothing");
    assert_eq!((send.verdict, send.confidence), (Unknown, Confidence::Gap));
    assert!(t.run().warnings.is_empty());
}

/// io_uring, where only system calls are seen: its bytes leave, and no call on record wrote them.
#[test]
fn bytes_that_no_call_wrote_may_be_what_seems_to_have_sent_nothing() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 100);
    t.tx(s, 20.0, 100, 200).ack(s, 21.0, 200);
    t.message("seen", Fine, 9.0, 11.0);
    t.message("unseen", Fine, 19.0, 22.0);
    t.message("nothing", Fine, 500.0, 501.0);
    assert_eq!(t.verdict_of("seen").verdict, Delivered);
    let send = t.verdict_of("unseen");
    assert_eq!((send.verdict, send.confidence), (Unknown, Confidence::Gap), "{send:#?}");
    assert!(send.why.contains("a blind spot of the evidence"), "{}", send.why);
    assert_eq!(t.verdict_of("nothing").verdict, SilentLoss);
}

/// Bytes from before the run that are sent again have no call on record either.
#[test]
fn what_was_written_before_the_run_is_nobodys() {
    let mut t = Trace::new();
    let s = t.open_socket(0, 1_000);
    t.tx(s, 20.0, -100, 0).delivered(s, 300.0, 100);
    t.message("nothing", Fine, 19.0, 22.0);
    assert_eq!(t.verdict_of("nothing").verdict, SilentLoss);
}
