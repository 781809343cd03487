//! Steps that never happened, because what they waited for never came.
//!
//! Contract, section 4: a fault that met no packet fails the run unless it may miss. A step that
//! never came is the same thing one level up: the run did not do what it was for if the step has
//! faults that must hit, or if an expectation is about it. What else a step does (a command, a
//! signal) has no such promise: there it is a warning.

use super::state::State;
use crate::scenario::model::{ExpectWhat, Scenario, StepId, Trigger};

/// Notes them in the state's failures and warnings.
pub fn note(state: &mut State<'_>) {
    // A run that was cut short says nothing about what would have come.
    let cut = state.broken();
    // Without a state the run never got as far as its steps.
    for step in 0..state.steps.len() {
        if state.steps[step].happened.is_some() {
            continue;
        }
        let why = why(state.scenario, step);
        if !cut && needed(state.scenario, step) {
            state.failures.push(why);
        } else {
            state.warnings.push(why);
        }
    }
}

fn needed(scenario: &Scenario, step: usize) -> bool {
    let hits = scenario.steps[step].faults.iter().any(|f| !f.may_miss);
    hits || scenario.expects.iter().any(|e| of_step(&e.what) == Some(StepId(step)))
}

fn of_step(what: &ExpectWhat) -> Option<StepId> {
    match what {
        ExpectWhat::Closed { of_step, .. } => Some(*of_step),
        ExpectWhat::Log { of_step, .. } => *of_step,
        ExpectWhat::Verdict { .. }
        | ExpectWhat::Outcome { .. }
        | ExpectWhat::DeliveredRatio { .. }
        | ExpectWhat::MaxGap { .. }
        | ExpectWhat::Counter { .. }
        | ExpectWhat::Exit { .. } => None,
    }
}

fn why(scenario: &Scenario, step: usize) -> String {
    let spec = &scenario.steps[step];
    let waited = match &spec.trigger {
        Trigger::At(at) => format!("the run was over before {at:?}"),
        Trigger::After { step, .. } => {
            format!("its time after step `{}` never came", scenario.steps[step.0].name)
        }
        Trigger::Log { log, .. } => format!("no line matched `{}`", log.0.as_str()),
        Trigger::Flow { flow, state } => {
            let state = format!("{state:?}").to_lowercase();
            format!("flow `{}` was never {state}", scenario.flows[flow.0].name)
        }
        Trigger::Outcomes { app, count } => {
            format!("app `{}` did not tell of {count} outcomes", scenario.apps[app.0].name)
        }
    };
    format!("step `{}` never happened: {waited}", spec.name)
}
