//! Which processes and cgroups the apps are that run already.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::AttachError;
use crate::app::Attached;
use crate::app::cgroup::{self, Hierarchy};
use crate::scenario::model::{App, Attach, Scenario};
use crate::sockets::{self, SocketsError};

const FLOWS: &str = "`flowfault flows` lists the processes that have connections";
const CGROUPS: &str = "A path is taken from the root of the cgroup2 hierarchy, for example \
                       `system.slice/x.service`; see `ps -eo pid,cgroup,comm`";
/// PROC_PID_INIT_INO (include/linux/proc_ns.h): the namespace whose numbers eBPF programs see.
const INITIAL_PID_NAMESPACE: u64 = 0xeffffffc;

/// An app that runs already.
#[derive(Debug)]
pub struct Target {
    /// Index of the app.
    pub app: usize,
    /// The process; `None`: all in the cgroup.
    pub process: Option<Attached>,
    /// Below the root of the hierarchy, with a slash at its beginning: its cgroup, or that of the process.
    pub cgroup: String,
    /// The kernel's number of that cgroup.
    pub cgroup_id: u64,
    directory: PathBuf,
}

impl Target {
    /// Ids of its processes now.
    pub fn pids(&self) -> Vec<i32> {
        match &self.process {
            Some(process) => vec![process.pid.cast_signed()],
            None => cgroup::pids(&self.directory),
        }
    }
}

/// Finds all of a scenario. Nothing is changed.
///
/// # Errors
/// One that is not there, not unique, or out of reach.
pub fn find(scenario: &Scenario) -> Result<Vec<Target>, AttachError> {
    let apps = scenario.apps.iter().enumerate();
    let apps = apps.filter_map(|(i, app)| Some((i, app, app.attach.as_ref()?)));
    let mut targets = Vec::new();
    for (index, app, attach) in apps {
        let target = match attach {
            Attach::Cgroup(path) => in_cgroup(index, app, path)?,
            Attach::Pid(_) | Attach::Process(_) => process(index, app, attach)?,
        };
        same_network(app, &target)?;
        targets.push(target);
    }
    Ok(targets)
}

fn system(app: &App, what: impl Into<String>) -> impl FnOnce(io::Error) -> AttachError {
    let (app, what) = (app.name.clone(), what.into());
    move |source| AttachError::System { app, what, source }
}

/// Takes hold of the process between two looks at who is meant: it is the same in both only if the one that is
/// held is.
fn process(index: usize, app: &App, attach: &Attach) -> Result<Target, AttachError> {
    let own = fs::metadata("/proc/self/ns/pid").map_err(system(app, "look at /proc/self/ns"))?;
    if own.ino() != INITIAL_PID_NAMESPACE {
        return Err(AttachError::PidNamespace { app: app.name.clone() });
    }
    loop {
        let pid = meant(app, attach)?;
        let held = match Attached::open(pid.cast_unsigned()) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => continue,
            other => other.map_err(system(app, format!("take hold of process {pid}")))?,
        };
        if meant(app, attach)? != pid || !held.runs() {
            continue;
        }
        let what = format!("read /proc/{pid}/cgroup");
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup"));
        let text = text.map_err(system(app, what))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let hierarchy = hierarchy(app)?;
        return target(index, app, &hierarchy, path.to_owned(), Some(held));
    }
}

fn meant(app: &App, attach: &Attach) -> Result<i32, AttachError> {
    let (target, words) = match attach {
        Attach::Pid(pid) => (sockets::Target::Pid(*pid), format!("process {pid}")),
        Attach::Process(name) => (
            sockets::Target::Process(name.clone()),
            format!("process called or started as `{name}`"),
        ),
        Attach::Cgroup(path) => (sockets::Target::Cgroup(path.clone()), path.clone()),
    };
    let app = || app.name.clone();
    let pids = target.pids().map_err(|e| match e {
        SocketsError::NoProcess { .. } => {
            AttachError::Nothing { app: app(), what: format!("there is no {words}"), remedy: FLOWS }
        }
        SocketsError::Ambiguous { candidates, .. } => AttachError::Ambiguous {
            app: app(),
            what: format!("there are {} {words}", candidates.len()),
            with: "`pid`, or all with `cgroup`",
            candidates,
        },
        SocketsError::Pattern { pattern, reason } => {
            AttachError::Pattern { app: app(), pattern, reason }
        }
        other => other.into(),
    })?;
    pids.first().copied().ok_or_else(|| AttachError::Nothing {
        app: app(),
        what: format!("there is no {words}"),
        remedy: FLOWS,
    })
}

