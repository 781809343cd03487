//! The steps of a scenario in text, in the order of time.

use std::time::Duration;

use super::{Entry, command, faults, line};
use crate::scenario::model::{
    AppId, Clear, FaultSpec, FlowId, FlowState, Scenario, Step, StepId, Trigger,
};
use crate::scenario::signals;
use crate::scenario::units::format_duration;

/// Steps whose time is known, by time; then the others, in the order of the file.
pub fn in_time_order(scenario: &Scenario) -> impl Iterator<Item = (Option<Duration>, Entry)> {
    let numbered = scenario.steps.iter().enumerate();
    let mut steps: Vec<_> = numbered
        .map(|(i, step)| {
            let time = time_of(scenario, StepId(i));
            (time, describe(scenario, step, time))
        })
        .collect();
    steps.sort_by_key(|(time, _)| time.unwrap_or(Duration::MAX));
    steps.into_iter()
}

/// When a step happens, if that is known in advance.
fn time_of(scenario: &Scenario, StepId(index): StepId) -> Option<Duration> {
    match &scenario.steps[index].trigger {
        Trigger::At(time) => Some(*time),
        // Validation has excluded circles.
        Trigger::After { step, plus } => time_of(scenario, *step).map(|time| time + *plus),
        _ => None,
    }
}

fn describe(scenario: &Scenario, step: &Step, time: Option<Duration>) -> Entry {
    let when = match time {
        Some(time) => format!("at {}", format_duration(time)),
        None => waits_for(scenario, &step.trigger),
    };
    let mut lines = vec![format!("{}: {when}", step.name)];
    lines.extend(deeds(scenario, step, step.lasts.map(|lasts| lifted(scenario, time, lasts))));
    lines
}

/// What a step does, in one line for reports.
pub fn in_one_line(scenario: &Scenario, step: &Step) -> String {
    let lifts = step.lasts.map(|lasts| format!("for {}", format_duration(lasts)));
    deeds(scenario, step, lifts).join("; ")
}

fn deeds(scenario: &Scenario, step: &Step, lifts: Option<String>) -> Vec<String> {
    let app = |AppId(i): AppId| scenario.apps[i].name.as_str();
    let mut lines = Vec::new();
    match &step.clear {
        Clear::Nothing => {}
        Clear::All => lines.push("lifts every fault".into()),
        Clear::Flows(flows) => {
            let names: Vec<_> = flows.iter().map(|f| flow_name(scenario, *f)).collect();
            lines.push(format!("lifts the faults of {}", names.join(", ")));
        }
    }
    lines.extend(step.faults.iter().map(|f| format!("arms {}", fault(scenario, step, f))));
    lines.extend(lifts);
    lines.extend(step.exec.iter().map(|words| format!("runs {}", command(words))));
    let signal = step.signal.iter();
    lines.extend(signal.map(|s| format!("sends {} to {}", signals::name(s.signal), app(s.app))));
    lines.extend(step.stop.iter().map(|id| format!("stops {}", app(*id))));
    lines.extend(step.start.iter().map(|id| format!("starts {}", app(*id))));
    lines
}

fn lifted(scenario: &Scenario, time: Option<Duration>, lasts: Duration) -> String {
    let Some(end) = time.map(|time| time + lasts) else {
        return format!("lifts them {} later", format_duration(lasts));
    };
    match scenario.duration.filter(|stop| *stop < end) {
        Some(stop) => format!(
            "lifts them at {}, when the run ends (before `for` is over at {})",
            format_duration(stop),
            format_duration(end)
        ),
        None => format!("lifts them at {}", format_duration(end)),
    }
}

fn waits_for(scenario: &Scenario, trigger: &Trigger) -> String {
    match trigger {
        Trigger::At(time) => format!("at {}", format_duration(*time)),
        Trigger::After { step: StepId(i), plus } if plus.is_zero() => {
            format!("after step {}", scenario.steps[*i].name)
        }
        Trigger::After { step: StepId(i), plus } => {
            format!("{} after step {}", format_duration(*plus), scenario.steps[*i].name)
        }
        Trigger::Log { log, app } => {
            let whose = app.map_or("any app".into(), |AppId(i)| scenario.apps[i].name.clone());
            format!("when {whose} writes a line that matches \"{}\"", log.0.as_str())
        }
        Trigger::Flow { flow, state } => {
            let state = match state {
                FlowState::Opened => "opened",
                FlowState::Established => "established",
                FlowState::Closed => "closed",
            };
            format!("when flow {} is {state}", flow_name(scenario, *flow))
        }
        Trigger::Outcomes { app: AppId(i), count } => {
            format!("when {} has told {count} outcomes", scenario.apps[*i].name)
        }
    }
}

fn flow_name(scenario: &Scenario, FlowId(i): FlowId) -> &str {
    &scenario.flows[i].name
}

fn fault(scenario: &Scenario, step: &Step, spec: &FaultSpec) -> String {
    let flow = flow_name(scenario, spec.flow);
    let via = line::of_fault(scenario, &step.faults, spec);
    format!("on {flow}{}: {}{via}", faults::direction(spec), faults::sentence(spec))
}
