//! Several messages at a time.

use fault_user::verdict::Confidence;
use fault_user::verdict::Outcome::Ok as Fine;
use fault_user::verdict::Verdict::*;

use crate::trace::Trace;

fn range(t: &Trace, id: &str) -> (Option<[u64; 2]>, Confidence) {
    let send = t.verdict_of(id);
    (send.stream, send.confidence)
}

fn exact(from: u64, to: u64) -> (Option<[u64; 2]>, Confidence) {
    (Some([from, to]), Confidence::Exact)
}

#[test]
fn concurrent_messages_of_different_size_are_told_apart() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.5, 110).delivered(s, 11.0, 2_010);
    t.message("large", Fine, 10.0, 20.0).bytes = Some(2_000);
    t.message("small", Fine, 10.1, 20.0).bytes = Some(100);
    assert_eq!(range(&t, "large"), exact(110, 2_120));
    assert_eq!(range(&t, "small"), exact(0, 110));
}

#[test]
fn concurrent_messages_of_equal_size_go_by_order_and_say_so() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.5, 110).delivered(s, 11.0, 110);
    for (bytes, expected) in [(Some(100), "equal sizes"), (None, "no sizes")] {
        t.messages.clear();
        t.message("a", Fine, 10.0, 20.0).bytes = bytes;
        t.message("b", Fine, 10.1, 20.0).bytes = bytes;
        assert_eq!(range(&t, "a"), (Some([0, 110]), Confidence::Overlap), "{expected}");
        assert_eq!(range(&t, "b"), (Some([110, 220]), Confidence::Overlap), "{expected}");
    }
}

#[test]
fn a_window_within_another_takes_what_the_outer_one_does_not_need() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.5, 100).delivered(s, 50.0, 70);
    t.message("outer", Fine, 10.0, 90.0);
    t.message("inner", Fine, 49.0, 51.0);
    assert_eq!(range(&t, "outer").0, Some([0, 100]));
    assert_eq!(range(&t, "inner").0, Some([100, 170]));
}

#[test]
fn what_cannot_be_told_apart_is_shared() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.5, 100).delivered(s, 11.0, 100).delivered(s, 12.0, 100);
    t.message("a", Fine, 10.0, 20.0);
    t.message("b", Fine, 10.1, 20.0);
    for id in ["a", "b"] {
        assert_eq!(range(&t, id), (Some([0, 300]), Confidence::Overlap));
    }
    assert!(t.unlogged().is_empty());
}

#[test]
fn concurrent_messages_on_two_flows_do_not_take_each_others_sends() {
    let mut t = Trace::new();
    let (a, b) = (t.socket(0), t.socket(1));
    t.lost(a, 10.5, 0, 108).send(a, 10.5, 108).close(a, 5_000.0);
    t.delivered(b, 11.0, 106);
    for bytes in [Some(100), None] {
        t.messages.clear();
        t.message("a", Fine, 10.0, 20.0).bytes = bytes;
        t.message("b", Fine, 10.1, 20.0).bytes = bytes;
        let (a, b) = (t.verdict_of("a"), t.verdict_of("b"));
        assert_eq!((a.verdict, &a.via[..]), (SilentLoss, &["first".to_owned()][..]), "{bytes:?}");
        assert_eq!((b.verdict, &b.via[..]), (Delivered, &["second".to_owned()][..]), "{bytes:?}");
    }
}

#[test]
fn a_second_try_is_not_starved_by_a_message_in_between() {
    let mut t = Trace::new();
    let (a, b) = (t.socket(0), t.socket(1));
    t.lost(a, 11.0, 0, 100).send(a, 11.0, 100).lost(a, 500.0, 100, 190).send(a, 500.0, 90);
    t.close(a, 4_000.0).delivered(b, 5_000.0, 100);
    t.message("outer", Fine, 10.0, 5_001.0).bytes = Some(98);
    t.message("inner", Fine, 499.0, 501.0).bytes = Some(88);
    assert_eq!(
        (t.verdict_of("outer").verdict, t.verdict_of("inner").verdict),
        (Rerouted, SilentLoss)
    );
}

#[test]
fn a_message_with_little_choice_goes_before_one_with_much() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 15.0, 108).delivered(s, 4_000.0, 108);
    t.message("outer", Fine, 1.0, 5_000.0).bytes = Some(100);
    t.message("inner", Fine, 10.0, 20.0).bytes = Some(100);
    assert_eq!(range(&t, "inner").0, Some([0, 108]));
    assert_eq!(range(&t, "outer").0, Some([108, 216]));
}
