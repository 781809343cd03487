//! Expectations about sends: how many fared how, and how long none got through.

use std::time::Duration;

use super::{Facts, Finding, ms, wanted};
use crate::report::model::SendReport;
use crate::report::words;
use crate::scenario::model::{AppId, Bounds};
use crate::verdict::{Outcome, Verdict};

/// Verdicts under which the peer's TCP has acknowledged the message, in time or not.
const GOT_THROUGH: [Verdict; 4] =
    [Verdict::Delivered, Verdict::Late, Verdict::Rerouted, Verdict::FalseFailure];

/// Number of sends with a verdict, those without an id included.
pub(super) fn verdict(
    facts: &Facts<'_>,
    verdict: Verdict,
    app: Option<AppId>,
    bounds: Bounds,
) -> Finding {
    let all: Vec<&SendReport> = facts.sends_of(app).collect();
    let mut finding = counted(&all, |send| send.verdict == verdict, verdict.name(), bounds);
    let unknown = all.iter().filter(|send| send.verdict == Verdict::Unknown).count() as u64;
    if verdict != Verdict::Unknown && unknown > 0 {
        // The count stands, but who reads it has to know that it may be too small.
        finding.observed += &format!(
            "; {} could not be judged (events were lost)",
            words::count(unknown, "more send")
        );
    }
    finding
}

/// Number of sends with an outcome. What no outcome line claims is neither ok nor failed.
pub(super) fn outcome(
    facts: &Facts<'_>,
    outcome: Outcome,
    app: Option<AppId>,
    bounds: Bounds,
) -> Finding {
    let all: Vec<&SendReport> =
        facts.sends_of(app).filter(|send| outcome == Outcome::None || send.id.is_some()).collect();
    let word = match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::None => "without outcome",
    };
    counted(&all, |send| send.outcome == outcome, word, bounds)
}

fn counted(
    all: &[&SendReport],
    hit: impl Fn(&SendReport) -> bool,
    word: &str,
    bounds: Bounds,
) -> Finding {
    let hits: Vec<&SendReport> = all.iter().copied().filter(|send| hit(send)).collect();
    let total = words::count(all.len() as u64, "send");
    let mut observed = format!("{} of {total} {word}", hits.len());
    if bounds.holds(hits.len() as f64) {
        return Finding::new(true, observed);
    }
    observed += &format!(" {}", wanted(bounds));
    // Too many: those are the ones to look at. Too few: the ones that went elsewhere.
    let too_few = bounds.at_least.is_some_and(|least| (hits.len() as f64) < least);
    if too_few {
        let others: Vec<&SendReport> = all.iter().copied().filter(|send| !hit(send)).collect();
        observed += &examples("; not so: ", &others, true);
    } else {
        observed += &examples(": ", &hits, false);
    }
    Finding::new(false, observed)
}

/// The first few by id; those without one as a number.
fn examples(lead: &str, sends: &[&SendReport], with_verdict: bool) -> String {
    let names: Vec<String> = sends
        .iter()
        .filter_map(|send| {
            let id = send.id.as_deref()?;
            Some(if with_verdict { format!("{id} {}", send.verdict.name()) } else { id.to_owned() })
        })
        .collect();
    let nameless = (sends.len() - names.len()) as u64;
    let mut parts = Vec::new();
    if !names.is_empty() {
        parts.push(words::first_few(names.iter().map(String::as_str)));
    }
    if nameless > 0 {
        parts.push(format!("{nameless} without id"));
    }
    if parts.is_empty() { String::new() } else { format!("{lead}{}", parts.join(", ")) }
}

/// Share of the sends with an id that the peer's TCP acknowledged.
pub(super) fn delivered_ratio(facts: &Facts<'_>, app: Option<AppId>, bounds: Bounds) -> Finding {
    let told: Vec<&SendReport> = facts.sends_of(app).filter(|send| send.id.is_some()).collect();
    if told.is_empty() {
        return Finding::no_evidence(
            "no send has an id: check [app.outcomes] against what the app writes",
        );
    }
    let lost: Vec<&SendReport> =
        told.iter().copied().filter(|send| !GOT_THROUGH.contains(&send.verdict)).collect();
    let through = told.len() - lost.len();
    let ratio = through as f64 / told.len() as f64;
    let mut observed =
        format!("{ratio:.3} ({through} of {})", words::count(told.len() as u64, "send"));
    let held = bounds.holds(ratio);
    if !held {
        observed += &format!(" {}", wanted(bounds));
        observed += &examples("; not delivered: ", &lost, true);
    }
    Finding::new(held, observed)
}

/// The longest time without a send that got through, from t = 0 to the end of the senders.
///
/// Only sends with an id count, for acknowledged keepalives deliver nothing; without any id
/// every acknowledged send counts.
pub(super) fn max_gap(facts: &Facts<'_>, app: Option<AppId>, at_most: Duration) -> Finding {
    let all: Vec<&SendReport> = facts.sends_of(app).collect();
    let with_ids = all.iter().any(|send| send.id.is_some());
    let counted: Vec<&SendReport> =
        all.into_iter().filter(|send| !with_ids || send.id.is_some()).collect();
    let acks = ack_times(&counted);
    let (from, to) = longest_gap(&acks, end_of_senders(facts, app, &counted));
    let gap = to - from;
    let mut observed =
        format!("{} (from {} to {})", words::time(gap), words::time(from), words::time(to));
    let delivered = acks.len() as u64;
    observed += &match (delivered, with_ids) {
        (0, _) => "; no send was delivered".to_owned(),
        (n, true) => format!("; {} delivered", words::count(n, "send")),
        (n, false) => format!("; no send has an id, so every acknowledged one counted ({n})"),
    };
    let held = gap <= ms(at_most);
    if !held {
        observed += &format!(" (expected at most {})", words::time(ms(at_most)));
    }
    Finding::new(held, observed)
}

/// When deliveries happened, in order; what was acknowledged before t = 0 bounds no gap.
fn ack_times(sends: &[&SendReport]) -> Vec<f64> {
    let mut acks: Vec<f64> =
        sends.iter().filter_map(|send| send.acked_ms).filter(|ms| *ms >= 0.0).collect();
    acks.sort_by(f64::total_cmp);
    acks
}

/// After an app has exited nobody waits for its sends. Apps that never send (a receiver that runs
/// to the end) do not prolong the time that is judged.
fn end_of_senders(facts: &Facts<'_>, app: Option<AppId>, counted: &[&SendReport]) -> f64 {
    let concerned = |id: usize, name: &str| match app {
        Some(app) => app.0 == id,
        None => counted.is_empty() || counted.iter().any(|send| send.app == name),
    };
    facts
        .apps
        .iter()
        .enumerate()
        .filter(|(id, app)| concerned(*id, &app.name))
        .map(|(_, app)| app.exited_ms.unwrap_or(facts.duration_ms))
        .reduce(f64::max)
        .unwrap_or(facts.duration_ms)
}

/// Begin and end of the longest stretch between t = 0, the `acks` (in order) and `end`.
fn longest_gap(acks: &[f64], end: f64) -> (f64, f64) {
    let mut longest = (0.0, 0.0);
    let mut last = 0.0;
    for &at in acks.iter().chain([&end]) {
        if at - last > longest.1 - longest.0 {
            longest = (last, at);
        }
        last = at;
    }
    longest
}

#[cfg(test)]
#[path = "sends_tests.rs"]
mod tests;
