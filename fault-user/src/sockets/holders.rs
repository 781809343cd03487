//! Who holds a socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A process, as far as it lets itself be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    pub pid: i32,
    /// Its name, up to 15 bytes (comm in proc(5)).
    pub comm: String,
    /// Program and arguments.
    pub cmdline: Vec<String>,
    /// Effective user id.
    pub uid: u32,
    /// Its cgroup, below the root of the hierarchy of version 2: `/system.slice/x.service`.
    pub cgroup: String,
}

/// One descriptor of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub process: Arc<Process>,
    pub fd: i32,
}

/// The descriptors that refer to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holders {
    /// At least one, by pid and descriptor. More than one process holds a socket that was inherited or passed on.
    Known(Vec<Holder>),
    /// No file refers to it: closed by its app, or not accepted yet; the kernel carries on with it.
    Orphan,
    /// Somebody may hold it whom we may not look at.
    NotPermitted,
    /// Nobody in sight does, and we saw everybody: it is the kernel's own, on its way between two processes,
    /// or held by one of another PID namespace.
    NotFound,
}

impl Holders {
    /// All of them that are known.
    pub fn known(&self) -> &[Holder] {
        match self {
            Self::Known(holders) => holders,
            _ => &[],
        }
    }

    /// The one to name where there is place for one: of the oldest process, as far as pids tell.
    pub fn first(&self) -> Option<&Holder> {
        self.known().first()
    }
}

/// All descriptors of sockets, at one look.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// Inode of the socket to (pid, fd), sorted.
    pub by_inode: HashMap<u64, Vec<(i32, i32)>>,
    /// Processes whose descriptors we may not see.
    pub hidden: usize,
    /// Whether there is no other process: `hidden` is 0, and no option of the mount hides any (hidepid in proc(5)).
    pub complete: bool,
}

impl Descriptors {
    /// Joins a socket's inode with who holds it. A process that has ended since holds nothing.
    pub fn holders(&self, inode: Option<u64>, processes: &BTreeMap<i32, Arc<Process>>) -> Holders {
        let Some(inode) = inode else { return Holders::Orphan };
        let descriptors = self.by_inode.get(&inode).map_or(&[][..], Vec::as_slice);
        let holder =
            |(pid, fd): &(i32, i32)| Some(Holder { process: processes.get(pid)?.clone(), fd: *fd });
        let known: Vec<Holder> = descriptors.iter().filter_map(holder).collect();
        match (known.is_empty(), self.complete) {
            (false, _) => Holders::Known(known),
            (true, true) => Holders::NotFound,
            (true, false) => Holders::NotPermitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_may_have_several_holders_one_or_none() {
        let process = |pid| (pid, Arc::new(Process { pid, ..Process::default() }));
        let processes = BTreeMap::from([process(7), process(8)]);
        let by_inode = HashMap::from([(50, vec![(7, 3), (8, 3), (9, 4)]), (51, vec![(9, 5)])]);
        let mut seen = Descriptors { by_inode, hidden: 0, complete: true };
        let pids =
            |holders: &Holders| holders.known().iter().map(|h| h.process.pid).collect::<Vec<_>>();
        // Process 9 was gone when it was asked for its name.
        assert_eq!(pids(&seen.holders(Some(50), &processes)), [7, 8]);
        assert_eq!(seen.holders(Some(51), &processes), Holders::NotFound);
        assert_eq!(seen.holders(None, &processes), Holders::Orphan);
        seen.complete = false;
        assert_eq!(seen.holders(Some(51), &processes), Holders::NotPermitted);
        assert_eq!(pids(&seen.holders(Some(50), &processes)), [7, 8]);
    }
}
