//! What outlives this process if it is killed, written down before it is made: `flowfault clean`
//! and the janitor undo it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::claim::Claim;
use super::sysctl::{self, Saved};
use crate::app::cgroup::{self, Hierarchy, PREFIX};
use crate::app::hold;
use crate::kernel::{Filters, Keeper};

/// One run's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Process that owns the run.
    pub pid: i32,
    /// Its start time (field 22 of /proc/PID/stat): tells it from a later process of that number.
    pub started: u64,
    /// Name of the run's cgroup.
    pub cgroup: String,
    /// Settings that the run changes, with the values that they had.
    #[serde(default)]
    pub settings: Vec<Saved>,
    /// Its filters, on a kernel whose packet programs do not go with their process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
}

/// The entry of this process's run; removed on drop.
#[derive(Debug)]
#[must_use = "dropping it says that nothing is left to undo"]
pub struct Journal {
    path: PathBuf,
    entry: Entry,
    /// Says that the run goes on, to who cannot see its process.
    lock: File,
    /// Says that it needs the settings, to who cannot see the entry.
    _claim: Option<Claim>,
}

impl Journal {
    /// Writes the entry of run `name`, and then changes the settings that a delay line needs, if
    /// it has one.
    ///
    /// # Errors
    /// The journal's directory cannot be made or written, or a setting not be changed, or a run that has its journal
    /// elsewhere needs it.
    pub fn write(name: &str, line: bool) -> io::Result<Self> {
        let dir = directory();
        fs::create_dir_all(&dir)?;
        let turn = in_turn()?;
        let _claim = line.then(|| Claim::take(&dir)).transpose()?;
        let settings = if line { sysctl::survey(&settings_of(&entries()))? } else { Vec::new() };
        let pid = std::process::id() as i32;
        let started = start_time(pid).unwrap_or_default();
        let entry =
            Entry { pid, started, cgroup: format!("{PREFIX}{name}"), settings, filters: None };
        let path = dir.join(format!("{name}.json"));
        // Empty, and so no entry to anybody, until it is locked.
        let mut lock = File::create_new(&path)?;
        lock.lock()?;
        lock.write_all(&serde_json::to_vec(&entry)?)?;
        // Dropped on an error, it restores what was changed.
        let journal = Self { path, entry, lock, _claim };
        let set = journal.entry.settings.iter().try_for_each(Saved::set);
        drop(turn);
        set.map(|()| journal)
    }

    /// Who adds the run's filters to the entry.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn keeper(&self) -> io::Result<impl Keeper + use<>> {
        let file = self.lock.try_clone()?;
        Ok(FilterKeeper { path: self.path.clone(), entry: self.entry.clone(), file })
    }

    /// The descriptor that says that the run goes on.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Where the entry is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

struct FilterKeeper {
    path: PathBuf,
    entry: Entry,
    file: File,
}

