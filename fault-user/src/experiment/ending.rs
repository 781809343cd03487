//! The end of a run: faults are lifted, what still runs gets SIGTERM and after its grace
//! SIGKILL, and every event is read.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::drive::{self, Input};
use super::prepare::Stage;
use super::state::State;
use crate::clock;

/// Ends everything and reads all that is left. Faults were lifted when the drive ended.
pub async fn end(stage: &mut Stage, state: &mut State<'_>) {
    state.end.get_or_insert_with(clock::monotonic_ns);
    for app in 0..state.apps.len() {
        if stage.supervisor.pid(app).is_some() {
            state.apps[app].asked_to_end = true;
            stage.supervisor.signal(app, Signal::SIGTERM);
        }
    }
    let begun = Instant::now();
    while let Some(deadline) = next_deadline(stage, state, begun) {
        match drive::next(stage, state, Some(deadline)).await {
            Input::Deadline => kill_overdue(stage, state, begun),
            input => drive::take(input, stage, state),
        }
    }
    for app in 0..state.apps.len() {
        stage.supervisor.kill(app);
    }
    stage.kernel.detach_interfaces();
    if let Some(reader) = stage.events.take() {
        // Blocks for as long as the ring has something left: milliseconds.
        reader.finish();
    }
    while let Ok(batch) = stage.batches.try_recv() {
        state.batch(batch, stage);
    }
    while let Ok(event) = stage.app_events.try_recv() {
        state.app_event(event, stage);
    }
}

/// When the next running app's grace is over; `None` when none runs.
fn next_deadline(stage: &Stage, state: &State<'_>, begun: Instant) -> Option<Instant> {
    let running = (0..state.apps.len()).filter(|a| stage.supervisor.pid(*a).is_some());
    let graces = running.map(|a| state.scenario.apps[a].grace);
    graces.min().map(|grace| (begun + grace).max(Instant::now() + Duration::from_millis(1)))
}

fn kill_overdue(stage: &Stage, state: &State<'_>, begun: Instant) {
    for (app, spec) in state.scenario.apps.iter().enumerate() {
        if stage.supervisor.pid(app).is_some() && begun.elapsed() >= spec.grace {
            tracing::info!("app {} did not end within {:?}: killed", spec.name, spec.grace);
            stage.supervisor.kill(app);
        }
    }
}
