//! Whose sockets are asked for: `--pid`, `--process`, `--cgroup`.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::holders::Process;
use super::{SocketsError, processes};

/// Processes that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The process with this id.
    Pid(i32),
    /// The only process with this name or program, or else whose command line this regular expression matches.
    Process(String),
    /// Those in this cgroup and below: a path in the hierarchy of version 2, with or without its mount
    /// point, or the name of a systemd unit.
    Cgroup(String),
}

impl Target {
    /// The ids of the processes that it means; at least one.
    ///
    /// # Errors
    /// [`SocketsError::NoProcess`], [`SocketsError::Ambiguous`] or [`SocketsError::Pattern`].
    pub fn pids(&self) -> Result<BTreeSet<i32>, SocketsError> {
        match self {
            Self::Pid(pid) => by_pid(*pid),
            Self::Process(pattern) => {
                let ours = processes::ourselves();
                let all = processes::pids()?.into_iter().filter(|pid| !ours.contains(pid));
                let all: Vec<Process> = all.filter_map(processes::one).collect();
                by_name(pattern, &all).map(|pid| BTreeSet::from([pid]))
            }
            Self::Cgroup(path) => {
                let all: Vec<Process> =
                    processes::pids()?.into_iter().filter_map(processes::one).collect();
                by_cgroup(path, &all)
            }
        }
    }
}

fn by_pid(pid: i32) -> Result<BTreeSet<i32>, SocketsError> {
    let missing =
        |remedy: String| SocketsError::NoProcess { asked: format!("--pid {pid}"), remedy };
    match processes::process_of_thread(pid) {
        Some(process) if process == pid => Ok(BTreeSet::from([pid])),
        Some(process) => {
            Err(missing(format!("It is a thread of process {process}: use --pid {process}")))
        }
        None => {
            Err(missing("`flowfault flows` without --pid shows whose sockets there are".into()))
        }
    }
}

/// The only process of this name; without one, the only one whose command line matches.
fn by_name(pattern: &str, all: &[Process]) -> Result<i32, SocketsError> {
    let asked = format!("--process {pattern}");
    let named: Vec<&Process> = all.iter().filter(|p| has_name(p, pattern)).collect();
    let found = if named.is_empty() {
        let regex = Regex::new(pattern).map_err(|e| SocketsError::Pattern {
            pattern: pattern.to_owned(),
            reason: e.to_string(),
        })?;
        // A kernel thread has no command line.
        let matches = |p: &&Process| !p.cmdline.is_empty() && regex.is_match(&p.cmdline.join(" "));
        all.iter().filter(matches).collect()
    } else {
        named
    };
    match &found[..] {
        [one] => Ok(one.pid),
        [] => {
            let remedy = "A process is meant by its name, by its program, or by a regular expression \
                          that its command line matches; see `ps -eo pid,comm,args`";
            Err(SocketsError::NoProcess { asked, remedy: remedy.into() })
        }
        several => {
            let line = |p: &&Process| {
                let command: String = p.cmdline.join(" ").chars().take(100).collect();
                format!("  {:>7}  {:<15}  {}", p.pid, p.comm, command.escape_debug())
            };
            Err(SocketsError::Ambiguous { asked, candidates: several.iter().map(line).collect() })
        }
    }
}

/// The kernel's name of a process is cut to 15 bytes: the program's counts as well.
fn has_name(process: &Process, name: &str) -> bool {
    let program = process.cmdline.first().map(Path::new).and_then(Path::file_name);
    process.comm == name || program.is_some_and(|program| program == name)
}

fn by_cgroup(asked: &str, all: &[Process]) -> Result<BTreeSet<i32>, SocketsError> {
    let path = asked.strip_prefix("/sys/fs/cgroup/unified").unwrap_or(asked);
    let path = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path).trim_matches('/');
    let found: BTreeSet<i32> =
        all.iter().filter(|p| is_in(&p.cgroup, path)).map(|p| p.pid).collect();
    if found.is_empty() {
        let remedy = "A path is taken from the root of the cgroup2 hierarchy, for example \
                      `system.slice/x.service`; see `ps -eo pid,cgroup,comm`";
        return Err(SocketsError::NoProcess {
            asked: format!("--cgroup {asked}"),
            remedy: remedy.into(),
        });
    }
    Ok(found)
}

/// Whether a cgroup is the one that is meant, or below it. A name without a slash may be that of any directory on
/// the way, as the names of systemd's units are.
fn is_in(cgroup: &str, wanted: &str) -> bool {
    let cgroup = cgroup.trim_matches('/');
    let below = cgroup.strip_prefix(wanted).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let unit = !wanted.contains('/') && cgroup.split('/').any(|part| part == wanted);
    wanted.is_empty() || below || unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, comm: &str, cmdline: &[&str]) -> Process {
        let cmdline = cmdline.iter().map(|s| (*s).to_owned()).collect();
        Process { pid, comm: comm.into(), cmdline, ..Process::default() }
    }

    #[test]
    fn a_name_comes_before_a_pattern() {
        let all = [
            process(1, "redis-server", &["/usr/bin/redis-server", "*:6379"]),
            process(2, "redis-cli", &["redis-cli"]),
            process(3, "a-very-long-nam", &["/opt/a-very-long-name", "--x"]),
            process(4, "kworker/redis", &[]),
        ];
        assert_eq!(by_name("redis-cli", &all).unwrap(), 2);
        assert_eq!(by_name("a-very-long-name", &all).unwrap(), 3);
        assert_eq!(by_name(r"redis.*:6379", &all).unwrap(), 1);
        let error = by_name("redis", &all).unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(
            text.contains("2 processes")
                && text.contains("redis-server")
                && text.contains("      2  redis-cli"),
            "{text}"
        );
        assert!(matches!(by_name("postgres", &all), Err(SocketsError::NoProcess { .. })));
        assert!(matches!(by_name("re(dis", &all), Err(SocketsError::Pattern { .. })));
    }

    #[test]
    fn two_of_one_name_are_ambiguous() {
        let all =
            [process(5, "nginx", &["nginx: master"]), process(6, "nginx", &["nginx: worker"])];
        assert!(
            matches!(by_name("nginx", &all), Err(SocketsError::Ambiguous { candidates, .. }) if candidates.len() == 2)
        );
        assert_eq!(by_name("nginx: master", &all).unwrap(), 5);
    }

    #[test]
    fn cgroups_by_path_and_by_unit() {
        let at = "/system.slice/coop.service/worker";
        for good in ["system.slice/coop.service", "system.slice", "coop.service", "worker", ""] {
            assert!(is_in(at, good), "{good}");
        }
        for bad in ["coop", "system", "slice/coop.service", "system.slice/coop"] {
            assert!(!is_in(at, bad), "{bad}");
        }
        let all = [Process { cgroup: at.into(), ..process(7, "x", &[]) }];
        assert!(by_cgroup("/sys/fs/cgroup/system.slice/coop.service", &all).unwrap().contains(&7));
        assert!(by_cgroup("nothing", &all).is_err());
    }
}
