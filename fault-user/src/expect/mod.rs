//! Expectations: what a scenario demands beside what the run observed.
//!
//! Pure: everything it judges stands in [`Facts`]. An expectation that cannot be judged (a step
//! that never happened, a flow that never appeared, an app that did not exit) does not hold, and
//! says why: no evidence is no success.

mod app;
mod network;
mod sends;
mod tally;
#[cfg(test)]
mod testing;

use std::time::Duration;

use regex::Regex;

use crate::report::model::{ExpectationReport, FlowReport, StepReport};
use crate::report::words;
use crate::scenario::model::{AppId, Bounds, Expect, ExpectWhat, StepId};

pub use tally::Tally;

/// What a finished run knows. All times are milliseconds since t = 0 of the run.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// By `AppId`.
    pub apps: &'a [AppFacts],
    /// Names of the scenario's flows, by `FlowId`.
    pub flow_names: &'a [String],
    /// Every socket of the report; those of a `[[flow]]` bear its name and are `selected`.
    pub flows: &'a [FlowReport],
    /// By `StepId`: one per step of the scenario, also of those that never happened.
    pub steps: &'a [StepReport],
    /// Sends of all apps, those without an id too.
    pub sends: &'a Tally,
    /// End of the run.
    pub duration_ms: f64,
    /// What the apps wrote.
    pub log: &'a dyn LogSearch,
}

/// What became of one app.
#[derive(Debug, Clone, PartialEq)]
pub struct AppFacts {
    /// Its name in the scenario.
    pub name: String,
    /// Its exit status; `None` while it runs, and when a signal ended it.
    pub exit_code: Option<i32>,
    /// When it ended, however it did.
    pub exited_ms: Option<f64>,
    /// Whether the run or one of its steps told it to end.
    pub asked_to_end: bool,
    /// How it ended in words, as in the report: `exit 0`, `signal 9 (SIGKILL)`, `running`, ...
    pub status: String,
}

/// The output of the apps, to be searched.
pub trait LogSearch {
    /// The earliest line not before `from_ms` that matches, of `app` or (with `None`) of any:
    /// when it was written and the line. Lines from before t = 0 have negative times.
    fn first_match(
        &self,
        pattern: &Regex,
        app: Option<AppId>,
        from_ms: f64,
    ) -> Option<(f64, String)>;
}

/// One line that an app wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// Who wrote it.
    pub app: AppId,
    /// When, in milliseconds since t = 0.
    pub t_ms: f64,
    /// Without its line end.
    pub line: String,
}

impl LogSearch for Vec<LogLine> {
    fn first_match(
        &self,
        pattern: &Regex,
        app: Option<AppId>,
        from_ms: f64,
    ) -> Option<(f64, String)> {
        self.iter()
            .filter(|l| {
                l.t_ms >= from_ms && app.is_none_or(|app| l.app == app) && pattern.is_match(&l.line)
            })
            // Lines of several apps need not be recorded in the order of their times.
            .min_by(|a, b| a.t_ms.total_cmp(&b.t_ms))
            .map(|l| (l.t_ms, l.line.clone()))
    }
}

/// Judges every expectation, in the order of the file.
///
/// After them comes one that did not hold for each app that ended badly of its own accord and
/// whose exit no entry of the file speaks about (contract, section 2).
pub fn evaluate(expects: &[Expect], facts: &Facts<'_>) -> Vec<ExpectationReport> {
    let written = expects.iter().map(|expect| {
        let found = judge(&expect.what, facts);
        ExpectationReport { text: expect.text.clone(), held: found.held, observed: found.observed }
    });
    written.chain(app::implied(expects, facts.apps)).collect()
}

fn judge(what: &ExpectWhat, facts: &Facts<'_>) -> Finding {
    match what {
        ExpectWhat::Verdict { verdict, app, bounds } => {
            sends::verdict(facts, *verdict, *app, *bounds)
        }
        ExpectWhat::Outcome { outcome, app, bounds } => {
            sends::outcome(facts, *outcome, *app, *bounds)
        }
        ExpectWhat::DeliveredRatio { app, bounds } => sends::delivered_ratio(facts, *app, *bounds),
        ExpectWhat::MaxGap { app, at_most } => sends::max_gap(facts, *app, *at_most),
        ExpectWhat::Closed { flow, within, of_step } => {
            network::closed(facts, *flow, *within, *of_step)
        }
        ExpectWhat::Counter { flow, counter, direction, bounds } => {
            network::counter(facts, *flow, *counter, *direction, *bounds)
        }
        ExpectWhat::Log { log, app, within, of_step } => {
            app::log(facts, &log.0, *app, *within, *of_step)
        }
        ExpectWhat::Exit { app, code } => app::exit(facts, *app, *code),
    }
}

/// Whether it held, and the numbers behind that.
#[derive(Debug, Clone, PartialEq)]
struct Finding {
    held: bool,
    observed: String,
}

impl Finding {
    fn new(held: bool, observed: impl Into<String>) -> Self {
        Self { held, observed: observed.into() }
    }

    /// Nothing to judge by.
    fn no_evidence(why: impl Into<String>) -> Self {
        Self::new(false, why)
    }
}

impl Facts<'_> {
    fn name(&self, app: Option<AppId>) -> Option<&str> {
        app.map(|id| self.apps[id.0].name.as_str())
    }

    /// When the step took effect, or why there is no such time.
    fn armed(&self, step: StepId) -> Result<(&str, f64), Finding> {
        let step = &self.steps[step.0];
        match step.armed_ms {
            Some(ms) => Ok((step.name.as_str(), ms)),
            None => Err(Finding::no_evidence(format!("step {:?} never happened", step.name))),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Bounds in words, for what was observed: `(at least 1)`.
fn wanted(bounds: Bounds) -> String {
    let least = bounds.at_least.map(|x| format!("at least {}", words::number(x)));
    let most = bounds.at_most.map(|x| format!("at most {}", words::number(x)));
    let both: Vec<String> = least.into_iter().chain(most).collect();
    format!("(expected {})", both.join(" and "))
}
