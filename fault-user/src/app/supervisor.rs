//! Starts, signals and ends the apps of a run.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use super::cgroup::{AppCgroup, RunCgroup};
use super::output::{Channel, Flush, Reader, Stream};
use super::stopping::Stopping;
use super::user::{self, Identity};
use super::{AppError, Attached, command, tail};
use crate::clock;
use crate::netns::Netns;
use crate::scenario::model::{self, App, OutcomeSource};

/// Lines that may wait for the controller; an app that writes faster waits as well.
const BACKLOG: usize = 1024;

/// Name of the commands' cgroup; no app can have it (`@`).
const COMMANDS: &str = "@commands";

/// What apps do. Times are CLOCK_MONOTONIC ns.
#[derive(Debug, Clone)]
pub enum AppEvent {
    /// A line of output (`stream` is `None` for the outcome file).
    Line {
        /// Index of the app.
        app: usize,
        /// Where it came from.
        stream: Option<Stream>,
        /// When it was written.
        at: u64,
        /// Without its line end.
        text: Bytes,
    },
    /// A single write was too long to be read whole; the line that it was cut in came before.
    Cut {
        /// Index of the app.
        app: usize,
        /// Where it came from.
        stream: Stream,
        /// Bytes of the whole write.
        size: u64,
    },
    /// It has ended; all of its output came before this.
    Exited {
        /// Index of the app.
        app: usize,
        /// Which of its processes: a step may have started it anew meanwhile.
        pid: u32,
        /// When it was seen.
        at: u64,
        /// How.
        status: ExitStatus,
    },
    /// A process that was attached to has ended; how, nobody but its parent is told.
    Gone {
        /// Index of the app.
        app: usize,
        /// Which process.
        pid: u32,
        /// When it was seen.
        at: u64,
    },
}

/// All apps of a run.
pub struct Supervisor {
    pub(super) apps: Vec<Managed>,
    /// Where the commands of steps run: below the run's cgroup, but no app's, so that they end
    /// with the run and their connections are nobody's.
    pub(super) commands: AppCgroup,
    pub(super) commands_stopping: Stopping,
    /// Where what is started begins, if this thread is in another network namespace.
    pub(super) home: Option<Arc<Netns>>,
    events: mpsc::Sender<AppEvent>,
}

pub(super) struct Managed {
    pub(super) spec: App,
    identity: Option<Identity>,
    pub(super) cgroup: AppCgroup,
    channels: HashMap<Stream, Channel>,
    flushes: Vec<mpsc::UnboundedSender<Flush>>,
    running: Option<Running>,
    /// What is not started, but there.
    attached: Option<Attached>,
    pub(super) stopping: Stopping,
}

/// A process whose exit has not been taken in yet.
struct Running {
    pid: u32,
    /// It has exited; the event may still be on its way behind its last output.
    ended: Arc<AtomicBool>,
}

impl Supervisor {
    /// Prepares cgroups and output channels of all apps; starts none. Output is copied to
    /// `dir/NAME.stdout` and `dir/NAME.stderr`.
    ///
    /// # Errors
    /// A cgroup or file cannot be made, or a user does not exist.
    pub fn new(
        specs: &[App],
        cgroup: &RunCgroup,
        dir: &Path,
    ) -> Result<(Self, mpsc::Receiver<AppEvent>), AppError> {
        let (events, receiver) = mpsc::channel(BACKLOG);
        let apps = specs.iter().enumerate().map(|(i, spec)| {
            let mut managed = Managed {
                identity: user::resolve(&spec.name, spec.user.as_deref())?,
                cgroup: cgroup.app(&spec.name)?,
                channels: HashMap::new(),
                flushes: Vec::new(),
                running: None,
                attached: None,
                stopping: Stopping::default(),
                spec: spec.clone(),
            };
            managed.open_output(i, dir, &events)?;
            Ok(managed)
        });
        let apps = apps.collect::<Result<_, AppError>>()?;
        let (commands, commands_stopping) = (cgroup.app(COMMANDS)?, Stopping::default());
        Ok((Self { apps, commands, commands_stopping, home: None, events }, receiver))
    }

