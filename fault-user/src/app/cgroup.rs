//! One cgroup per app below one per run: what makes "the connections of this app" a question
//! that the kernel can answer. Removed on drop; the janitor does it when we are killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::AppError;

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
        let fd = mount_detached().map_err(|source| AppError::NoCgroup2 { source })?;
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

/// fsopen, fsconfig(CREATE), fsmount: no mount point, no trace (fsopen(2), Linux 5.2).
fn mount_detached() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    let check = |r: i64| if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r as i32) };
    // SAFETY: a NUL-terminated name and a plain flag; the result is checked and owned.
    let fs = unsafe {
        let fd = libc::syscall(libc::SYS_fsopen, c"cgroup2".as_ptr(), FSOPEN_CLOEXEC);
        OwnedFd::from_raw_fd(check(fd)?)
    };
    // SAFETY: the command takes no key, value or aux; all are zero.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), FSCONFIG_CMD_CREATE, 0usize, 0usize, 0)
    })?;
    // SAFETY: plain numbers; the result is checked and owned.
    let mount = unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, 0u32) };
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(check(mount)?) })
}

/// The cgroup of one run.
#[derive(Debug)]
#[must_use = "dropping it kills what still runs in it and removes it"]
pub struct RunCgroup {
    hierarchy: Hierarchy,
    name: String,
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
        fs::create_dir(&dir).map_err(AppError::io(format!("make the cgroup {}", dir.display())))?;
        Ok(Self { hierarchy, name })
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
}

/// Processes of a cgroup and those below it.
pub fn pids(dir: &Path) -> Vec<i32> {
    let own = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = own.lines().filter_map(|l| l.parse().ok()).collect();
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
