//! One look at all sockets in reach: who holds them, and what is known of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::holders::{Descriptors, Process};
use super::{
    Holders, Opened, Place, Selector, Socket, SocketsError, State, Target, age, diag, order,
    processes, selector,
};
use crate::netns::Netns;
use crate::scenario::model::Remote;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// All of these must mean the process; none: whoever it is, in this network namespace.
    pub targets: Vec<Target>,
    /// Where they lead, and the addresses of its name if it is one.
    pub remote: Option<(Remote, Vec<IpAddr>)>,
    /// Also listeners, unconnected sockets and what is over (TIME_WAIT).
    pub all: bool,
}

/// A socket and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    pub socket: Socket,
    /// Inode of its network namespace in nsfs, as in `readlink /proc/PID/ns/net`.
    pub namespace: u64,
    pub holders: Holders,
    pub opened: Opened,
    /// Its place among the connections to its remote; `None`: its process did not open it, or is not known.
    pub place: Option<Place>,
    /// It is at least so old; `None`: nothing is known of its age.
    pub age: Option<Duration>,
    pub selector: Selector,
}

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// By process and remote.
    pub flows: Vec<Flow>,
    /// Inode of this thread's network namespace.
    pub namespace: u64,
    /// Sockets that were not asked for, by what they are.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Sockets that were closed during the look.
    pub vanished: usize,
    /// What could not be seen and why, one sentence each.
    pub missing: Vec<String>,
}

/// Looks at the sockets of this network namespace, and of those in which the targets live.
///
/// # Errors
/// A target that is not there or not unique, or a kernel that does not list sockets. What only some of the
/// privileges are missing for is no error, but told in the result.
pub fn look(request: &Request) -> Result<Inventory, SocketsError> {
    let wanted = wanted(&request.targets)?;
    let own = Netns::current().map_err(SocketsError::system("look at this network namespace"))?;
    let mut inventory = Inventory { namespace: own.inode(), ..Inventory::default() };
    let others = namespaces(wanted.iter().flatten(), own.inode(), &mut inventory.missing);
    let mut seen = sockets(own.inode(), &others, &mut inventory.missing)?;
    let mut descriptors = processes::descriptors()?;
    if descriptors.complete && seen.iter().any(|(_, socket)| unheld(socket, &descriptors)) {
        let again = sockets(own.inode(), &others, &mut Vec::new())?;
        let before = seen.len();
        settle(&mut seen, &again, &mut descriptors, processes::descriptors()?);
        inventory.vanished = before - seen.len();
    }
    inventory.flows = flows(seen, &descriptors);
    inventory.note_privileges(&descriptors);
    order::assign(&mut inventory.flows);
    selector::assign(&mut inventory.flows);
    inventory.narrow(request, wanted.as_ref());
    Ok(inventory)
}

/// The processes that every target means; `None`: no target.
fn wanted(targets: &[Target]) -> Result<Option<BTreeSet<i32>>, SocketsError> {
    let mut wanted: Option<BTreeSet<i32>> = None;
    for target in targets {
        let pids = target.pids()?;
        wanted = Some(wanted.map_or_else(|| pids.clone(), |before| &before & &pids));
    }
    if wanted.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(SocketsError::NoProcess {
            asked: "--pid, --process and --cgroup together".into(),
            remedy: "Each of them means another process: leave one out".into(),
        });
    }
    Ok(wanted)
}

/// The other network namespaces of these processes, once each.
fn namespaces<'a>(
    pids: impl Iterator<Item = &'a i32>,
    own: u64,
    missing: &mut Vec<String>,
) -> BTreeMap<u64, Netns> {
    let (mut found, mut hidden) = (BTreeMap::new(), Vec::new());
    for pid in pids {
        match Netns::of_process(*pid) {
            Ok(other) if other.inode() != own => drop(found.insert(other.inode(), other)),
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => hidden.push(*pid),
            // Ours, or it has ended.
            _ => {}
        }
    }
    if let Some(first) = hidden.first() {
        let more = if hidden.len() > 1 { " and others" } else { "" };
        missing.push(format!(
            "the network namespace of process {first}{more}: only sockets of this one are listed; run as root"
        ));
    }
    found
}

/// The sockets of all these namespaces. One that cannot be entered is told; our own has to answer.
fn sockets(
    own: u64,
    others: &BTreeMap<u64, Netns>,
    missing: &mut Vec<String>,
) -> Result<Vec<(u64, Socket)>, SocketsError> {
    let mut all: Vec<(u64, Socket)> = diag::dump()?.into_iter().map(|s| (own, s)).collect();
    for (namespace, other) in others {
        match diag::dump_in(other) {
            Ok(sockets) => all.extend(sockets.into_iter().map(|s| (*namespace, s))),
            Err(e) => {
                let why = crate::chain::told(&e);
                missing.push(format!("the sockets of network namespace {namespace}: {why}"));
            }
        }
    }
    Ok(all)
}

