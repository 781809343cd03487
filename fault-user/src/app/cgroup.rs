//! One cgroup per app below one per run: what makes "the connections of this app" a question
//! that the kernel can answer. Removed on drop; the janitor does it when we are killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::AppError;
use crate::mount;

/// Names of our cgroups begin with this.
pub const PREFIX: &str = "flowfault-";
/// How long a killed process may take to leave its cgroup.
const RMDIR_PATIENCE: Duration = Duration::from_secs(3);

/// The cgroup2 hierarchy of this machine.
#[derive(Debug)]
pub struct Hierarchy {
    root: PathBuf,
    /// A mount of our own, where /sys hides the real one (`ip netns exec` remounts it). Lives as
    /// long as this descriptor.
    detached: Option<OwnedFd>,
}

impl Hierarchy {
    /// Finds the mounted hierarchy, or takes a detached mount of it.
    ///
    /// # Errors
    /// Neither is possible.
    pub fn find() -> Result<Self, AppError> {
        if let Some(root) = mounted() {
            return Ok(Self { root, detached: None });
        }
        let fd = mount::detached(c"cgroup2").map_err(|source| AppError::NoCgroup2 { source })?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        Ok(Self { root, detached: Some(fd) })
    }

    /// Where it is, for this process (and for one that inherits [`Self::detached_fd`]).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The descriptor that keeps a detached mount alive.
    pub fn detached_fd(&self) -> Option<i32> {
        self.detached.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Cgroups of ours, by name.
    pub fn ours(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        names.filter(|n| n.starts_with(PREFIX)).collect()
    }
}

fn mounted() -> Option<PathBuf> {
    let mounts = procfs::process::Process::myself().ok()?.mountinfo().ok()?;
    // A later mount on the same place hides an earlier one: take one that really is there.
    let mut points = mounts.into_iter().filter(|m| m.fs_type == "cgroup2").map(|m| m.mount_point);
    points.rfind(|p| p.join("cgroup.procs").exists())
}

/// The cgroup of one run.
#[derive(Debug)]
#[must_use = "dropping it kills what still runs in it and removes it"]
pub struct RunCgroup {
    hierarchy: Hierarchy,
    name: String,
    /// Says that it is in use, to this machine's other flowfaults.
    lock: File,
}

/// The cgroup of one app.
#[derive(Debug)]
pub struct AppCgroup {
    dir: PathBuf,
    /// What `bpf_get_current_cgroup_id` returns for its processes.
    pub id: u64,
}

impl RunCgroup {
    /// Makes `flowfault-RUN` at the top of the hierarchy.
    ///
    /// # Errors
    /// No permission, or a name that is taken.
    pub fn create(run: &str) -> Result<Self, AppError> {
        let hierarchy = Hierarchy::find()?;
        let name = format!("{PREFIX}{run}");
        let dir = hierarchy.root.join(&name);
        let what = || format!("make the cgroup {}", dir.display());
        fs::create_dir(&dir).map_err(AppError::io(what()))?;
        let lock = File::open(&dir).and_then(|f| f.lock().map(|()| f));
        let lock = lock.map_err(AppError::io(what()))?;
        Ok(Self { hierarchy, name, lock })
    }

    /// The descriptor that says that it is in use.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The hierarchy that it is in.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Its name, without the hierarchy's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, opened: what programs are attached to.
    ///
    /// # Errors
    /// It is gone.
    pub fn open(&self) -> Result<File, AppError> {
        let dir = self.dir();
        File::open(&dir).map_err(AppError::io(format!("open the cgroup {}", dir.display())))
    }

    fn dir(&self) -> PathBuf {
        self.hierarchy.root.join(&self.name)
    }

    /// Makes the cgroup of an app.
    ///
    /// # Errors
    /// No permission.
    pub fn app(&self, name: &str) -> Result<AppCgroup, AppError> {
        let dir = self.dir().join(name);
        let what = || format!("make the cgroup {}", dir.display());
        fs::create_dir(&dir).map_err(AppError::io(what()))?;
        let id = fs::metadata(&dir).map_err(AppError::io(what()))?.ino();
        Ok(AppCgroup { dir, id })
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        if let Err(e) = remove(&self.dir()) {
            tracing::warn!("cannot remove the cgroup {}: {e}; run `flowfault clean`", self.name);
        }
    }
}

impl AppCgroup {
    /// The file that a process writes "0" to in order to join.
    ///
    /// # Errors
    /// It is gone.
    pub fn procs(&self) -> Result<File, AppError> {
        let path = self.dir.join("cgroup.procs");
        File::options()
            .write(true)
            .open(&path)
            .map_err(AppError::io(format!("open {}", path.display())))
    }

    /// Kills all of its processes.
    pub fn kill(&self) {
        kill(&self.dir);
    }

    /// Name of the app that it is for.
    pub fn name(&self) -> &str {
        self.dir.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }

    /// Its processes and those of the cgroups that they have made below.
    pub fn pids(&self) -> Vec<i32> {
        pids(&self.dir)
    }

    /// Whether a process is left in it or below; a zombie is none (cgroup-v2.rst, cgroup.events).
    pub fn populated(&self) -> bool {
        let events = fs::read_to_string(self.dir.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|l| l == "populated 1")
    }
}

/// Processes of a cgroup and those below it.
pub fn pids(dir: &Path) -> Vec<i32> {
    let own = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = own.lines().filter_map(|l| l.parse().ok()).collect();
    // 0 stands for a process of another pid namespace; as an argument of kill() for our own group.
    all.retain(|pid| *pid > 0);
    all.extend(children(dir).iter().flat_map(|c| pids(c)));
    all
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    dirs.map(|e| e.path()).collect()
}

fn kill(dir: &Path) {
    // cgroup.kill (5.14) takes the whole tree at once, forks in flight included.
    if fs::write(dir.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in pids(dir) {
        let pid = nix::unistd::Pid::from_raw(pid);
        // ESRCH: it ended by itself, which is what is wanted.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

/// Kills what is left in a cgroup and removes it with all below it.
///
/// # Errors
/// Processes do not go away within 3 s, or no permission.
pub fn remove(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    kill(dir);
    rmdir_tree(dir, Instant::now() + RMDIR_PATIENCE)
}

/// Removes a cgroup whose processes are gone or going.
///
/// # Errors
/// As [`remove`].
pub fn rmdir_tree(dir: &Path, deadline: Instant) -> io::Result<()> {
    for child in children(dir) {
        rmdir_tree(&child, deadline)?;
    }
    loop {
        match fs::remove_dir(dir) {
            // EBUSY: a killed process has not been reaped yet; there is no event to wait for
            // that a detached mount would deliver.
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}