    /// Lets apps and commands begin in this network namespace instead of that of the thread that starts them.
    pub fn start_in(&mut self, home: Arc<Netns>) {
        self.home = Some(home);
    }

    /// cgroup id of an app.
    pub fn cgroup_id(&self, app: usize) -> u64 {
        self.apps[app].cgroup.id
    }

    /// Output channels of an app.
    pub fn channels(&self, app: usize) -> impl Iterator<Item = (Stream, &Channel)> {
        self.apps[app].channels.iter().map(|(s, c)| (*s, c))
    }

    /// Its process, until its exit has been taken in.
    pub fn pid(&self, app: usize) -> Option<u32> {
        self.apps[app].running.as_ref().map(|r| r.pid)
    }

    /// Whether its process runs: what is done to it now is the cause of its end.
    pub fn runs(&self, app: usize) -> bool {
        self.apps[app].running.as_ref().is_some_and(Running::runs)
    }

    /// Takes in that process `pid` of an app has exited. `false` if it is not the current one:
    /// then the app was started anew before this was known.
    pub fn exited(&mut self, app: usize, pid: u32) -> bool {
        let current = self.pid(app) == Some(pid);
        if current {
            self.apps[app].running = None;
        }
        current
    }

    /// Starts an app. Its exit comes as an event.
    ///
    /// # Errors
    /// It still runs, or is being ended. The program cannot be started; it is named with its
    /// directory.
    pub fn start(&mut self, app: usize) -> Result<u32, AppError> {
        let managed = &mut self.apps[app];
        managed.may_start()?;
        let command = managed.command(self.home.as_ref());
        let mut child = command?.spawn().map_err(|source| AppError::Start {
            app: managed.spec.name.clone(),
            program: managed.spec.command[0].clone(),
            cwd: managed.spec.cwd.display().to_string(),
            source,
        })?;
        let pid = child.id().unwrap_or_default();
        let ended = Arc::new(AtomicBool::new(false));
        managed.running = Some(Running { pid, ended: Arc::clone(&ended) });
        let (flushes, events) = (managed.flushes.clone(), self.events.clone());
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) => {
                    ended.store(true, Ordering::Release);
                    flush(&flushes).await;
                    // The receiver is gone only when the run is over.
                    let _ = events
                        .send(AppEvent::Exited { app, pid, at: clock::monotonic_ns(), status })
                        .await;
                }
                Err(e) => tracing::error!("cannot wait for an app: {e}"),
            }
        });
        Ok(pid)
    }

    /// Watches a process that runs already. Its end comes as an event.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn attach(&mut self, app: usize, process: Attached) -> Result<(), AppError> {
        let what = || format!("watch process {}", process.pid);
        let pidfd = process.pidfd().map_err(AppError::io(what()))?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives.
        let pidfd = unsafe { AsyncFd::register(pidfd) };
        let pidfd = pidfd.map_err(|e| AppError::io(what())(e.into()))?;
        let (pid, events) = (process.pid, self.events.clone());
        tokio::spawn(async move {
            match pidfd.readable().await {
                Ok(_) => {
                    let at = clock::monotonic_ns();
                    // The receiver is gone only when the run is over.
                    let _ = events.send(AppEvent::Gone { app, pid, at }).await;
                }
                Err(e) => tracing::error!("cannot wait for process {pid}: {e}"),
            }
        });
        self.apps[app].attached = Some(process);
        Ok(())
    }

    /// The process that is attached to, if it is one.
    pub fn attached_pid(&self, app: usize) -> Option<u32> {
        self.apps[app].attached.as_ref().map(|process| process.pid)
    }

    /// Ends when everything that the apps have written until now has been read. It comes as
    /// events, which have to be taken meanwhile.
    pub fn caught_up(&self) -> impl Future<Output = ()> + use<> {
        let all: Vec<_> = self.apps.iter().flat_map(|a| a.flushes.clone()).collect();
        async move { flush(&all).await }
    }

    /// Sends a signal to the app's process group, or to the very process that is attached to. An app that does
    /// not run is left alone.
    ///
    /// # Errors
    /// A process that is attached to may not be signalled.
    pub fn signal(&self, app: usize, signal: Signal) -> Result<(), AppError> {
        if let Some(process) = self.apps[app].attached.as_ref().filter(|p| p.runs()) {
            let what = format!("send {signal} to process {}", process.pid);
            match process.signal(signal) {
                // It has just ended, which its event tells.
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                other => return other.map_err(AppError::io(what)),
            }
        }
        if let Some(pid) = self.pid(app) {
            // ESRCH: it has just ended, which its exit event tells.
            let _ = killpg(Pid::from_raw(pid as i32), signal);
        }
        Ok(())
    }

    /// Kills an app and everything that it has started.
    pub fn kill(&self, app: usize) {
        self.apps[app].cgroup.kill();
    }
}

