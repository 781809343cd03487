//! Which send calls are whose.

use fault_user::verdict::Confidence;
use fault_user::verdict::Outcome::{Failed, Ok as Fine};
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
fn one_message_may_take_several_calls() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 14).delivered(s, 10.2, 86).delivered(s, 30.0, 50);
    t.message("a", Fine, 10.0, 11.0);
    t.message("b", Fine, 30.0, 31.0);
    assert_eq!(range(&t, "a"), exact(0, 100));
    assert_eq!(range(&t, "b"), exact(100, 150));
    assert!(t.unlogged().is_empty());
}

#[test]
fn clocks_may_differ_a_little_but_the_containing_window_goes_first() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 9.85, 10).delivered(s, 20.0, 20).delivered(s, 30.3, 30);
    t.message("a", Fine, 10.0, 19.95);
    t.message("b", Fine, 19.98, 30.0);
    assert_eq!(range(&t, "a"), exact(0, 10));
    assert_eq!(range(&t, "b"), exact(10, 30));
    assert_eq!(t.unlogged().len(), 1, "0.3 ms after the end is nobody's");
}

#[test]
fn rounded_times_get_the_slack_of_their_rounding() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 9.2, 10);
    t.message("a", Fine, 10.0, 12.0).resolution = 1_000_000;
    assert_eq!(range(&t, "a"), exact(0, 10));
    t.messages[0].resolution = 0;
    assert_eq!(range(&t, "a").1, Confidence::Overlap, "without it, it is a guess");
}

#[test]
fn size_tells_a_message_from_keepalives_around_it() {
    let mut t = Trace::new();
    let (s, other) = (t.socket(0), t.socket(1));
    t.delivered(s, 10.0, 6).delivered(s, 10.1, 108).delivered(s, 10.2, 6).delivered(other, 10.3, 6);
    t.message("a", Fine, 10.0, 11.0).bytes = Some(100);
    assert_eq!(range(&t, "a"), exact(6, 114));
    assert_eq!(t.verdict_of("a").via, ["first"]);
    assert_eq!(t.unlogged().len(), 3);
}

#[test]
fn size_adds_up_over_calls_and_eagain_is_no_boundary() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 6).delivered(s, 10.1, 60).failed_send(s, 10.15, libc::EAGAIN);
    t.delivered(s, 10.2, 50);
    t.message("a", Fine, 10.0, 11.0).bytes = Some(100);
    assert_eq!(range(&t, "a"), exact(6, 116));
}

#[test]
fn an_unrelated_large_send_elsewhere_is_foreign() {
    let mut t = Trace::new();
    let (s, other) = (t.socket(0), t.socket(1));
    t.lost(s, 10.0, 0, 108).send(s, 10.0, 108).close(s, 5_000.0);
    t.delivered(other, 10.3, 4_000);
    t.message("a", Fine, 10.0, 11.0).bytes = Some(100);
    let send = t.verdict_of("a");
    assert_eq!((send.verdict, &send.via[..]), (SilentLoss, &["first".to_owned()][..]));
    t.messages[0].bytes = None;
    assert_eq!(t.verdict_of("a").via, ["second"], "without a size the largest is the message's");
}

#[test]
fn an_error_cuts_a_message_off() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 40).failed_send(s, 10.5, libc::ECONNRESET).close(s, 11.0);
    t.message("a", Failed, 10.0, 11.0).bytes = Some(100);
    let send = t.verdict_of("a");
    assert_eq!((send.verdict, send.bytes, send.acked_ms), (CleanFailure, 40, None));
    assert!(send.why.starts_with("only 40 bytes of it were written"), "{}", send.why);
    t.messages[0].bytes = None;
    assert_eq!(t.verdict_of("a").verdict, CleanFailure);
}

#[test]
fn smaller_sends_are_not_taken_and_the_warning_says_so() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 6);
    t.message("a", Fine, 10.0, 11.0).bytes = Some(100);
    let result = t.run();
    assert!(result.warnings[0].contains("1 other sends in its time"), "{:?}", result.warnings);
}

#[test]
fn trailing_keepalives_are_known_by_their_size() {
    let mut t = Trace::new();
    let (s, other) = (t.socket(0), t.socket(1));
    t.delivered(s, 5.0, 6).delivered(other, 5.0, 6);
    t.delivered(s, 10.0, 50).delivered(s, 10.2, 6).delivered(other, 10.3, 6);
    t.message("a", Fine, 10.0, 11.0);
    assert_eq!(range(&t, "a"), exact(6, 56));
    assert_eq!(t.verdict_of("a").via, ["first"]);
    assert_eq!(t.unlogged().len(), 4);
}