fn unheld(socket: &Socket, descriptors: &Descriptors) -> bool {
    socket.inode.is_some_and(|inode| !descriptors.by_inode.contains_key(&inode))
}

/// Tells sockets that nobody holds from those that were closed, or passed on, between the two looks.
fn settle(
    seen: &mut Vec<(u64, Socket)>,
    again: &[(u64, Socket)],
    descriptors: &mut Descriptors,
    newer: Descriptors,
) {
    let now: HashMap<u64, &Socket> = again.iter().map(|(_, s)| (s.cookie, s)).collect();
    seen.retain_mut(|(_, socket)| {
        if unheld(socket, descriptors) {
            let Some(newer) = now.get(&socket.cookie) else { return false };
            *socket = (*newer).clone();
        }
        true
    });
    for (inode, holders) in newer.by_inode {
        descriptors.by_inode.entry(inode).or_insert(holders);
    }
}

fn flows(seen: Vec<(u64, Socket)>, descriptors: &Descriptors) -> Vec<Flow> {
    let inodes = seen.iter().filter_map(|(_, socket)| socket.inode);
    let pids: BTreeSet<i32> = inodes
        .filter_map(|inode| descriptors.by_inode.get(&inode))
        .flat_map(|holders| holders.iter().map(|(pid, _)| *pid))
        .collect();
    let processes: BTreeMap<i32, Arc<Process>> = processes::describe(pids);
    let mut flows: Vec<Flow> = seen
        .into_iter()
        .map(|(namespace, socket)| Flow {
            namespace,
            holders: descriptors.holders(socket.inode, &processes),
            opened: Opened::of(&socket),
            place: None,
            age: age::at_least(&socket),
            selector: Selector::None("not looked for"),
            socket,
        })
        .collect();
    flows.sort_by_cached_key(|flow| {
        let holder = flow.holders.first();
        let name = holder.map(|h| (h.process.comm.clone(), h.process.pid));
        // Those of nobody last.
        (name.is_none(), name, flow.socket.protocol, flow.socket.remote, flow.socket.inode)
    });
    flows
}

impl Inventory {
    /// Leaves what was asked for.
    fn narrow(&mut self, request: &Request, wanted: Option<&BTreeSet<i32>>) {
        let left_out = &mut self.left_out;
        self.flows.retain(|flow| {
            let holders = flow.holders.known();
            let meant =
                wanted.is_none_or(|pids| holders.iter().any(|h| pids.contains(&h.process.pid)));
            if !meant || !goes_to(flow, request) {
                return false;
            }
            let shown = request.all || flow.socket.is_live();
            if !shown {
                *left_out.entry(kind(&flow.socket)).or_default() += 1;
            }
            shown
        });
    }

    fn note_privileges(&mut self, descriptors: &Descriptors) {
        if descriptors.hidden > 0 {
            self.missing.push(format!(
                "the descriptors of {} processes: which sockets are theirs is not known; run as root, or with \
                 CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
                descriptors.hidden
            ));
        }
        let mut live = self.flows.iter().filter(|flow| flow.socket.is_live()).peekable();
        if live.peek().is_some() && live.all(|flow| flow.socket.mark.is_none()) {
            self.missing.push("marks (SO_MARK): the kernel tells them with CAP_NET_ADMIN".into());
        }
    }
}

fn goes_to(flow: &Flow, request: &Request) -> bool {
    let Some((remote, named)) = &request.remote else { return true };
    flow.socket.remote.is_some_and(|to| remote.is(named, to.ip(), to.port()))
}

/// What is no flow, in words for a count of it.
fn kind(socket: &Socket) -> &'static str {
    match socket.state {
        State::Listen => "listening",
        State::TimeWait => "in TIME_WAIT",
        _ => "not connected",
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::sockets::Holder;

    /// A connection that process `pid` opened, held by its descriptor 3.
    pub fn flow(socket: Socket, pid: i32) -> Flow {
        let process = Process { pid, comm: "app".into(), ..Process::default() };
        Flow {
            socket,
            namespace: 1,
            holders: Holders::Known(vec![Holder { process: process.into(), fd: 3 }]),
            opened: Opened::Connect,
            place: None,
            age: None,
            selector: Selector::None("not looked for"),
        }
    }
}

#[cfg(test)]
#[path = "tests/inventory.rs"]
mod tests;
