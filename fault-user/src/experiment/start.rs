//! The apps start in their order, each after the one before it is ready.

use std::time::Duration;

use tokio::time::Instant;

use super::drive::{self, Input};
use super::prepare::Stage;
use super::state::State;
use crate::chain::told;
use crate::clock;

/// How long an app without `ready` is given to fail at once.
const GRACE_NO_READY: Duration = Duration::ZERO;

/// Starts all apps that start by themselves; sets t = 0. False if the run is over already.
pub async fn start_apps(stage: &mut Stage, state: &mut State<'_>) -> bool {
    for app in 0..state.scenario.apps.len() {
        if !state.scenario.apps[app].autostart {
            continue;
        }
        if state.scenario.apps[app].attach.is_some() {
            state.attached(app, stage.supervisor.attached_pid(app));
            continue;
        }
        if !start(stage, state, app) || !ready(stage, state, app).await {
            return false;
        }
    }
    state.t0 = Some(clock::monotonic_ns());
    !state.broken()
}

/// Starts one app; a failure is the run's.
pub fn start(stage: &mut Stage, state: &mut State<'_>, app: usize) -> bool {
    match stage.supervisor.start(app) {
        Ok(pid) => {
            state.started(app, Some(pid));
            true
        }
        Err(e) => {
            state.fail(told(&e));
            false
        }
    }
}

/// Waits until an app is ready; an app that dies or takes too long fails the run.
async fn ready(stage: &mut Stage, state: &mut State<'_>, app: usize) -> bool {
    let spec = &state.scenario.apps[app];
    let within = spec.ready.as_ref().map_or(GRACE_NO_READY, |r| r.within);
    let deadline = Instant::now() + within;
    loop {
        if spec.ready.is_none() {
            state.apps[app].ready = state.apps[app].started;
        }
        if state.broken() || died_early(state) {
            return false;
        }
        if state.apps[app].ready.is_some() {
            return true;
        }
        match drive::next(stage, state, Some(deadline)).await {
            Input::Deadline => {
                let pattern = spec.ready.as_ref().map_or("", |r| r.log.0.as_str());
                let why = format!(
                    "app `{}` was not ready within {within:?}: no line of its output matched \
                     `{pattern}` (ready.log, ready.within)",
                    spec.name
                );
                state.fail(with_output(why, state, app));
                return false;
            }
            input => drive::take(input, stage, state),
        }
    }
}

/// Whether any app has ended before t = 0, which fails the run.
fn died_early(state: &mut State<'_>) -> bool {
    let died = |(app, a): (usize, &super::state::AppState)| Some((app, a.status.clone()?));
    let Some((app, status)) = state.apps.iter().enumerate().find_map(died) else { return false };
    let name = &state.scenario.apps[app].name;
    let why = format!("app `{name}` died before t = 0 ({status})");
    state.fail(with_output(why, state, app));
    true
}

/// Adds the end of an app's output to a message about it.
pub fn with_output(why: String, state: &State<'_>, app: usize) -> String {
    let last = &state.apps[app].last;
    if last.is_empty() {
        return format!("{why}; it has written nothing");
    }
    format!("{why}; its last output: {}", last.join(" | "))
}
