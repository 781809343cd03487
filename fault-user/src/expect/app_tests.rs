use super::super::testing::*;
use super::super::{LogSearch, evaluate};
use super::*;

/// Armed at 10 s.
const OUTAGE: StepId = StepId(0);
const NEVER: StepId = StepId(1);

fn hello() -> Regex {
    Regex::new("hel+o").unwrap()
}

fn written() -> Run {
    Run::new()
        .line(RECEIVER, 15_000.0, "hello \x1b[31mworld")
        .line(SENDER, 12_000.0, "say hello")
        .line(SENDER, -500.0, "hello there")
}

fn after_outage(run: &Run, app: Option<AppId>, within: Option<u64>) -> Finding {
    log(&run.facts(), &hello(), app, within.map(secs), Some(OUTAGE))
}

#[test]
fn a_line_within_its_time_after_the_step_holds() {
    let run = written();
    let any = after_outage(&run, None, Some(2));
    assert_held(&any, "at 12.0 s, 2.0 s after step \"outage\": say hello");
    let unlimited = after_outage(&run, Some(RECEIVER), None);
    assert_held(&unlimited, "at 15.0 s, 5.0 s after step \"outage\": hello \\u{1b}[31mworld");
}

#[test]
fn a_line_that_is_late_or_of_another_app_does_not_hold() {
    let run = written();
    assert_failed(
        &after_outage(&run, Some(RECEIVER), Some(4)),
        "at 15.0 s, 5.0 s after step \"outage\" (expected within 4.0 s): hello \\u{1b}[31mworld",
    );
    let mut run = written();
    run.log.remove(0);
    assert_failed(&after_outage(&run, Some(RECEIVER), None), "no line of receiver matched");
}

#[test]
fn a_line_from_before_the_step_does_not_hold_and_is_mentioned() {
    let run = Run::new().line(SENDER, 9_000.0, "hello");
    assert_failed(
        &after_outage(&run, None, Some(10)),
        "no line matched after step \"outage\", only before it (first at 9.0 s)",
    );
}

#[test]
fn without_a_step_the_whole_output_counts() {
    let run = written();
    let judged = |within: Option<u64>| log(&run.facts(), &hello(), None, within.map(secs), None);
    assert_held(&judged(None), "at -500 ms: hello there");
    assert_held(&judged(Some(0)), "at -500 ms: hello there");
    let receiver = |within| log(&run.facts(), &hello(), Some(RECEIVER), Some(secs(within)), None);
    assert_held(&receiver(15), "at 15.0 s: hello \\u{1b}[31mworld");
    assert_failed(&receiver(14), "at 15.0 s (expected within 14.0 s): hello \\u{1b}[31mworld");
}

#[test]
fn a_step_that_never_happened_has_no_lines_after_it() {
    let found = log(&written().facts(), &hello(), None, None, Some(NEVER));
    assert_failed(&found, "step \"recovery\" never happened");
}

#[test]
fn the_search_takes_the_earliest_line_whatever_the_order_of_recording() {
    let run = written();
    let first = run.log.first_match(&hello(), None, 0.0);
    assert_eq!(first, Some((12_000.0, "say hello".to_owned())));
    assert_eq!(run.log.first_match(&hello(), None, 15_000.1), None);
}

#[test]
fn the_exit_status_has_to_be_the_one_named() {
    let run = Run::new();
    assert_held(&exit(&run.facts(), SENDER, 0), "exit 0 at 90.0 s");
    assert_failed(&exit(&run.facts(), SENDER, 3), "exit 0 at 90.0 s");
    assert_failed(&exit(&run.facts(), RECEIVER, 0), "did not exit by itself: running");
}

fn exits_with(app: AppId, code: i32) -> Expect {
    Expect { what: ExpectWhat::Exit { app, code }, text: format!("exit {code}") }
}

#[test]
fn an_app_that_fails_unasked_fails_the_run_unless_its_exit_is_spoken_about() {
    let mut run = Run::new();
    run.apps[0] = app("sender", Some(3), Some(90_000.0));
    let unspoken = evaluate(&[], &run.facts());
    assert_eq!(unspoken.len(), 1);
    assert!(!unspoken[0].held && unspoken[0].text.starts_with("app sender does not fail"));
    assert_eq!(unspoken[0].observed, "exit 3 at 90.0 s");

    let about_another = evaluate(&[exits_with(RECEIVER, 0)], &run.facts());
    assert_eq!(about_another.len(), 2);

    let spoken = evaluate(&[exits_with(SENDER, 3)], &run.facts());
    assert_eq!(spoken.len(), 1);
    assert!(spoken[0].held, "{spoken:?}");
}

#[test]
fn an_app_that_was_told_to_end_may_end_as_it_likes() {
    let mut run = Run::new();
    run.apps[0] = AppFacts { asked_to_end: true, ..app("sender", Some(143), Some(90_000.0)) };
    assert!(evaluate(&[], &run.facts()).is_empty());
    run.apps[0].asked_to_end = false;
    assert_eq!(evaluate(&[], &run.facts()).len(), 1);
}

#[test]
fn a_crash_is_a_failure_too() {
    let mut run = Run::new();
    run.apps[0] = AppFacts {
        status: "signal 11 (SIGSEGV)".to_owned(),
        ..app("sender", None, Some(90_000.0))
    };
    let found = evaluate(&[], &run.facts());
    assert_eq!(found[0].observed, "signal 11 (SIGSEGV) at 90.0 s");
}

#[test]
fn expectations_come_in_the_order_of_the_file() {
    let found = evaluate(&[exits_with(SENDER, 1), exits_with(SENDER, 0)], &Run::new().facts());
    let seen: Vec<(&str, bool)> = found.iter().map(|e| (e.text.as_str(), e.held)).collect();
    assert_eq!(seen, [("exit 1", false), ("exit 0", true)]);
}
