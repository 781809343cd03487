//! The directory of a run's results: made before the run, filled at its end, read by `report`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use super::model::{Report, SCHEMA};
use super::{html, json, junit, kept};

/// Name of the report in its directory.
pub const REPORT: &str = "report.json";
const PAGE: &str = "report.html";
const JUNIT: &str = "junit.xml";
/// Every event of the run, below its directory.
pub const EVENTS: &str = "events.jsonl";
/// The same of a run that is longer than memory, or that is not over yet.
pub const LONG_EVENTS: &str = "events.jsonl.zst";
/// All sends of a run that has too many for its report.
pub const SENDS: &str = "sends.jsonl.zst";
/// The packets that faults touched, below its directory.
pub const CAPTURE: &str = "dropped.pcapng";
/// Directory of what the apps and the steps' commands wrote.
pub const APPS: &str = "apps";
/// How the names of the files in there end.
const LOGS: [&str; 3] = ["stdout", "stderr", "exec"];

/// Why results could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory belongs to an earlier run.
    #[error("{} already holds the report of a run: name another directory with --out, or add --overwrite", .0.display())]
    Occupied(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}; check that the path is right, writable and has space left, or name another with --out", .path.display())]
    Write {
        /// What was tried, e.g. `create`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A format could not be rendered.
    #[error("cannot render {file}: {reason}; this is a bug of flowfault, please report it")]
    Render {
        /// The file it was for.
        file: &'static str,
        /// What the renderer said.
        reason: String,
    },
    /// SUDO_UID or SUDO_GID is no number.
    #[error(
        "the environment variable {name} is {value:?}, not a number: unset it, or start flowfault through sudo"
    )]
    SudoId {
        /// Which variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// There is nothing to read.
    #[error("{} holds no {REPORT}: name the directory that a finished run wrote (--out, by default under fault-runs/)", .0.display())]
    Missing(PathBuf),
    /// The report is there but cannot be read.
    #[error("cannot read {}: {source}; check its permissions", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The report is of another version of the layout.
    #[error("{} has schema {found}, this flowfault reads schema {SCHEMA}: use the flowfault that wrote it", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version that it names.
        found: u64,
    },
    /// The report is damaged, or no report at all.
    #[error("{} is not a report of flowfault: {source}; run the scenario again", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
}

/// Whom the results belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// The user behind sudo; `None` without root or without sudo.
    ///
    /// # Errors
    /// SUDO_UID or SUDO_GID is set to something that is no number.
    pub fn behind_sudo() -> Result<Option<Self>, Error> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        Self::from_values(|name| std::env::var(name).ok())
    }

    fn from_values(value: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>, Error> {
        let id = |name| match value(name) {
            None => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|_| Error::SudoId { name, value }),
        };
        let ids = id("SUDO_UID")?.zip(id("SUDO_GID")?);
        Ok(ids.map(|(uid, gid)| Self { uid, gid }))
    }
}

/// A directory for the results of one run.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
    owner: Option<Owner>,
}

impl OutDir {
    /// Makes the directory and its parents, before the run, so that a bad path costs no run.
    ///
    /// An earlier run's report.json, report.html and junit.xml are removed at once, and with
    /// `overwrite` its events and the apps' output: should this run die, they must not pass for
    /// its results. What is made here belongs to `owner` (see [`Owner::behind_sudo`]).
    ///
    /// # Errors
    /// The directory holds a report and `overwrite` is false; it cannot be made or cleared.
    pub fn create(path: &Path, overwrite: bool, owner: Option<Owner>) -> Result<Self, Error> {
        let dir = Self { path: path.to_owned(), owner };
        // symlink_metadata: a dangling link is something that would be replaced, too.
        if !overwrite && path.join(REPORT).symlink_metadata().is_ok() {
            return Err(Error::Occupied(path.to_owned()));
        }
        dir.make_with_parents()?;
        for name in [REPORT, PAGE, JUNIT] {
            dir.remove_if_there(&path.join(name))?;
        }
        if overwrite {
            dir.remove_logs()?;
        }
        Ok(dir)
    }

