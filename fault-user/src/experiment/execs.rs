//! The commands of steps (`exec`), while they run.

use std::process::ExitStatus;

use tokio::process::Child;

use super::prepare::Stage;
use super::state::State;
use crate::chain::told;

/// Commands that have not ended.
#[derive(Default)]
pub struct Execs {
    running: Vec<(usize, Child)>,
}

impl Execs {
    /// How often a running command is looked at.
    const EVERY_NS: u64 = 20_000_000;

    /// Starts the command of a step; its output goes to `apps/STEP.exec`.
    pub fn start(&mut self, step: usize, stage: &Stage, state: &mut State<'_>) {
        let spec = &state.scenario.steps[step];
        let Some(argv) = &spec.exec else { return };
        let log = stage.apps_dir.join(format!("{}.exec", spec.name));
        match stage.supervisor.command(argv, &stage.base_dir, &log) {
            Ok(child) => self.running.push((step, child)),
            Err(e) => state.fail(format!("step `{}`: {}", spec.name, told(&e))),
        }
    }

    /// Takes in those that have ended.
    pub fn check(&mut self, state: &mut State<'_>) {
        self.running.retain_mut(|(step, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                finished(*step, status, state);
                false
            }
            Err(e) => {
                state.fail(format!("cannot wait for a command: {e}"));
                false
            }
        });
    }

    /// Whether one runs.
    pub fn any(&self) -> bool {
        !self.running.is_empty()
    }

    /// When to look again.
    pub fn poll_at(&self, now: u64) -> Option<u64> {
        self.any().then_some(now + Self::EVERY_NS)
    }

    /// The run is over: those that still run are ended with everything else in their cgroup.
    pub fn cut_off(&mut self, state: &mut State<'_>) {
        self.check(state);
        for (step, _) in self.running.drain(..) {
            let name = &state.scenario.steps[step].name;
            let what = format!("the command of step `{name}` still ran when the run was over");
            state.warnings.push(format!("{what}: it was ended"));
        }
    }
}

fn finished(step: usize, status: ExitStatus, state: &mut State<'_>) {
    if !status.success() {
        let spec = &state.scenario.steps[step];
        state.fail(format!(
            "the command of step `{}` failed ({status}): {:?}; its output is in apps/{}.exec",
            spec.name,
            spec.exec.as_deref().unwrap_or_default(),
            spec.name
        ));
    }
}
