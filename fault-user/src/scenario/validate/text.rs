//! An expectation in one line, for reports.

use std::time::Duration;

use crate::scenario::model::{AppId, Bounds, Counter, DirectionSpec, ExpectWhat, FlowId, StepId};
use crate::scenario::names::Names;
use crate::scenario::units::format_duration;
use crate::verdict::Outcome;

/// The names that the indices of an expectation were made with.
#[derive(Debug, Clone, Copy)]
pub struct Words<'n> {
    pub apps: &'n Names,
    pub flows: &'n Names,
    pub steps: &'n Names,
}

/// The line.
pub fn of(what: &ExpectWhat, words: Words<'_>) -> String {
    use ExpectWhat as E;
    match what {
        E::Closed { flow, within, of_step } => {
            let (flow, step) = (words.flow(*flow), words.step(*of_step));
            format!("flow {flow} closed within {} of step {step}", format_duration(*within))
        }
        E::Log { log, app, within, of_step } => {
            let when = words.when(*within, *of_step);
            format!("log \"{}\"{}{when}", log.0.as_str(), words.of_app(*app))
        }
        E::Exit { app, code } => format!("app {} exits with {code}", words.app(*app)),
        E::Counter { flow, counter, direction, bounds } => {
            let (flow, way) = (words.flow(*flow), way(*direction));
            format!("flow {flow}{way} {} {}", counted(*counter), range(bounds))
        }
        E::Verdict { verdict, app, bounds } => {
            let name = format!("verdict {}", verdict.name());
            words.sends(&name, *app, &range(bounds))
        }
        E::Outcome { outcome, app, bounds } => {
            let name = format!("outcome {}", word(*outcome));
            words.sends(&name, *app, &range(bounds))
        }
        E::DeliveredRatio { app, bounds } => words.sends("delivered ratio", *app, &range(bounds)),
        E::MaxGap { app, at_most } => {
            let most = format!("at most {}", format_duration(*at_most));
            words.sends("longest gap between delivered sends", *app, &most)
        }
    }
}

impl<'n> Words<'n> {
    fn app(self, AppId(index): AppId) -> &'n str {
        self.apps.name(index)
    }

    fn flow(self, FlowId(index): FlowId) -> &'n str {
        self.flows.name(index)
    }

    fn step(self, StepId(index): StepId) -> &'n str {
        self.steps.name(index)
    }

    fn of_app(self, app: Option<AppId>) -> String {
        app.map_or(String::new(), |app| format!(" of app {}", self.app(app)))
    }

    /// Something about the sends of an app, or of all.
    fn sends(self, what: &str, app: Option<AppId>, range: &str) -> String {
        format!("{what}{} {range}", self.of_app(app))
    }

    fn when(self, within: Option<Duration>, of_step: Option<StepId>) -> String {
        let within = within.map(format_duration);
        match (within, of_step.map(|step| self.step(step))) {
            (Some(within), Some(step)) => format!(" within {within} of step {step}"),
            (Some(within), None) => format!(" within {within} of the start"),
            (None, Some(step)) => format!(" after step {step}"),
            (None, None) => String::new(),
        }
    }
}

fn way(direction: DirectionSpec) -> &'static str {
    match direction {
        DirectionSpec::Both => "",
        DirectionSpec::Egress => " egress",
        DirectionSpec::Ingress => " ingress",
    }
}

fn range(bounds: &Bounds) -> String {
    match (bounds.at_least, bounds.at_most) {
        (Some(low), Some(high)) if low == high => format!("exactly {low}"),
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (None, Some(high)) => format!("at most {high}"),
        (None, None) => String::new(),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::None => "none",
    }
}

fn counted(counter: Counter) -> &'static str {
    match counter {
        Counter::Packets => "packets",
        Counter::Bytes => "bytes",
        Counter::Dropped => "dropped",
        Counter::Delayed => "delayed",
        Counter::Corrupted => "corrupted",
        Counter::Duplicated => "duplicated",
        Counter::Reordered => "reordered",
        Counter::Reset => "reset",
        Counter::Retransmits => "retransmits",
    }
}