    /// Makes a directory that was not there before: `path`, or `path-2`, `path-3` and so on.
    /// Two runs that begin in the same second get one each.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create_new(path: &Path, owner: Option<Owner>) -> Result<Self, Error> {
        if let Some(parent) = path.parent() {
            Self { path: parent.to_owned(), owner }.make_with_parents()?;
        }
        let mut dir = Self { path: path.to_owned(), owner };
        for n in 2u32.. {
            match fs::create_dir(&dir.path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed("create", &dir.path, e)),
                Ok(()) => break,
            }
            let mut name = path.as_os_str().to_owned();
            name.push(format!("-{n}"));
            dir.path = name.into();
        }
        dir.give(&dir.path)?;
        Ok(dir)
    }

    /// Where it is; the run puts its logs and captures below.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes report.html and junit.xml, then report.json: where that is, the results are complete.
    ///
    /// # Errors
    /// A file cannot be rendered or written; it then is not there at all.
    pub fn write(&self, report: &Report) -> Result<(), Error> {
        let failed = |file, reason: String| Error::Render { file, reason };
        let junit = junit::render(report).map_err(|e| failed(JUNIT, e.to_string()))?;
        let json = json::render(report).map_err(|e| failed(REPORT, e.to_string()))?;
        self.replace(PAGE, &html::render(report))?;
        self.replace(JUNIT, &junit)?;
        self.replace(REPORT, &json)
    }

    /// Gives everything below the directory to the owner, for files that were written as root.
    ///
    /// # Errors
    /// An entry cannot be listed or given away. Symbolic links are given away, never followed.
    pub fn hand_over(&self) -> Result<(), Error> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        let mut pending = vec![self.path.clone()];
        while let Some(path) = pending.pop() {
            lchown(&path, Some(owner.uid), Some(owner.gid))
                .map_err(|e| failed("change the owner of", &path, e))?;
            let kind = path.symlink_metadata().map_err(|e| failed("examine", &path, e))?;
            if kind.is_dir() {
                for entry in fs::read_dir(&path).map_err(|e| failed("list", &path, e))? {
                    pending.push(entry.map_err(|e| failed("list", &path, e))?.path());
                }
            }
        }
        Ok(())
    }

    fn make_with_parents(&self) -> Result<(), Error> {
        let missing: Vec<&Path> = self
            .path
            .ancestors()
            .filter(|p| !p.as_os_str().is_empty())
            .take_while(|p| !p.exists())
            .collect();
        fs::create_dir_all(&self.path).map_err(|e| failed("create", &self.path, e))?;
        // Only what was made here changes hands, not a parent that was there before.
        for made in missing {
            self.give(made)?;
        }
        Ok(())
    }

    /// Removes what a run writes while it goes on. Nothing else: the directory is the user's.
    fn remove_logs(&self) -> Result<(), Error> {
        for name in [EVENTS, LONG_EVENTS, SENDS] {
            self.remove_if_there(&self.path.join(name))?;
        }
        self.remove_if_there(&self.path.join(CAPTURE))?;
        let apps = self.path.join(APPS);
        let entries = match fs::read_dir(&apps) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|e| failed("list", &apps, e))?,
        };
        for entry in entries {
            let path = entry.map_err(|e| failed("list", &apps, e))?.path();
            if path.extension().is_some_and(|x| LOGS.iter().any(|l| x == *l)) {
                self.remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn remove_if_there(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, e)),
            _ => Ok(()),
        }
    }

    /// By rename, so that a reader sees the whole file or none.
    fn replace(&self, name: &str, content: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!(".{name}.{}", std::process::id()));
        let result = self.write_beside(&temporary, content).and_then(|()| {
            fs::rename(&temporary, &path)
                .map_err(|e| failed("rename a temporary file to", &path, e))
        });
        if result.is_err() {
            // The first error is the one to tell; a failing removal would only hide it.
            _ = fs::remove_file(&temporary);
        }
        result
    }

    fn write_beside(&self, temporary: &Path, content: &str) -> Result<(), Error> {
        let write = || {
            let mut file = fs::File::create(temporary)?;
            file.write_all(content.as_bytes())?;
            // A rename that survives a power cut must not name an empty file.
            file.sync_all()
        };
        write().map_err(|e| failed("write", temporary, e))?;
        self.give(temporary)
    }

    fn give(&self, path: &Path) -> Result<(), Error> {
        match self.owner {
            Some(owner) => lchown(path, Some(owner.uid), Some(owner.gid))
                .map_err(|e| failed("change the owner of", path, e)),
            None => Ok(()),
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Write { action, path: path.to_owned(), source }
}

/// Where the events of a run are.
pub fn events(dir: &Path) -> PathBuf {
    let long = dir.join(LONG_EVENTS);
    if long.exists() { long } else { dir.join(EVENTS) }
}

/// Reads the report of a finished run.
///
/// # Errors
/// There is none, it cannot be read, it is damaged, or it is of another schema version.
pub fn load(dir: &Path) -> Result<Report, Error> {
    let path = dir.join(REPORT);
    let text = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing(dir.to_owned()),
        _ => Error::Read { path: path.clone(), source },
    })?;
    /// Another version may differ in every other field: this one is read alone, first.
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u64,
    }
    let malformed = |source| Error::Malformed { path: path.clone(), source };
    let version: Version = serde_json::from_slice(&text).map_err(malformed)?;
    if version.schema != u64::from(SCHEMA) {
        return Err(Error::Schema { path, found: version.schema });
    }
    serde_json::from_slice(&text).map_err(malformed)
}

/// The same with all of its sends, however many: each takes some 0.5 KB.
///
/// # Errors
/// As [`load`]; the file with all sends cannot be read.
pub fn load_whole(dir: &Path) -> Result<Report, Error> {
    let mut report = load(dir)?;
    if report.sends_omitted > 0 {
        let path = dir.join(SENDS);
        let sends = fs::File::open(&path).and_then(kept::read);
        let sends = sends.and_then(Iterator::collect::<io::Result<Vec<_>>>);
        report.sends = sends.map_err(|source| Error::Read { path, source })?;
        report.sends.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
        report.sends_omitted = 0;
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
