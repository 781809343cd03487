//! What outlives this process if it is killed, written down before it is made: `flowfault clean`
//! and the janitor undo it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::app::cgroup::{self, Hierarchy, PREFIX};

/// One run's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Process that owns the run.
    pub pid: i32,
    /// Its start time (field 22 of /proc/PID/stat): tells it from a later process of that number.
    pub started: u64,
    /// Name of the run's cgroup.
    pub cgroup: String,
}

/// The entry of this process's run; removed on drop.
#[derive(Debug)]
#[must_use = "dropping it says that nothing is left to undo"]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// Writes the entry of run `name`.
    ///
    /// # Errors
    /// The journal's directory cannot be made or written.
    pub fn write(name: &str) -> io::Result<Self> {
        let dir = directory();
        fs::create_dir_all(&dir)?;
        let pid = std::process::id() as i32;
        let started = start_time(pid).unwrap_or_default();
        let entry = Entry { pid, started, cgroup: format!("{PREFIX}{name}") };
        let path = dir.join(format!("{name}.json"));
        fs::write(&path, serde_json::to_vec(&entry)?)?;
        Ok(Self { path })
    }

    /// Where the entry is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {e}", self.path.display());
        }
    }
}

fn directory() -> PathBuf {
    let run = Path::new("/run");
    let base = if run.is_dir() { run.to_owned() } else { std::env::temp_dir() };
    base.join("flowfault")
}

fn start_time(pid: i32) -> Option<u64> {
    procfs::process::Process::new(pid).ok()?.stat().ok().map(|s| s.starttime)
}

/// Something that an earlier run has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is, for people.
    pub what: String,
    /// The journal's entry, if there is one.
    path: Option<PathBuf>,
    /// The cgroup, if it is still there.
    cgroup: Option<PathBuf>,
}

/// Leftovers of runs whose process is gone. Runs that go on are left out.
pub fn leftovers() -> Vec<Leftover> {
    let entries = entries();
    let alive: Vec<&str> =
        entries.iter().filter(|(_, e)| runs(e)).map(|(_, e)| e.cgroup.as_str()).collect();
    let hierarchy = Hierarchy::find().ok();
    let ours = hierarchy.as_ref().map(Hierarchy::ours).unwrap_or_default();
    let root = hierarchy.as_ref().map(|h| h.root().to_owned());
    let mut found = Vec::new();
    for (path, entry) in entries.iter().filter(|(_, e)| !runs(e)) {
        found.push(Leftover {
            what: format!("journal of the run of process {}, which is gone", entry.pid),
            path: Some(path.clone()),
            cgroup: None,
        });
    }
    for name in ours.iter().filter(|n| !alive.contains(&n.as_str())) {
        let cgroup = root.as_ref().map(|r| r.join(name));
        found.push(Leftover { what: format!("cgroup {name}"), path: None, cgroup });
    }
    found
}

/// Removes all leftovers; says what, and what could not be removed.
pub fn clean() -> (Vec<Leftover>, Vec<(Leftover, io::Error)>) {
    // A detached hierarchy's paths live as long as this: keep it while removing.
    let _hierarchy = Hierarchy::find();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for leftover in leftovers() {
        match remove(&leftover) {
            Ok(()) => done.push(leftover),
            Err(e) => failed.push((leftover, e)),
        }
    }
    (done, failed)
}

fn remove(leftover: &Leftover) -> io::Result<()> {
    if let Some(dir) = &leftover.cgroup {
        cgroup::remove(dir)?;
    }
    match leftover.path.as_ref().map(fs::remove_file) {
        Some(Err(e)) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn entries() -> Vec<(PathBuf, Entry)> {
    let Ok(dir) = fs::read_dir(directory()) else { return Vec::new() };
    let paths =
        dir.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "json"));
    let read = |path: PathBuf| {
        let entry = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        Some((path, entry))
    };
    paths.filter_map(read).collect()
}

fn runs(entry: &Entry) -> bool {
    start_time(entry.pid).is_some_and(|t| t == entry.started)
}
