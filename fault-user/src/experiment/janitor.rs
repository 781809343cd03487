//! The janitor: a second process that does nothing until the controller is gone without a word
//! (`kill -9`). The kernel has detached all programs by then; what it cannot know is undone
//! here: cgroups are removed at once, and the apps, whose output nobody would read any more,
//! are kept alive until the run would have ended at the latest, so that an outage that was
//! killed in the middle ends like any other.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use serde::{Deserialize, Serialize};

use super::journal::{self, Journal};
use crate::app::cgroup::{self, RunCgroup};
use crate::app::output::Stream;
use crate::app::{Supervisor, supervisor};
use crate::scenario::Scenario;

/// What the controller says when it has cleaned up itself.
const DONE: &[u8] = b"done\n";
/// How long orphaned apps may go on when the scenario has no `duration`.
const DEFAULT_LINGER: Duration = Duration::from_secs(60);
/// Between SIGTERM and SIGKILL for orphaned apps.
const GRACE: Duration = Duration::from_secs(5);

/// What a janitor has to look after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Charge {
    cgroup_root: PathBuf,
    cgroup: String,
    journal: PathBuf,
    linger_ms: u64,
    /// Our ends of the apps' output, as inherited descriptors, and where it is copied.
    outputs: Vec<(i32, PathBuf)>,
}

impl Charge {
    pub(super) fn new(
        cgroup: &RunCgroup,
        journal: &Journal,
        scenario: &Scenario,
        apps: &Supervisor,
        apps_dir: &Path,
    ) -> Self {
        let linger = scenario.duration.unwrap_or(DEFAULT_LINGER);
        let output = |(i, app): (usize, &crate::scenario::model::App)| {
            let path = |s: Stream| apps_dir.join(format!("{}.{}", app.name, s.name()));
            apps.channels(i).map(|(s, c)| (c.ours.as_raw_fd(), path(s))).collect::<Vec<_>>()
        };
        Self {
            cgroup_root: cgroup.hierarchy().root().to_owned(),
            cgroup: cgroup.name().to_owned(),
            journal: journal.path().to_owned(),
            linger_ms: linger.as_millis() as u64,
            outputs: scenario.apps.iter().enumerate().flat_map(output).collect(),
        }
    }
}

/// The janitor of this run; told on drop that it is not needed.
pub struct Janitor {
    process: Child,
    line: UnixStream,
}

impl Janitor {
    pub(super) fn start(
        charge: &Charge,
        cgroup: &RunCgroup,
        journal: &Journal,
        apps: &Supervisor,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut inherited: Vec<i32> = charge.outputs.iter().map(|(fd, _)| *fd).collect();
        inherited.extend(cgroup.hierarchy().detached_fd());
        // Until it has cleaned up, the run's traces are nobody's leftovers.
        inherited.extend([cgroup.lock().as_raw_fd(), journal.lock().as_raw_fd()]);
        let mut command = Command::new("/proc/self/exe");
        command.arg0("flowfault").arg("janitor").stdin(OwnedFd::from(theirs));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: Ctrl-C is for the controller.
        command.process_group(0);
        // SAFETY: between fork and exec only fcntl is called, on descriptors that `apps`, `journal`
        // and `cgroup` keep open until after the fork.
        unsafe {
            command.pre_exec(move || {
                for fd in &inherited {
                    supervisor::inheritable(BorrowedFd::borrow_raw(*fd))?;
                }
                Ok(())
            });
        }
        let process = command.spawn()?;
        let _keeps_the_descriptors_open = apps;
        let mut line = ours;
        line.write_all(&serde_json::to_vec(charge)?)?;
        line.write_all(b"\n")?;
        Ok(Self { process, line })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // It reads to the end, so the line must end before it is waited for.
        let told = self.line.write_all(DONE);
        let told = told.and_then(|()| self.line.shutdown(Shutdown::Write));
        let told = told.and_then(|()| self.process.wait());
        if let Err(e) = told {
            tracing::warn!("the janitor does not answer: {e}");
        }
    }
}

/// The janitor's whole life. Its charge and then the controller's last word come on stdin.
///
/// # Errors
/// The charge cannot be read, or something cannot be undone.
pub fn tend() -> io::Result<()> {
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    let mut stdin = BufReader::new(io::stdin().lock());
    let mut charge = String::new();
    stdin.read_line(&mut charge)?;
    let charge: Charge = serde_json::from_str(&charge)?;
    let mut word = Vec::new();
    stdin.read_to_end(&mut word)?;
    if word == DONE {
        return Ok(());
    }
    take_over(&charge)
}