#[test]
fn a_message_of_the_size_of_a_keepalive_is_still_a_message() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 5.0, 6).delivered(s, 10.0, 6);
    t.message("a", Fine, 10.0, 11.0);
    assert_eq!(range(&t, "a"), exact(6, 12));
}

#[test]
fn unclaimed_sends_close_together_are_one_entry() {
    let mut t = Trace::new();
    let s = t.socket(None);
    t.delivered(s, 10.0, 10).delivered(s, 10.5, 20).delivered(s, 30.0, 40);
    let entries = t.unlogged();
    let ranges: Vec<_> = entries.iter().map(|e| e.stream).collect();
    assert_eq!(ranges, [Some([0, 30]), Some([30, 70])]);
    assert_eq!((entries[0].flow.as_deref(), entries[0].verdict), (Some("sender/1"), Unlogged));
    assert_eq!((entries[0].started_ms, entries[0].acked_ms), (10.01, Some(11.5)));
}

#[test]
fn the_sends_of_other_apps_are_not_candidates() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 10);
    t.message("a", Failed, 9.0, 11.0).app = 1;
    assert_eq!(t.verdict_of("a").verdict, CleanFailure);
    assert_eq!(t.verdict_of("a").app, "receiver");
    assert_eq!(t.unlogged().len(), 1);
}

#[test]
fn without_times_of_the_app_lateness_counts_from_the_send() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 5_000.0, 10);
    t.message("a", Fine, 10.0, 5_001.0);
    assert_eq!(t.verdict_of("a").verdict, Late);
    t.messages[0].timing_given = false;
    assert_eq!(t.verdict_of("a").verdict, Delivered);
}

#[test]
fn a_send_just_outside_is_the_messages_unless_someone_wants_it() {
    for at in [-40.0, 40.0] {
        let mut t = Trace::new();
        let s = t.socket(0);
        t.delivered(s, 100.0 + at, 108);
        t.message("a", Fine, 100.0, 101.0).bytes = Some(100);
        assert_eq!(range(&t, "a"), (Some([0, 108]), Confidence::Overlap), "{at}");
        t.messages[0].bytes = Some(200);
        assert_eq!(range(&t, "a").0, None, "too small for it");
        t.messages[0].bytes = None;
        assert_eq!(range(&t, "a").0, Some([0, 108]), "{at}");
        t.delivered(s, 9_000.0, 108).delivered(s, 9_100.0, 108);
        assert_eq!(range(&t, "a").0, None, "of a size that is sent all the time");
        t.messages[0].bytes = Some(100);
        t.message("b", Fine, 99.9 + at, 100.5 + at);
        assert_eq!(range(&t, "b"), exact(0, 108));
        assert_eq!(range(&t, "a").0, None, "b has a better claim");
    }
}

/// A blocking app without sizes that is preempted before each line: its windows begin after the
/// sends that they are about, and the next send follows each line at once.
#[test]
fn a_late_line_does_not_take_the_send_that_follows_it() {
    for preempted in [0.12, 0.3, 2.0] {
        let mut t = Trace::new();
        let s = t.socket(0);
        for n in 0..4 {
            let begun = 100.0 + 250.0 * f64::from(n);
            t.delivered(s, begun, 108);
            let line = begun + 249.9;
            t.message(&n.to_string(), Failed, begun + preempted, line);
        }
        for n in 0..4_u64 {
            assert_eq!(range(&t, &n.to_string()).0, Some([108 * n, 108 * (n + 1)]), "{preempted}");
        }
        assert!(t.unlogged().is_empty());
    }
}

#[test]
fn a_send_far_outside_is_not_taken() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 40.0, 108).delivered(s, 160.0, 108);
    t.message("a", Fine, 100.0, 101.0).bytes = Some(100);
    assert_eq!(t.verdict_of("a").verdict, Unknown, "nor is it proof that nothing was sent");
    assert_eq!(t.unlogged().len(), 2);
}

#[test]
fn a_call_that_fails_after_the_message_does_not_make_it_a_loss() {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.delivered(s, 10.0, 108).failed_send(s, 12.0, libc::EPIPE).close(s, 12.1);
    t.message("a", Fine, 10.0, 13.0);
    assert_eq!(t.verdict_of("a").verdict, Delivered);
    t.messages[0].outcome = Failed;
    assert_eq!(t.verdict_of("a").verdict, CleanFailure, "its own word is that it failed");
}
