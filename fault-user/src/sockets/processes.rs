//! Processes and their descriptors, from /proc. All of it may be gone at the next look: what has ended is
//! left out, what may not be seen is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;

use super::SocketsError;
use super::holders::{Descriptors, Process};

/// Ids of all processes that /proc shows.
///
/// # Errors
/// /proc cannot be read.
pub fn pids() -> Result<Vec<i32>, SocketsError> {
    let entries = fs::read_dir("/proc").map_err(SocketsError::system("list /proc"))?;
    let names = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let mut pids: Vec<i32> = names.collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Which process holds which sockets.
///
/// # Errors
/// /proc cannot be read.
pub fn descriptors() -> Result<Descriptors, SocketsError> {
    let mut seen = Descriptors::default();
    for pid in pids()? {
        match sockets_of(pid) {
            Ok(sockets) => {
                for (fd, inode) in sockets {
                    seen.by_inode.entry(inode).or_default().push((pid, fd));
                }
            }
            Err(e) if e.kind() == ErrorKind::PermissionDenied => seen.hidden += 1,
            // It has ended: ENOENT, or ESRCH once it is a zombie.
            Err(_) => {}
        }
    }
    // Root sees everybody, whatever hidepid says.
    seen.complete = seen.hidden == 0 && nix::unistd::geteuid().is_root();
    Ok(seen)
}

/// Descriptors of one process that are sockets, with the sockets' inodes, by descriptor.
fn sockets_of(pid: i32) -> std::io::Result<Vec<(i32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        // It may be closed by now.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let fd = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let inode = target.to_str().and_then(socket_inode);
        found.extend(fd.zip(inode));
    }
    found.sort_unstable();
    Ok(found)
}

/// `socket:[4711]` (sockfs_dname).
fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// What those processes are; those that have ended are left out.
pub fn describe(pids: impl IntoIterator<Item = i32>) -> BTreeMap<i32, Arc<Process>> {
    pids.into_iter().filter_map(|pid| Some((pid, Arc::new(one(pid)?)))).collect()
}

/// What one process is, unless it has ended.
pub fn one(pid: i32) -> Option<Process> {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let text = |name: &str| Some(String::from_utf8_lossy(&file(name)?).into_owned());
    let status = text("status")?;
    Some(Process {
        pid,
        comm: text("comm")?.trim_end().to_owned(),
        cmdline: arguments(&file("cmdline")?),
        uid: effective_uid(&status)?,
        cgroup: cgroup_of(&text("cgroup").unwrap_or_default()),
    })
}

fn arguments(cmdline: &[u8]) -> Vec<String> {
    let cmdline = cmdline.strip_suffix(&[0]).unwrap_or(cmdline);
    if cmdline.is_empty() {
        return Vec::new();
    }
    cmdline.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// The second number after `Uid:` in proc_pid_status(5).
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The process that a thread belongs to; `None`: there is neither.
pub fn process_of_thread(id: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// The path in the hierarchy of version 2, which is number 0 (cgroups(7)).
fn cgroup_of(text: &str) -> String {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    path.unwrap_or_default().to_owned()
}

/// A process and all that descend from it, itself first. What is forked meanwhile may be missing.
pub fn with_descendants(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next).copied() {
        let children = parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child);
        tree.extend(children.collect::<Vec<_>>());
        next += 1;
    }
    tree
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// This process and those that started it: a shell whose command line has the pattern is not meant by it.
pub fn ourselves() -> BTreeSet<i32> {
    let mut line = BTreeSet::new();
    let mut pid = std::process::id() as i32;
    while pid > 1 && line.insert(pid) {
        pid = parent(pid).unwrap_or(0);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        for other in ["pipe:[1]", "socket:[]", "socket:[1", "/tmp/socket:[1]", "socket:[-1]"] {
            assert_eq!(socket_inode(other), None, "{other}");
        }
        assert_eq!(arguments(b"a\0b c\0\0"), ["a", "b c", ""]);
        assert_eq!(arguments(b""), [""; 0]);
        assert_eq!(effective_uid("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some(2));
        assert_eq!(
            cgroup_of("3:cpu:/x\n0::/system.slice/a:b.service\n"),
            "/system.slice/a:b.service"
        );
    }

    #[test]
    fn we_see_ourselves() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let us = std::process::id() as i32;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
        let held = descriptors().unwrap().by_inode;
        assert!(held.values().flatten().any(|h| *h == (us, fd)));
        assert_eq!(one(us).unwrap().uid, nix::unistd::geteuid().as_raw());
        assert!(ourselves().contains(&us));
        assert_eq!(process_of_thread(nix::unistd::gettid().as_raw()), Some(us));
        assert_eq!(one(i32::MAX), None);
        let parent = nix::unistd::getppid().as_raw();
        assert!(with_descendants(parent).starts_with(&[parent]));
        assert!(with_descendants(parent).contains(&us) && !with_descendants(us).contains(&parent));
    }
}