fn take_over(charge: &Charge) -> io::Result<()> {
    let undone = journal::undo(&charge.journal);
    let dir = charge.cgroup_root.join(&charge.cgroup);
    let orphans: Vec<OwnedFd> = cgroup::pids(&dir).into_iter().filter_map(pidfd).collect();
    charge.outputs.iter().try_for_each(|(fd, _)| forget_filter(*fd))?;
    move_out(charge, &dir)?;
    cgroup::rmdir_tree(&dir, Instant::now() + GRACE)?;
    // Without the entry nobody would know what is left.
    let forgotten = undone.and_then(|()| journal::forget(&charge.journal));
    linger(charge, orphans)?;
    forgotten
}

/// Takes the output filter off a socket that outlives the controller: with it the program and its
/// maps would stay loaded for as long as the app runs.
fn forget_filter(socket: i32) -> io::Result<()> {
    // The kernel wants a value, and does not look at it.
    let none = 0i32;
    // SAFETY: an inherited descriptor, and an int with its size.
    let done = unsafe {
        let length = size_of_val(&none) as libc::socklen_t;
        let value = (&raw const none).cast();
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, value, length)
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // ENOENT: no filter was attached; ENOTSOCK: a pipe.
        Some(libc::ENOENT | libc::ENOTSOCK) => Ok(()),
        _ if done == 0 => Ok(()),
        _ => Err(error),
    }
}

/// Moves the apps to where this process is: the cgroup that the run was started in.
fn move_out(charge: &Charge, dir: &Path) -> io::Result<()> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own.lines().find_map(|l| l.strip_prefix("0::/")).unwrap_or_default();
    let procs = charge.cgroup_root.join(own).join("cgroup.procs");
    // A process may fork while it is moved: until none is left.
    let deadline = Instant::now() + GRACE;
    loop {
        let pids = cgroup::pids(dir);
        if pids.is_empty() || Instant::now() > deadline {
            return Ok(());
        }
        for pid in pids {
            match fs::write(&procs, pid.to_string()) {
                // ESRCH: it is ending; it leaves the cgroup by itself.
                Err(e) if e.raw_os_error() != Some(libc::ESRCH) => return Err(e),
                _ => {}
            }
        }
    }
}

fn pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: plain numbers; a result that is not negative is a descriptor that nobody owns yet.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Reads the apps' output until they have ended, and ends them when their time is up.
fn linger(charge: &Charge, mut orphans: Vec<OwnedFd>) -> io::Result<()> {
    let mut outputs = Vec::new();
    for (fd, path) in &charge.outputs {
        // SAFETY: inherited for this purpose, owned by nobody else in this process.
        let fd = unsafe { File::from_raw_fd(*fd) };
        outputs.push((fd, File::options().append(true).create(true).open(path)?));
    }
    let term = Instant::now() + Duration::from_millis(charge.linger_ms);
    let mut told = false;
    while !orphans.is_empty() {
        let now = Instant::now();
        if now >= term && !told {
            told = true;
            orphans.iter().for_each(|p| send(p, libc::SIGTERM));
        } else if now >= term + GRACE {
            orphans.iter().for_each(|p| send(p, libc::SIGKILL));
        }
        wait(&outputs, &mut orphans)?;
        for (from, to) in &mut outputs {
            copy(from, to)?;
        }
    }
    Ok(())
}

/// Waits for output or for an app to end, half a second at most; forgets those that have ended.
fn wait(outputs: &[(File, File)], orphans: &mut Vec<OwnedFd>) -> io::Result<()> {
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut fds: Vec<PollFd<'_>> = orphans.iter().map(|p| readable(p.as_fd())).collect();
    fds.extend(outputs.iter().map(|(from, _)| readable(from.as_fd())));
    match poll(&mut fds, 500u16) {
        Err(e) if e != nix::errno::Errno::EINTR => return Err(e.into()),
        _ => {}
    }
    let mut ended: Vec<bool> =
        fds.iter().map(|f| f.revents().is_some_and(|r| !r.is_empty())).collect();
    ended.truncate(orphans.len());
    let mut ended = ended.into_iter();
    orphans.retain(|_| !ended.next().unwrap_or(false));
    Ok(())
}

fn copy(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to.write_all(&buffer[..n])?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

fn send(pidfd: &OwnedFd, signal: i32) {
    // SAFETY: a pidfd of ours and a signal number; no siginfo. ESRCH means that it has ended.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0usize, 0);
    }
}
