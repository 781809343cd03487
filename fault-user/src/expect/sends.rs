//! Expectations about sends: how many fared how, and how long none got through.

use std::time::Duration;

use super::tally::Class;
use super::{Facts, Finding, ms, wanted};
#[cfg(test)]
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
    let mut finding =
        counted(facts, app, |_| true, |c| c.verdict == verdict, (verdict.name(), bounds));
    let unknown = facts.sends.count(facts.name(app), |c| c.verdict == Verdict::Unknown);
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
    let told = |class: &Class| outcome == Outcome::None || class.has_id;
    let word = match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::None => "without outcome",
    };
    counted(facts, app, told, |c| c.outcome == outcome, (word, bounds))
}

/// Of the sends that are meant, how many are hits.
fn counted(
    facts: &Facts<'_>,
    app: Option<AppId>,
    meant: impl Fn(&Class) -> bool,
    hit: impl Fn(&Class) -> bool,
    (word, bounds): (&str, Bounds),
) -> Finding {
    let name = facts.name(app);
    let hits = facts.sends.count(name, |c| meant(c) && hit(c));
    let total = words::count(facts.sends.count(name, &meant), "send");
    let mut observed = format!("{hits} of {total} {word}");
    if bounds.holds(hits as f64) {
        return Finding::new(true, observed);
    }
    observed += &format!(" {}", wanted(bounds));
    // Too many: those are the ones to look at. Too few: the ones that went elsewhere.
    let too_few = bounds.at_least.is_some_and(|least| (hits as f64) < least);
    observed += &if too_few {
        examples(facts, app, ("; not so: ", true), |c| meant(c) && !hit(c))
    } else {
        examples(facts, app, (": ", false), |c| meant(c) && hit(c))
    };
    Finding::new(false, observed)
}

/// The first few by id; those without one as a number.
fn examples(
    facts: &Facts<'_>,
    app: Option<AppId>,
    (lead, with_verdict): (&str, bool),
    of: impl Fn(&Class) -> bool,
) -> String {
    let name = facts.name(app);
    let first = facts.sends.first(name, &of).into_iter().map(|(id, verdict)| match with_verdict {
        true => format!("{id} {}", verdict.name()),
        false => id.to_owned(),
    });
    let names: Vec<String> = first.collect();
    let named = facts.sends.count(name, |c| c.has_id && of(c));
    let nameless = facts.sends.count(name, |c| !c.has_id && of(c));
    let mut parts = Vec::new();
    if named > 0 {
        parts.push(words::first_few_of(names.iter().map(String::as_str), named));
    }
    if nameless > 0 {
        parts.push(format!("{nameless} without id"));
    }
    if parts.is_empty() { String::new() } else { format!("{lead}{}", parts.join(", ")) }
}

/// Share of the sends with an id that the peer's TCP acknowledged.
pub(super) fn delivered_ratio(facts: &Facts<'_>, app: Option<AppId>, bounds: Bounds) -> Finding {
    let lost = |c: &Class| c.has_id && !GOT_THROUGH.contains(&c.verdict);
    let told = facts.sends.count(facts.name(app), |c| c.has_id);
    if told == 0 {
        return Finding::no_evidence(
            "no send has an id: check [app.outcomes] against what the app writes",
        );
    }
    let through = told - facts.sends.count(facts.name(app), lost);
    let ratio = through as f64 / told as f64;
    let mut observed = format!("{ratio:.3} ({through} of {})", words::count(told, "send"));
    let held = bounds.holds(ratio);
    if !held {
        observed += &format!(" {}", wanted(bounds));
        observed += &examples(facts, app, ("; not delivered: ", true), lost);
    }
    Finding::new(held, observed)
}

/// The longest time without a send that got through, from t = 0 to the end of the senders.
///
/// Only sends with an id count, for acknowledged keepalives deliver nothing; without any id
/// every acknowledged send counts.
pub(super) fn max_gap(facts: &Facts<'_>, app: Option<AppId>, at_most: Duration) -> Finding {
    let with_ids = facts.sends.count(facts.name(app), |c| c.has_id) > 0;
    let acks = facts.sends.acks(facts.name(app), with_ids);
    let (from, to) = longest_gap(&acks, end_of_senders(facts, app, with_ids));
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

/// After an app has exited nobody waits for its sends. Apps that never send (a receiver that runs
/// to the end) do not prolong the time that is judged.
fn end_of_senders(facts: &Facts<'_>, app: Option<AppId>, with_ids: bool) -> f64 {
    let counted = facts.sends.apps(|c| c.has_id || !with_ids);
    let concerned = |id: usize, name: &str| match app {
        Some(app) => app.0 == id,
        None => counted.is_empty() || counted.contains(name),
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