impl Keeper for FilterKeeper {
    fn keep(&mut self, filters: &Filters) -> io::Result<()> {
        self.entry.filters = Some(filters.clone());
        // In place, because the lock is the file's, and in one call, which a kill does not tear
        // in two: what there is to say only grows.
        let bytes = serde_json::to_vec(&self.entry)?;
        match self.file.write_at(&bytes, 0)? == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn others(&self) -> Vec<Filters> {
        let others = entries().into_iter().filter(|(path, _)| *path != self.path);
        others.filter_map(|(_, e)| e.filters).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(e) = close(&self.path, &self.entry) {
            tracing::warn!("cannot close the journal {}: {e}", self.path.display());
        }
    }
}

/// Restores the settings of an entry that no other run needs, and removes the entry. If they
/// cannot be restored it stays, for `flowfault clean`.
fn close(path: &Path, entry: &Entry) -> io::Result<()> {
    let _in_turn = in_turn()?;
    restore(path, entry)?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Restores the settings of the entry at `path` that no other run needs. Whoever does it stands
/// in turn: of two runs that end at a time one must see that it is the last.
fn restore(path: &Path, entry: &Entry) -> io::Result<()> {
    if entry.settings.is_empty() {
        return Ok(());
    }
    let others = entries().into_iter().filter(|(other, e)| other != path && runs(other, e));
    let needed = settings_of(&others.collect::<Vec<_>>());
    let mut free = entry.settings.iter().filter(|s| !needed.iter().any(|n| n.is_of(s)));
    free.try_for_each(Saved::restore)
}

fn settings_of(entries: &[(PathBuf, Entry)]) -> Vec<Saved> {
    entries.iter().flat_map(|(_, e)| e.settings.clone()).collect()
}

/// One run at a time looks at what the others have changed and does something about it. Ends with
/// the process, however that ends.
fn in_turn() -> io::Result<File> {
    let directory = File::open(directory())?;
    directory.lock()?;
    Ok(directory)
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
    /// What the journal says of the run.
    entry: Option<Entry>,
}

/// Leftovers of runs whose process is gone. Runs that go on are left out.
pub fn leftovers() -> Vec<Leftover> {
    let entries = entries();
    let (alive, dead): (Vec<_>, Vec<_>) = entries.iter().partition(|(p, e)| runs(p, e));
    let alive: Vec<&str> = alive.iter().map(|(_, e)| e.cgroup.as_str()).collect();
    let hierarchy = Hierarchy::find().ok();
    let ours = hierarchy.as_ref().map(Hierarchy::ours).unwrap_or_default();
    let root = hierarchy.as_ref().map(|h| h.root().to_owned());
    let mut found = Vec::new();
    for (path, entry) in dead {
        found.push(Leftover {
            what: format!("journal of the run of process {}, which is gone", entry.pid),
            path: Some(path.clone()),
            cgroup: None,
            entry: Some(entry.clone()),
        });
    }
    for name in ours.iter().filter(|n| !alive.contains(&n.as_str())) {
        let cgroup = root.as_ref().map(|r| r.join(name));
        // Its journal may be under another /run.
        if cgroup.as_deref().is_some_and(hold::is_held) {
            continue;
        }
        let what = format!("cgroup {name}");
        found.push(Leftover { what, path: None, cgroup, entry: None });
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
            Ok(true) => done.push(leftover),
            Ok(false) => {}
            Err(e) => failed.push((leftover, e)),
        }
    }
    (done, failed)
}

/// Removes it, and says whether it did: a run may have come by it since it was listed.
fn remove(leftover: &Leftover) -> io::Result<bool> {
    for place in [&leftover.cgroup, &leftover.path].into_iter().flatten() {
        // Held while it is removed: of two cleaners, one does it.
        let lock = match hold::take(place) {
            Ok(None) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if place.is_dir() {
            cgroup::remove(place)?;
        } else {
            // Before the entry goes: it is the only one that knows them.
            leftover.entry.iter().try_for_each(|e| finish(place, e))?;
        }
        drop(lock);
    }
    Ok(true)
}

/// Undoes what the entry at `path` has on record: restores settings, takes off filters.
///
/// # Errors
/// A setting cannot be written, or the kernel refuses to remove a filter.
pub fn undo(path: &Path) -> io::Result<()> {
    let Some(entry) = read(path)? else { return Ok(()) };
    let filters = entry.filters.as_ref().map_or(Ok(()), Filters::remove);
    let restored = in_turn().and_then(|_in_turn| restore(path, &entry));
    filters.and(restored)
}

/// Removes the entry at `path`, of which the rest is undone. Settings that another run needed
/// until now are restored if it needs them no longer.
///
/// # Errors
/// A setting cannot be written, or the entry not be removed.
pub fn forget(path: &Path) -> io::Result<()> {
    read(path)?.map_or(Ok(()), |entry| close(path, &entry))
}

/// Both, of an entry that was read.
fn finish(path: &Path, entry: &Entry) -> io::Result<()> {
    entry.filters.as_ref().map_or(Ok(()), Filters::remove)?;
    close(path, entry)
}

fn read(path: &Path) -> io::Result<Option<Entry>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Some(serde_json::from_slice(&other?)?)),
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

/// Whether the run of an entry goes on: its process (or its janitor) holds the entry. The process
/// itself is asked for as well: earlier versions held nothing.
fn runs(path: &Path, entry: &Entry) -> bool {
    hold::is_held(path) || start_time(entry.pid).is_some_and(|t| t == entry.started)
}
