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
const CONTAINERS: &str = "`docker ps`, `podman ps` or `crictl ps` list those that run; flowfault has to see their \
                          cgroups, in a hierarchy of version 2";
/// Digits of the id of a container.
const CONTAINER_ID: usize = 64;
/// Digits of the UID of a pod: 36 with dashes, and 32 for those that the kubelet itself makes.
const POD_ID: usize = 32;
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
    /// The process's children are the app's as well.
    pub children: bool,
    directory: PathBuf,
}

/// The cgroup of a process, as it is seen from the root of the hierarchy.
fn cgroup_of(pid: i32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned())
}

impl Target {
    /// Where its sockets may open: its cgroup, and those that its children are in.
    pub fn cgroups(&self) -> Vec<String> {
        let children = if self.children { self.pids() } else { Vec::new() };
        // One that has ended has none.
        let theirs = children.into_iter().filter_map(|pid| cgroup_of(pid).ok());
        std::iter::once(self.cgroup.clone()).chain(theirs).collect()
    }

    /// Ids of its processes now.
    pub fn pids(&self) -> Vec<i32> {
        match &self.process {
            Some(process) if self.children => sockets::with_descendants(process.pid.cast_signed()),
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
        targets.push(match attach {
            Attach::Cgroup(path) => in_cgroup(index, app, path)?,
            Attach::Container(id) => container(index, app, id)?,
            Attach::Pid(_) | Attach::Process(_) => process(index, app, attach)?,
        });
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
        let path = cgroup_of(pid).map_err(system(app, what))?;
        let hierarchy = hierarchy(app)?;
        return target(index, app, &hierarchy, path, Some(held));
    }
}

fn meant(app: &App, attach: &Attach) -> Result<i32, AttachError> {
    let (target, words) = match attach {
        Attach::Pid(pid) => (sockets::Target::Pid(*pid), format!("process {pid}")),
        Attach::Process(name) => (
            sockets::Target::Process(name.clone()),
            format!("process called or started as `{name}`"),
        ),
        Attach::Cgroup(path) | Attach::Container(path) => {
            (sockets::Target::Cgroup(path.clone()), path.clone())
        }
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
    only(index, app, &hierarchy, &found, || {
        (
            format!("cgroup `{asked}`"),
            CGROUPS,
            format!("cgroups called `{asked}`"),
            "its whole path",
        )
    })
}

/// Who makes containers names their cgroups after them.
fn container(index: usize, app: &App, id: &str) -> Result<Target, AttachError> {
    let hierarchy = hierarchy(app)?;
    let (root, mut found) = (hierarchy.root(), Vec::new());
    below(root, root, &|name| container_of(name).is_some_and(|c| c.starts_with(id)), &mut found);
    if found.is_empty() {
        // Unlike a cgroup's name, an id is a new one with each start.
        let what = format!("there is no container or pod `{id}`");
        return Err(AttachError::Nothing { app: app.name.clone(), what, remedy: CONTAINERS });
    }
    only(index, app, &hierarchy, &found, || {
        let several = format!("containers and pods whose ids begin with `{id}`");
        (format!("container or pod `{id}`"), CONTAINERS, several, "more digits")
    })
}

/// The one that was found; the words are for what is not there, where to look, what there are several of, and what
/// tells those apart.
fn only(
    index: usize,
    app: &App,
    hierarchy: &Hierarchy,
    found: &[String],
    words: impl FnOnce() -> (String, &'static str, String, &'static str),
) -> Result<Target, AttachError> {
    if let [one] = found {
        return target(index, app, hierarchy, one.clone(), None);
    }
    let (asked, remedy, several, with) = words();
    let app = app.name.clone();
    if found.is_empty() {
        return Err(AttachError::NoCgroup { app, what: format!("there is no {asked}"), remedy });
    }
    let what = format!("there are {} {several}", found.len());
    let candidates = found.iter().map(|path| format!("  {path}")).collect();
    Err(AttachError::Ambiguous { app, what, with, candidates })
}

/// The cgroups that a scenario may mean: the one at this path, else all of this name.
pub fn cgroups_called(root: &Path, asked: &str) -> Vec<String> {
    let stripped = Path::new(asked).strip_prefix(root).unwrap_or(Path::new(asked));
    let path = stripped.to_string_lossy().trim_matches('/').to_owned();
    let mut found = Vec::new();
    if root.join(&path).is_dir() {
        found.push(format!("/{path}"));
    } else if !path.contains('/') {
        below(root, root, &|name| name == path, &mut found);
    }
    found
}

/// All cgroups of such a name, wherever they are; below one of them nothing is looked for.
fn below(root: &Path, dir: &Path, is_it: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    // One that is removed meanwhile has no entries.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let path = entry.path();
        match path.strip_prefix(root) {
            Ok(below) if entry.file_name().to_str().is_some_and(is_it) => {
                found.push(format!("/{}", below.display()));
            }
            _ => below(root, &path, is_it, found),
        }
    }
}

/// The id in the name of a cgroup: of a container `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`,
/// `crio-ID.scope` (the drivers for systemd) or `ID` alone (those for cgroupfs); of a pod
/// `kubepods-CLASS-podUID.slice` with its dashes as underscores, or `podUID`. What watches over a container (conmon)
/// has a name of its own.
fn container_of(name: &str) -> Option<String> {
    let hexadecimal =
        |id: &str| id.len() == CONTAINER_ID && id.bytes().all(|b| b.is_ascii_hexdigit());
    let unit = name.strip_suffix(".scope").unwrap_or(name);
    let (maker, id) = unit.rsplit_once('-').unwrap_or(("", unit));
    if hexadecimal(id) && !maker.ends_with("conmon") {
        return Some(id.to_ascii_lowercase());
    }
    let slice = name.strip_suffix(".slice").unwrap_or(name);
    let pod = if slice.starts_with("kubepods") {
        slice.rsplit_once("-pod")?.1
    } else {
        slice.strip_prefix("pod")?
    };
    let uid = pod.replace('_', "-").to_ascii_lowercase();
    let is_uid = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (is_uid && uid.len() >= POD_ID).then_some(uid)
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
    let children = app.children;
    Ok(Target { app: app_index, process, cgroup, cgroup_id, children, directory })
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
            below(root.path(), root.path(), &|n| n == name, &mut found);
            found.sort();
            found
        };
        assert_eq!(lookup("x.service"), ["/system.slice/x.service", "/user.slice/x.service"]);
        assert_eq!(lookup("worker"), ["/system.slice/x.service/worker"]);
        assert_eq!(lookup("y.service"), ["/y.service"]);
        assert!(lookup("z.service").is_empty());
    }

    #[test]
    fn containers_and_pods_are_known_by_their_cgroups() {
        let id = "3f4c8a0b91de".repeat(6)[..64].to_owned();
        for name in
            ["docker-{}.scope", "libpod-{}.scope", "cri-containerd-{}.scope", "crio-{}.scope", "{}"]
        {
            assert_eq!(container_of(&name.replace("{}", &id)), Some(id.clone()), "{name}");
        }
        for name in ["libpod-conmon-{}.scope", "crio-conmon-{}.scope", "docker-{}0.scope", "x{}"] {
            assert_eq!(container_of(&name.replace("{}", &id)), None, "{name}");
        }
        let uid = "0a1b2c3d-1111-2222-3333-444455556666";
        let escaped = uid.replace('-', "_");
        for name in [
            format!("kubepods-besteffort-pod{escaped}.slice"),
            format!("kubepods-pod{escaped}.slice"),
            format!("pod{uid}"),
        ] {
            assert_eq!(container_of(&name).as_deref(), Some(uid), "{name}");
        }
        for name in [
            "kubepods.slice",
            "kubepods-burstable.slice",
            "podman.service",
            "system.slice",
            "pod12",
        ] {
            assert_eq!(container_of(name), None, "{name}");
        }
    }

    #[test]
    fn no_hook_is_met_twice() {
        let covered = |paths: &[&str]| covering(paths.iter().map(|p| (*p).to_owned()).collect());
        assert_eq!(covered(&["/a", "/b", "/a"]), ["/a", "/b"]);
        assert_eq!(covered(&["/a/x", "/a", "/a-b", "/a/x/y"]), ["/a", "/a-b"]);
        assert_eq!(covered(&["/flowfault-1", "/", "/a/b"]), ["/"]);
    }
}
