//! An expectation in one line, for reports.

use crate::scenario::model::{AppId, Bounds, Counter, DirectionSpec, ExpectWhat, FlowId, StepId};
use crate::scenario::names::Names;
use crate::scenario::units::format_duration;
use crate::verdict::Outcome;

/// The line. The names must be those that the indices were made with.
pub fn of(what: &ExpectWhat, apps: &Names, flows: &Names, steps: &Names) -> String {
    let flow = |id: &FlowId| flows.name(id.0).to_owned();
    let step = |id: &StepId| steps.name(id.0).to_owned();
    let of_app = |app: &Option<AppId>| match app {
        Some(AppId(index)) => format!(" of app {}", apps.name(*index)),
        None => String::new(),
    };
    match what {
        ExpectWhat::Verdict {
            verdict,
            app,
            bounds,
        } => {
            format!(
                "verdict {}{} {}",
                verdict.name(),
                of_app(app),
                range(bounds)
            )
        }
        ExpectWhat::Outcome {
            outcome,
            app,
            bounds,
        } => {
            format!(
                "outcome {}{} {}",
                word(*outcome),
                of_app(app),
                range(bounds)
            )
        }
        ExpectWhat::Closed {
            flow: id,
            within,
            of_step,
        } => {
            let within = format_duration(*within);
            format!(
                "flow {} closed within {within} of step {}",
                flow(id),
                step(of_step)
            )
        }
        ExpectWhat::Log {
            log,
            app,
            within,
            of_step,
        } => {
            let within =
                within.map_or(String::new(), |w| format!(" within {}", format_duration(w)));
            let since = match (of_step, within.is_empty()) {
                (Some(id), false) => format!(" of step {}", step(id)),
                (Some(id), true) => format!(" after step {}", step(id)),
                (None, false) => " of the start".into(),
                (None, true) => String::new(),
            };
            format!("log \"{}\"{}{within}{since}", log.0.as_str(), of_app(app))
        }
        ExpectWhat::Exit { app, code } => format!("app {} exits with {code}", apps.name(app.0)),
        ExpectWhat::Counter {
            flow: id,
            counter,
            direction,
            bounds,
        } => {
            let direction = match direction {
                DirectionSpec::Both => "",
                DirectionSpec::Egress => " egress",
                DirectionSpec::Ingress => " ingress",
            };
            format!(
                "flow {}{direction} {} {}",
                flow(id),
                counted(*counter),
                range(bounds)
            )
        }
        ExpectWhat::DeliveredRatio { app, bounds } => {
            format!("delivered ratio{} {}", of_app(app), range(bounds))
        }
        ExpectWhat::MaxGap { app, at_most } => {
            let gap = format_duration(*at_most);
            format!(
                "longest gap between delivered sends{} at most {gap}",
                of_app(app)
            )
        }
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
