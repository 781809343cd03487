//! Several messages at a time.

use fault_user::ledger::entry::What;
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

/// Two threads: the second had written when the first looked for the end of the stream.
#[test]
fn sends_that_overlap_share_their_range_and_say_so() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 50);
    t.tx(s, 20.0, 50, 250);
    t.push(
        s,
        20.1,
        What::Send {
            ret: 100,
            end_seq: 1_250,
            start_seq: None,
            layered: false,
            sender: None,
            sent: None,
            acked: None,
        },
    );
    t.push(
        s,
        20.2,
        What::Send {
            ret: 100,
            end_seq: 1_250,
            start_seq: None,
            layered: false,
            sender: None,
            sent: None,
            acked: None,
        },
    );
    t.message("before", Fine, 9.0, 11.0).bytes = Some(50);
    t.message("a", Fine, 19.0, 20.15).bytes = Some(100);
    t.message("b", Fine, 20.18, 21.0).bytes = Some(100);
    // Only the first of the two has arrived, and nobody knows which that is.
    t.ack(s, 21.0, 150).close(s, 900.0);
    assert_eq!(range(&t, "before"), exact(0, 50));
    for id in ["a", "b"] {
        assert_eq!(range(&t, id), (Some([50, 250]), Confidence::Overlap));
        let send = t.verdict_of(id);
        assert_eq!((send.verdict, send.bytes), (Unconfirmed, 100), "{send:#?}");
    }
}

/// Where the kernel tells them apart, and where one waited for room while the other wrote.
#[test]
fn sends_that_the_kernel_has_placed_are_exact_unless_others_are_in_between() {
    let mut t = Trace::new();
    let s = t.socket(0);
    let placed = |ret, start: u32, end: u32| What::Send {
        ret,
        end_seq: 1_000 + end,
        start_seq: Some(1_000 + start),
        layered: false,
        sender: None,
        sent: None,
        acked: None,
    };
    t.tx(s, 10.0, 0, 500);
    t.push(s, 10.1, placed(100, 100, 200));
    t.push(s, 10.2, placed(100, 0, 100));
    t.push(s, 20.1, placed(100, 250, 350));
    t.push(s, 20.2, placed(200, 200, 500));
    t.ack(s, 30.0, 500);
    t.message("second", Fine, 9.0, 10.15).bytes = Some(100);
    t.message("first", Fine, 10.18, 11.0).bytes = Some(100);
    t.message("within", Fine, 19.0, 20.15).bytes = Some(100);
    t.message("around", Fine, 20.18, 21.0).bytes = Some(200);
    assert_eq!(range(&t, "first"), exact(0, 100));
    assert_eq!(range(&t, "second"), exact(100, 200));
    assert_eq!(range(&t, "within"), exact(250, 350));
    assert_eq!(range(&t, "around"), (Some([200, 500]), Confidence::Overlap));
}

/// What an app writes under kTLS is shorter than what TCP sends of it.
#[test]
fn layers_below_the_app_make_ranges_longer_than_what_was_written() {
    let mut t = Trace::new();
    let s = t.socket(0);
    let send = |ret, end_seq| What::Send {
        ret,
        end_seq,
        start_seq: None,
        layered: true,
        sender: None,
        sent: None,
        acked: None,
    };
    t.tx(s, 10.0, 0, 122).push(s, 10.1, send(100, 1_122));
    t.tx(s, 20.0, 122, 244).push(s, 20.1, send(100, 1_244));
    t.ack(s, 21.0, 200).close(s, 900.0);
    t.message("a", Fine, 9.0, 11.0).bytes = Some(100);
    t.message("b", Fine, 19.0, 21.0).bytes = Some(100);
    let (a, b) = (t.verdict_of("a"), t.verdict_of("b"));
    assert_eq!((a.stream, a.bytes, a.verdict), (Some([0, 122]), 100, Delivered));
    assert_eq!((b.stream, b.bytes, b.verdict), (Some([122, 244]), 100, Unconfirmed));
    assert_eq!((a.confidence, b.confidence), (Confidence::Overlap, Confidence::Overlap));
}

#[test]
fn whoever_made_a_send_tells_of_it_also_on_another_apps_socket() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 100).sender(1).delivered(s, 20.0, 100).delivered(s, 30.0, 100);
    t.sender(None).delivered(s, 40.0, 100);
    t.message("mine", Fine, 9.0, 11.0);
    t.message("theirs", Fine, 19.0, 21.0).app = 1;
    t.message("mine again", Fine, 39.0, 41.0);
    for (id, app, from) in
        [("mine", "sender", 0), ("theirs", "receiver", 100), ("mine again", "sender", 300)]
    {
        let send = t.verdict_of(id);
        assert_eq!((send.app.as_str(), send.verdict), (app, Delivered), "{send:#?}");
        assert_eq!(send.stream, Some([from, from + 100]), "{send:#?}");
    }
    let rest = t.unlogged();
    assert_eq!(
        (rest.len(), rest[0].app.as_str(), rest[0].stream),
        (1, "receiver", Some([200, 300]))
    );
}
