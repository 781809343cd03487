//! The end of a run: faults are lifted, what still runs gets SIGTERM and after its grace
//! SIGKILL, and every event is read.

use tokio::time::Instant;

use super::drive;
use super::prepare::Stage;
use super::state::State;
use crate::app::Supervisor;
use crate::capture;
use crate::chain::told;
use crate::clock;
use crate::kernel::CaptureReader;

/// Ends everything and reads all that is left. Faults were lifted when the drive ended.
pub async fn end(stage: &mut Stage, state: &mut State<'_>) {
    state.end.get_or_insert_with(clock::monotonic_ns);
    for app in 0..state.apps.len() {
        state.apps[app].asked_to_end |= stage.supervisor.runs(app);
    }
    stage.supervisor.stop_all();
    while stage.supervisor.is_stopping() {
        let again = Instant::now() + Supervisor::TEND_EVERY;
        let input = drive::next(stage, state, Some(again)).await;
        drive::take(input, stage, state);
        drive::tend(stage, state);
    }
    // What an app that goes on has written until now; those that ended have been read.
    drive::catch_up(stage, state).await;
    finish_line(stage, state);
    stage.kernel.detach_interfaces();
    if let Err(e) = stage.kernel.tell_rest() {
        state.fail(told(&e));
    }
    // What runs on without the run would go on telling, and be counted, when nobody reads any more.
    if let Err(e) = stage.kernel.unload() {
        state.fail(told(&e));
    }
    if let Some(reader) = stage.events.take() {
        // Blocks for as long as the ring has something left: milliseconds.
        reader.finish();
    }
    if let Some(captures) = stage.captures.take() {
        captured(captures, state);
    }
    while let Ok(batch) = stage.batches.try_recv() {
        state.batch(&batch, stage);
    }
    while let Ok(event) = stage.app_events.try_recv() {
        state.app_event(event, stage);
    }
}

fn captured(captures: CaptureReader, state: &mut State<'_>) {
    let Some(records) = captures.finish() else {
        state.fail("the thread that reads captured packets panicked; please report this");
        return;
    };
    for record in records {
        match capture::decode(&record) {
            Ok(packet) => state.captured.push(packet),
            Err(e) => state.fail(e.to_string()),
        }
    }
}

/// Takes the line out, and lets go of what it still holds.
fn finish_line(stage: &mut Stage, state: &mut State<'_>) {
    let Some(running) = stage.line.take() else { return };
    state.line = running.line.name();
    running.drain();
    if let Err(e) = stage.kernel.close_line() {
        state.fail(told(&e));
    }
    match running.finish() {
        Ok(tally) => state.tally = Some(tally),
        Err(e) => state.fail(told(&e)),
    }
}
