use super::super::testing::*;
use super::*;

fn mixed() -> Run {
    Run::new().sends([
        send("m1", Verdict::Delivered),
        send("m2", Verdict::SilentLoss),
        send("m3", Verdict::FalseFailure),
        send("", Verdict::Unlogged),
    ])
}

#[test]
fn verdicts_are_counted_over_all_sends() {
    let run = mixed();
    let judged = |v, bounds| verdict(&run.facts(), v, None, bounds);
    assert_held(&judged(Verdict::Late, at_most(0.0)), "0 of 4 sends late");
    assert_held(&judged(Verdict::Unlogged, at_least(1.0)), "1 of 4 sends unlogged");
    assert_failed(
        &judged(Verdict::SilentLoss, at_most(0.0)),
        "1 of 4 sends silent_loss (expected at most 0): m2",
    );
    assert_failed(
        &judged(Verdict::Delivered, at_least(2.0)),
        "1 of 4 sends delivered (expected at least 2); not so: m2 silent_loss, m3 false_failure, 1 without id",
    );
}

#[test]
fn an_app_narrows_the_sends() {
    let mut run = mixed();
    run.sends[1].app = "receiver".to_owned();
    let judged = |app| verdict(&run.facts(), Verdict::SilentLoss, Some(app), at_most(0.0));
    assert_held(&judged(SENDER), "0 of 3 sends silent_loss");
    assert_failed(&judged(RECEIVER), "1 of 1 send silent_loss (expected at most 0): m2");
}

#[test]
fn many_ids_are_cut_to_the_first_few() {
    let run = Run::new().sends((0..9).map(|i| send(&format!("m{i}"), Verdict::Late)));
    let found = verdict(&run.facts(), Verdict::Late, None, at_most(0.0));
    assert_failed(&found, "9 of 9 sends late (expected at most 0): m0, m1, m2, m3, m4 and 4 more");
}

#[test]
fn sends_that_could_not_be_judged_are_named() {
    let run = Run::new().sends([send("m1", Verdict::Unknown)]);
    let found = verdict(&run.facts(), Verdict::SilentLoss, None, at_most(0.0));
    assert_held(
        &found,
        "0 of 1 send silent_loss; 1 more send could not be judged (events were lost)",
    );
    let found = verdict(&run.facts(), Verdict::Unknown, None, at_most(0.0));
    assert_failed(&found, "1 of 1 send unknown (expected at most 0): m1");
}

#[test]
fn outcomes_ok_and_failed_need_an_id_and_none_does_not() {
    let run = mixed();
    let judged = |o, bounds| outcome(&run.facts(), o, None, bounds);
    assert_held(&judged(Outcome::Ok, at_least(2.0)), "2 of 3 sends ok");
    assert_failed(
        &judged(Outcome::Failed, at_most(0.0)),
        "1 of 3 sends failed (expected at most 0): m3",
    );
    assert_held(&judged(Outcome::None, at_most(1.0)), "1 of 4 sends without outcome");
    assert_failed(
        &judged(Outcome::None, at_most(0.0)),
        "1 of 4 sends without outcome (expected at most 0): 1 without id",
    );
}

#[test]
fn a_false_failure_was_delivered_and_an_unlogged_send_does_not_count() {
    let run = mixed();
    let judged = |bounds| delivered_ratio(&run.facts(), None, bounds);
    assert_held(&judged(at_least(0.6)), "0.667 (2 of 3 sends)");
    assert_failed(
        &judged(at_least(0.9)),
        "0.667 (2 of 3 sends) (expected at least 0.900); not delivered: m2 silent_loss",
    );
}

#[test]
fn every_verdict_that_got_through_counts_for_the_ratio() {
    for v in Verdict::ALL {
        let run = Run::new().sends([SendReport { id: Some("m".to_owned()), ..send("m", v) }]);
        let through = matches!(
            v,
            Verdict::Delivered | Verdict::Late | Verdict::Rerouted | Verdict::FalseFailure
        );
        assert_eq!(delivered_ratio(&run.facts(), None, at_least(1.0)).held, through, "{v:?}");
    }
}

#[test]
fn without_ids_there_is_no_ratio() {
    let run = Run::new().sends([send("", Verdict::Unlogged)]);
    assert!(!delivered_ratio(&run.facts(), None, at_most(1.0)).held);
}

#[test]
fn the_gap_reaches_from_ack_to_ack() {
    let run =
        Run::new().sends([acked("m3", 60_000.0), acked("m1", 1_000.0), acked("m2", 31_000.0)]);
    let judged = |limit| max_gap(&run.facts(), None, secs(limit));
    assert_held(&judged(30), "30.0 s (from 1.0 s to 31.0 s); 3 sends delivered");
    assert_failed(
        &judged(29),
        "30.0 s (from 1.0 s to 31.0 s); 3 sends delivered (expected at most 29.0 s)",
    );
}

#[test]
fn the_gap_begins_at_zero_and_ends_with_the_sender() {
    // The sender exits at 90 s, the receiver (which sends nothing) runs to the end at 100 s.
    let late_start = Run::new().sends([acked("m1", 50_000.0)]);
    assert_held(
        &max_gap(&late_start.facts(), Some(SENDER), secs(50)),
        "50.0 s (from 0 ms to 50.0 s); 1 send delivered",
    );
    let early_end = Run::new().sends([acked("m1", 40_000.0)]);
    assert_failed(
        &max_gap(&early_end.facts(), None, secs(40)),
        "50.0 s (from 40.0 s to 90.0 s); 1 send delivered (expected at most 40.0 s)",
    );
}

#[test]
fn nothing_delivered_is_one_gap_and_an_ack_after_the_exit_is_no_negative_one() {
    let nothing = Run::new().sends([send("m1", Verdict::SilentLoss)]);
    assert_failed(
        &max_gap(&nothing.facts(), None, secs(80)),
        "90.0 s (from 0 ms to 90.0 s); no send was delivered (expected at most 80.0 s)",
    );
    let after_exit = Run::new().sends([acked("m1", 45_000.0), acked("m2", 91_000.0)]);
    assert_held(
        &max_gap(&after_exit.facts(), None, secs(46)),
        "46.0 s (from 45.0 s to 91.0 s); 2 sends delivered",
    );
}

#[test]
fn keepalives_do_not_fill_a_gap_between_messages() {
    let keepalive = SendReport { acked_ms: Some(45_000.0), ..send("", Verdict::Unlogged) };
    let with_ids = Run::new().sends([acked("m1", 10_000.0), keepalive.clone()]);
    assert!(!max_gap(&with_ids.facts(), None, secs(50)).held);
    let without_ids = Run::new().sends([keepalive]);
    assert_held(
        &max_gap(&without_ids.facts(), None, secs(50)),
        "45.0 s (from 0 ms to 45.0 s); no send has an id, so every acknowledged one counted (1)",
    );
}

#[test]
fn an_ack_from_before_the_run_does_not_lengthen_the_first_gap() {
    let run = Run::new().sends([acked("m0", -5_000.0), acked("m1", 60_000.0)]);
    assert_held(
        &max_gap(&run.facts(), None, secs(60)),
        "60.0 s (from 0 ms to 60.0 s); 1 send delivered",
    );
}