/// Waits until each reader has read what there was.
async fn flush(readers: &[mpsc::UnboundedSender<Flush>]) {
    for reader in readers {
        let (tx, rx) = oneshot::channel();
        if reader.send(tx).is_ok() {
            // An error means that the reader has come to its end: nothing is left to read.
            let _ = rx.await;
        }
    }
}

impl Running {
    fn runs(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }
}

impl Managed {
    /// Refuses a second process beside the first, and one that the pending SIGKILL would hit.
    fn may_start(&mut self) -> Result<(), AppError> {
        let runs = self.running.as_ref().is_some_and(Running::runs);
        if runs || (self.stopping.goes_on() && self.cgroup.populated()) {
            let (app, pids) = (self.spec.name.clone(), self.cgroup.pids());
            return Err(AppError::StillRuns { app, pids });
        }
        self.stopping = Stopping::default();
        Ok(())
    }

    fn open_output(
        &mut self,
        app: usize,
        dir: &Path,
        events: &mpsc::Sender<AppEvent>,
    ) -> Result<(), AppError> {
        let streams = if self.spec.attach.is_some() { &[][..] } else { &Stream::BOTH };
        for stream in streams.iter().copied() {
            let channel = Channel::open(self.spec.stdio == model::Stdio::Socket)?;
            let path = dir.join(format!("{}.{}", self.spec.name, stream.name()));
            let reader = Reader::new(&channel, app, stream, &path, events.clone())?;
            let (tx, rx) = mpsc::unbounded_channel();
            tokio::spawn(reader.run(rx));
            self.flushes.push(tx);
            self.channels.insert(stream, channel);
        }
        let source = self.spec.outcomes.as_ref().map(|o| &o.from);
        if let Some(OutcomeSource::File(path)) = source {
            let (tx, rx) = mpsc::unbounded_channel();
            // Before the app starts, so that all it writes comes after what is there.
            let tail = tail::Tail::new(path.clone());
            tokio::spawn(tail::follow(app, tail, events.clone(), rx));
            self.flushes.push(tx);
        }
        Ok(())
    }

    fn command(&self, home: Option<&Arc<Netns>>) -> Result<Command, AppError> {
        let mut command = Command::new(&self.spec.command[0]);
        command.args(&self.spec.command[1..]).current_dir(&self.spec.cwd);
        command.stdin(Stdio::null());
        for (stream, channel) in &self.channels {
            let end =
                channel.theirs.try_clone().map_err(AppError::io("share an output channel"))?;
            match stream {
                Stream::Stdout => command.stdout(end),
                Stream::Stderr => command.stderr(end),
            };
        }
        command::settle(&mut command, &self.cgroup, home, self.identity.as_ref())?;
        // After what the user brings: the scenario has the last word.
        command.envs(&self.spec.env);
        Ok(command)
    }
}

/// Makes a descriptor survive exec: for the janitor, which takes over when we are killed.
pub(crate) fn inheritable(fd: impl AsFd) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}
