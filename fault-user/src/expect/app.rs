//! Expectations about apps: what they wrote, and how they ended.

use std::time::Duration;

use regex::Regex;

use super::{AppFacts, Facts, Finding, ms};
use crate::report::model::ExpectationReport;
use crate::report::words;
use crate::scenario::model::{AppId, Expect, ExpectWhat, StepId};

/// A matching line appears after the step, or (with no step) anywhere in the output, the part
/// before t = 0 included; `within` counts from the step or from t = 0.
pub(super) fn log(
    facts: &Facts<'_>,
    pattern: &Regex,
    app: Option<AppId>,
    within: Option<Duration>,
    of_step: Option<StepId>,
) -> Finding {
    let (since, from_ms, origin_ms) = match of_step.map(|step| facts.armed(step)) {
        Some(Ok((step, armed_ms))) => (format!(" after step {step:?}"), armed_ms, armed_ms),
        Some(Err(finding)) => return finding,
        None => (String::new(), f64::NEG_INFINITY, 0.0),
    };
    let Some((at_ms, line)) = facts.log.first_match(pattern, app, from_ms) else {
        return Finding::new(false, no_line(facts, pattern, app, &since));
    };
    let took = at_ms - origin_ms;
    let late = within.map(ms).filter(|limit| took > *limit);
    let mut observed = format!("at {}", words::time(at_ms));
    if of_step.is_some() {
        observed += &format!(", {}{since}", words::time(took));
    }
    if let Some(limit) = late {
        observed += &format!(" (expected within {})", words::time(limit));
    }
    observed += &format!(": {}", words::shorten(&words::visible(&line), 120));
    Finding::new(late.is_none(), observed)
}

/// A line that came too early is the usual reason why none came after the step: say so.
fn no_line(facts: &Facts<'_>, pattern: &Regex, app: Option<AppId>, since: &str) -> String {
    let earlier = facts.log.first_match(pattern, app, f64::NEG_INFINITY);
    let of = match app {
        Some(app) => format!(" of {}", facts.apps[app.0].name),
        None => String::new(),
    };
    match earlier {
        Some((at_ms, _)) => {
            format!("no line{of} matched{since}, only before it (first at {})", words::time(at_ms))
        }
        None => format!("no line{of} matched"),
    }
}

/// The app's exit status.
pub(super) fn exit(facts: &Facts<'_>, app: AppId, code: i32) -> Finding {
    let app = &facts.apps[app.0];
    match app.exit_code {
        Some(found) => Finding::new(found == code, ending(app)),
        None => Finding::no_evidence(format!("did not exit by itself: {}", app.status)),
    }
}

fn ending(app: &AppFacts) -> String {
    match app.exited_ms {
        Some(at) => format!("{} at {}", app.status, words::time(at)),
        None => app.status.clone(),
    }
}

/// What the contract expects without being told: an app that ends of its own accord ends well,
/// unless an `exit` entry speaks about it.
pub(super) fn implied(expects: &[Expect], apps: &[AppFacts]) -> Vec<ExpectationReport> {
    let spoken_of = |id: usize| {
        let about = |e: &Expect| matches!(e.what, ExpectWhat::Exit { app, .. } if app.0 == id);
        expects.iter().any(about)
    };
    apps.iter()
        .enumerate()
        .filter(|(_, app)| app.exited_ms.is_some() && !app.asked_to_end && app.exit_code != Some(0))
        .filter(|(id, _)| !spoken_of(*id))
        .map(|(_, app)| ExpectationReport {
            text: format!("app {} does not fail (implied: no [[expect]] names its exit)", app.name),
            held: false,
            observed: ending(app),
        })
        .collect()
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
