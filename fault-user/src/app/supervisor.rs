//! Starts, signals and ends the apps of a run.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::cgroup::{AppCgroup, RunCgroup};
use super::output::{Channel, Flush, Reader, Stream};
use super::user::{self, Identity};
use super::{AppError, tail};
use crate::clock;
use crate::scenario::model::{self, App, OutcomeSource};

/// Lines that may wait for the controller; an app that writes faster waits as well.
const BACKLOG: usize = 1024;

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
    /// It has ended; all of its output came before this.
    Exited {
        /// Index of the app.
        app: usize,
        /// When it was seen.
        at: u64,
        /// How.
        status: ExitStatus,
    },
}

/// All apps of a run.
pub struct Supervisor {
    apps: Vec<Managed>,
    events: mpsc::Sender<AppEvent>,
}

struct Managed {
    spec: App,
    identity: Option<Identity>,
    cgroup: AppCgroup,
    channels: HashMap<Stream, Channel>,
    flushes: Vec<mpsc::UnboundedSender<Flush>>,
    pid: Option<u32>,
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
                pid: None,
                spec: spec.clone(),
            };
            managed.open_output(i, dir, &events)?;
            Ok(managed)
        });
        let apps = apps.collect::<Result<_, AppError>>()?;
        Ok((Self { apps, events }, receiver))
    }

    /// cgroup id of an app.
    pub fn cgroup_id(&self, app: usize) -> u64 {
        self.apps[app].cgroup.id
    }

    /// Output channels of an app.
    pub fn channels(&self, app: usize) -> impl Iterator<Item = (Stream, &Channel)> {
        self.apps[app].channels.iter().map(|(s, c)| (*s, c))
    }

    /// Its process, while it runs.
    pub fn pid(&self, app: usize) -> Option<u32> {
        self.apps[app].pid
    }

    /// Forgets the process of an app that has exited.
    pub fn exited(&mut self, app: usize) {
        self.apps[app].pid = None;
    }

    /// Starts an app. Its exit comes as an event.
    ///
    /// # Errors
    /// The program cannot be started; it is named with its directory.
    pub fn start(&mut self, app: usize) -> Result<u32, AppError> {
        let managed = &mut self.apps[app];
        let mut child = managed.command()?.spawn().map_err(|source| AppError::Start {
            app: managed.spec.name.clone(),
            program: managed.spec.command[0].clone(),
            cwd: managed.spec.cwd.display().to_string(),
            source,
        })?;
        let pid = child.id().unwrap_or_default();
        managed.pid = Some(pid);
        let (flushes, events) = (managed.flushes.clone(), self.events.clone());
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) => {
                    flush(&flushes).await;
                    // The receiver is gone only when the run is over.
                    let _ = events
                        .send(AppEvent::Exited { app, at: clock::monotonic_ns(), status })
                        .await;
                }
                Err(e) => tracing::error!("cannot wait for an app: {e}"),
            }
        });
        Ok(pid)
    }

    /// Ends when everything that the apps have written until now has been read. It comes as
    /// events, which have to be taken meanwhile.
    pub fn caught_up(&self) -> impl Future<Output = ()> + use<> {
        let all: Vec<_> = self.apps.iter().flat_map(|a| a.flushes.clone()).collect();
        async move { flush(&all).await }
    }

    /// Sends a signal to the app's process group. An app that does not run is left alone.
    pub fn signal(&self, app: usize, signal: Signal) {
        if let Some(pid) = self.apps[app].pid {
            // ESRCH: it has just ended, which its exit event tells.
            let _ = killpg(Pid::from_raw(pid as i32), signal);
        }
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

impl Managed {
    fn open_output(
        &mut self,
        app: usize,
        dir: &Path,
        events: &mpsc::Sender<AppEvent>,
    ) -> Result<(), AppError> {
        for stream in Stream::BOTH {
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
            tokio::spawn(tail::follow(app, path.clone(), events.clone(), rx));
            self.flushes.push(tx);
        }
        Ok(())
    }

    fn command(&self) -> Result<Command, AppError> {
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
        if let Some(identity) = &self.identity {
            command.env("HOME", &identity.home).env("USER", &identity.name);
            command.env("LOGNAME", &identity.name);
        }
        command.envs(&self.spec.env);
        self.before_exec(&mut command)?;
        Ok(command)
    }

    /// Joins the cgroup, takes a process group of its own (Ctrl-C is the controller's to handle)
    /// and becomes the user: in this order, for the first needs privileges.
    fn before_exec(&self, command: &mut Command) -> Result<(), AppError> {
        let procs = Arc::new(self.cgroup.procs()?);
        let identity = self.identity.clone();
        let name = identity.as_ref().map(|i| std::ffi::CString::new(i.name.as_str()));
        let name = name.transpose().ok().flatten();
        command.process_group(0);
        // SAFETY: between fork and exec only a write to an open descriptor and the set*id calls
        // are made; the one allocation (the name) was made before the fork.
        unsafe {
            command.pre_exec(move || {
                procs.as_ref().write_all(b"0")?;
                match (&identity, &name) {
                    (Some(id), Some(name)) => become_user(id, name),
                    _ => Ok(()),
                }
            });
        }
        Ok(())
    }
}

fn become_user(id: &Identity, name: &std::ffi::CStr) -> io::Result<()> {
    nix::unistd::initgroups(name, id.gid)?;
    nix::unistd::setgid(id.gid)?;
    nix::unistd::setuid(id.uid)?;
    Ok(())
}

/// Starts a command of a step: as the invoking user, in `cwd`, its output in `log`.
///
/// # Errors
/// The program cannot be started or the file not made; both are named.
pub fn spawn_plain(argv: &[String], cwd: &Path, log: &Path) -> Result<Child, AppError> {
    let what = || format!("run {argv:?} in {}", cwd.display());
    let file =
        std::fs::File::create(log).map_err(AppError::io(format!("write {}", log.display())))?;
    let copy = file.try_clone().map_err(AppError::io(what()))?;
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).current_dir(cwd).stdin(Stdio::null()).stdout(file).stderr(copy);
    command.kill_on_drop(true);
    if let Some(identity) = user::resolve("exec", None)? {
        command.env("HOME", &identity.home).env("USER", &identity.name);
        command.uid(identity.uid.as_raw()).gid(identity.gid.as_raw());
    }
    command.spawn().map_err(AppError::io(what()))
}

/// Makes a descriptor survive exec: for the janitor, which takes over when we are killed.
pub(crate) fn inheritable(fd: impl AsFd) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}
