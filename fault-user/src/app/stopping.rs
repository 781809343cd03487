//! The end of apps and commands: SIGTERM to everything that they have started, whatever session
//! it has made for itself, and SIGKILL to what is left after the grace.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::cgroup::AppCgroup;
use super::{AppError, Supervisor};

/// Between SIGTERM and SIGKILL for the commands of steps; apps have `grace`.
const COMMAND_GRACE: Duration = Duration::from_secs(5);
/// How long a killed process may take to be gone; one in an uninterruptible wait takes longer.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// How far the end of one cgroup's processes has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stopping {
    /// When SIGTERM was sent, while something is left.
    since: Option<Instant>,
    /// When SIGKILL was.
    killed: Option<Instant>,
}

impl Stopping {
    /// Whether the end has begun and is not over.
    pub(super) fn goes_on(&self) -> bool {
        self.since.is_some()
    }

    fn begin(&mut self, cgroup: &AppCgroup) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            cgroup.signal(Signal::SIGTERM);
        }
    }

    /// Goes on to SIGKILL when it is time. `false` if even that has not helped.
    fn go_on(&mut self, cgroup: &AppCgroup, grace: Duration, gone: bool) -> bool {
        let Some(since) = self.since else { return true };
        if gone {
            *self = Self::default();
        } else if self.killed.is_none() && since.elapsed() >= grace {
            tracing::info!("{} did not end within {grace:?}: killed", cgroup.name());
            self.killed = Some(Instant::now());
            cgroup.kill();
        } else if self.killed.is_some_and(|k| k.elapsed() >= KILL_PATIENCE) {
            *self = Self::default();
            return false;
        }
        true
    }
}

impl Supervisor {
    /// How often [`Self::tend`] is to be called while something is being ended. The kernel can
    /// tell when a cgroup is empty, but not through a detached mount.
    pub const TEND_EVERY: Duration = Duration::from_millis(20);

    /// Begins to end an app: SIGTERM to all of its processes. One that is being ended already
    /// keeps its deadline; one of which nothing runs is left alone.
    pub fn stop(&mut self, app: usize) {
        if !self.is_gone(app) {
            let managed = &mut self.apps[app];
            managed.stopping.begin(&managed.cgroup);
        }
    }

    /// Begins to end all apps and commands.
    pub fn stop_all(&mut self) {
        (0..self.apps.len()).for_each(|app| self.stop(app));
        if self.commands.populated() {
            self.commands_stopping.begin(&self.commands);
        }
    }

    /// Kills what has outlived its grace.
    ///
    /// # Errors
    /// Each app (or command) of which something is left 3 s after SIGKILL; it is given up.
    pub fn tend(&mut self) -> Vec<AppError> {
        let stuck = |cgroup: &AppCgroup| AppError::Unkillable {
            name: cgroup.name().into(),
            pids: cgroup.pids(),
        };
        let mut errors = Vec::new();
        for app in 0..self.apps.len() {
            let gone = self.is_gone(app);
            let managed = &mut self.apps[app];
            if !managed.stopping.go_on(&managed.cgroup, managed.spec.grace, gone) {
                errors.push(stuck(&managed.cgroup));
            }
        }
        let gone = !self.commands.populated();
        if !self.commands_stopping.go_on(&self.commands, COMMAND_GRACE, gone) {
            errors.push(stuck(&self.commands));
        }
        errors
    }

    /// Whether the end of something goes on.
    pub fn is_stopping(&self) -> bool {
        self.commands_stopping.goes_on() || self.apps.iter().any(|a| a.stopping.goes_on())
    }

    /// Whether nothing of an app runs, and its exit has been taken in.
    fn is_gone(&self, app: usize) -> bool {
        self.pid(app).is_none() && !self.apps[app].cgroup.populated()
    }
}

impl AppCgroup {
    /// Sends a signal to each of its processes.
    fn signal(&self, signal: Signal) {
        for pid in self.pids() {
            // ESRCH: it has just ended.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}