fn hierarchy(app: &App) -> Result<Hierarchy, AttachError> {
    Hierarchy::find().map_err(|e| system(app, "find the cgroup2 hierarchy")(io::Error::other(e)))
}

fn in_cgroup(index: usize, app: &App, asked: &str) -> Result<Target, AttachError> {
    let hierarchy = hierarchy(app)?;
    let found = cgroups_called(hierarchy.root(), asked);
    match &found[..] {
        [one] => target(index, app, &hierarchy, one.clone(), None),
        [] => Err(AttachError::Nothing {
            app: app.name.clone(),
            what: format!("there is no cgroup `{asked}`"),
            remedy: CGROUPS,
        }),
        several => Err(AttachError::Ambiguous {
            app: app.name.clone(),
            what: format!("there are {} cgroups called `{asked}`", several.len()),
            with: "its whole path",
            candidates: several.iter().map(|path| format!("  {path}")).collect(),
        }),
    }
}

/// The cgroups that a scenario may mean: the one at this path, else all of this name.
pub fn cgroups_called(root: &Path, asked: &str) -> Vec<String> {
    let stripped = Path::new(asked).strip_prefix(root).unwrap_or(Path::new(asked));
    let path = stripped.to_string_lossy().trim_matches('/').to_owned();
    let mut found = Vec::new();
    if root.join(&path).is_dir() {
        found.push(format!("/{path}"));
    } else if !path.contains('/') {
        named(root, root, &path, &mut found);
    }
    found
}

/// All cgroups of that name, as the names of systemd's units are.
fn named(root: &Path, dir: &Path, name: &str, found: &mut Vec<String>) {
    // One that is removed meanwhile has no entries.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let path = entry.path();
        if entry.file_name() == name
            && let Ok(below) = path.strip_prefix(root)
        {
            found.push(format!("/{}", below.display()));
        }
        named(root, &path, name, found);
    }
}

fn target(
    app_index: usize,
    app: &App,
    hierarchy: &Hierarchy,
    cgroup: String,
    process: Option<Attached>,
) -> Result<Target, AttachError> {
    let directory = hierarchy.root().join(cgroup.trim_start_matches('/'));
    let what = format!("look at the cgroup {cgroup}");
    let cgroup_id = fs::metadata(&directory).map_err(system(app, what))?.ino();
    Ok(Target { app: app_index, process, cgroup, cgroup_id, directory })
}

fn same_network(app: &App, target: &Target) -> Result<(), AttachError> {
    let what = "look at this network namespace";
    let own = fs::metadata("/proc/thread-self/ns/net").map_err(system(app, what))?;
    for pid in target.pids() {
        match fs::metadata(format!("/proc/{pid}/ns/net")) {
            Ok(other) if other.ino() != own.ino() => {
                return Err(AttachError::Elsewhere { app: app.name.clone(), pid });
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                let what = format!("look at the network namespace of process {pid}");
                return Err(system(app, what)(e));
            }
            // Ours, or it has ended.
            _ => {}
        }
    }
    Ok(())
}

/// Where hooks have to be attached so that each socket of these cgroups and those below meets them once: a
/// program that hangs on a cgroup and on one above it runs twice.
pub fn covering(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths.dedup();
    let is_below = |path: &str, above: &str| {
        let above = above.trim_end_matches('/');
        path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')) && path != above
    };
    let all = paths.clone();
    paths.retain(|path| !all.iter().any(|above| above != path && is_below(path, above)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_looked_up_wherever_it_is() {
        let root = tempfile::tempdir().unwrap();
        for path in ["system.slice/x.service/worker", "user.slice/x.service", "y.service"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let lookup = |name: &str| {
            let mut found = Vec::new();
            named(root.path(), root.path(), name, &mut found);
            found.sort();
            found
        };
        assert_eq!(lookup("x.service"), ["/system.slice/x.service", "/user.slice/x.service"]);
        assert_eq!(lookup("worker"), ["/system.slice/x.service/worker"]);
        assert_eq!(lookup("y.service"), ["/y.service"]);
        assert!(lookup("z.service").is_empty());
    }

    #[test]
    fn no_hook_is_met_twice() {
        let covered = |paths: &[&str]| covering(paths.iter().map(|p| (*p).to_owned()).collect());
        assert_eq!(covered(&["/a", "/b", "/a"]), ["/a", "/b"]);
        assert_eq!(covered(&["/a/x", "/a", "/a-b", "/a/x/y"]), ["/a", "/a-b"]);
        assert_eq!(covered(&["/flowfault-1", "/", "/a/b"]), ["/"]);
    }
}
