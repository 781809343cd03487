//! Which open socket is which flow. Pure: sockets and selectors in, roles or a reason out.

use std::net::{IpAddr, SocketAddr};

use fault_common::condition::in_share;

use super::AttachError;
use crate::scenario::model::{self, Exclude, Flow, Host, Remote, Scenario};
use crate::sockets::{self, Protocol, Socket};

/// Names of the processes through which people are logged in: OpenSSH, which has several since 9.8.
const SSH: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];
/// Tells the draws for what is open from those for what opens.
const OPEN_ALREADY: u32 = 1 << 16;
/// Sockets that a message lists.
const LISTED: usize = 20;

/// An open socket of an app.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Index of the app.
    pub app: usize,
    /// The app's process that holds it, and with which descriptor.
    pub holder: &'a sockets::Holder,
    pub socket: &'a Socket,
    pub remote: SocketAddr,
    /// The peer opened it.
    pub accepted: bool,
    /// 0, or `SOCKET_HOME`: it is in the run's second network namespace.
    pub network: u32,
}

impl Candidate<'_> {
    /// For messages: whose it is, where it leads, and what picks it.
    pub fn line(&self) -> String {
        let process = &self.holder.process;
        let by = if self.accepted { ", accepted" } else { "" };
        let (local, remote) = (self.socket.local, self.remote);
        let picks = match self.socket.protocol {
            Protocol::Tcp => format!("cookie = {}", self.socket.cookie),
            Protocol::Udp => format!("local = \"{local}\""),
        };
        let (comm, pid, fd) = (process.comm.escape_debug(), process.pid, self.holder.fd);
        format!("  {picks}   # {comm}[{pid}] fd {fd}: {local} -> {remote}{by}")
    }
}

/// What only this machine knows of a scenario's names.
pub trait Known {
    /// The addresses of a host name.
    fn addresses(&self, name: &str) -> &[IpAddr];
    /// Whether a process is in the cgroup that the scenario calls so, or below it.
    fn is_in(&self, cgroup: &str, process: &sockets::Process) -> bool;
    /// The seed of the run.
    fn seed(&self) -> u64;
}

/// Whose sockets are hit only if they are named by cookie.
pub fn protected(process: &sockets::Process) -> Option<&'static str> {
    if process.pid.cast_unsigned() == std::process::id() {
        return Some("flowfault itself");
    }
    SSH.contains(&process.comm.as_str()).then_some("sshd, through which somebody is logged in")
}

/// Gives each socket the index of its flow: the first that matches and has room, as the kernel side does with
/// what opens later. UDP flows are only checked, a socket's next datagram gives it the flow.
///
/// # Errors
/// A flow that would be more sockets than it may, or others than are meant.
pub fn choose(
    scenario: &Scenario,
    known: &impl Known,
    candidates: &[Candidate<'_>],
) -> Result<Vec<Option<usize>>, AttachError> {
    let mut roles: Vec<Option<usize>> = vec![None; candidates.len()];
    for (index, flow) in scenario.flows.iter().enumerate() {
        let of_flow = |c: &Candidate<'_>| matches(flow, known, c);
        let free = candidates.iter().zip(&roles).enumerate();
        let free = free.filter(|(_, (c, role))| role.is_none() && of_flow(c));
        let mut meant: Vec<usize> = free.map(|(i, _)| i).collect();
        if let Some(share) = flow.share_of_whole() {
            part(&mut meant, share, (known.seed(), index), candidates);
        }
        check(flow, &meant, candidates)?;
        if flow.protocol == model::Protocol::Tcp {
            meant.into_iter().for_each(|i| roles[i] = Some(index));
        }
    }
    Ok(roles)
}

/// Keeps the seeded part. What is open has no order that is known for certain; by the inode is the likely one. The
/// numbers of what opens later begin at 1 again, and draw on their own.
fn part(meant: &mut Vec<usize>, share: u32, (seed, flow): (u64, usize), all: &[Candidate<'_>]) {
    meant.sort_by_key(|i| all[*i].socket.inode);
    let mut nth = 0;
    meant.retain(|_| {
        nth += 1;
        in_share(seed, OPEN_ALREADY | flow as u32, nth, share)
    });
}

fn check(flow: &Flow, meant: &[usize], all: &[Candidate<'_>]) -> Result<(), AttachError> {
    let name = || flow.name.clone();
    let found: Vec<&Candidate<'_>> = meant.iter().map(|i| &all[*i]).collect();
    if found.is_empty() && flow.is_open_already() {
        let of_app = all.iter().filter(|c| flow.app.is_none_or(|app| app.0 == c.app));
        return Err(AttachError::NoMatch { flow: name(), sockets: list(of_app) });
    }
    let whose = |c: &&Candidate<'_>| Some((protected(&c.holder.process)?, c.line()));
    if flow.cookie.is_none()
        && let Some((whose, socket)) = found.iter().find_map(whose)
    {
        return Err(AttachError::Protected { flow: name(), whose, socket });
    }
    let sockets = || list(found.iter().copied());
    match flow.nth {
        // UDP counts who sends first, and none of these has sent yet while anybody counted.
        Some(_) if !found.is_empty() && flow.protocol == model::Protocol::Tcp => {
            Err(AttachError::NotCounted { flow: name(), sockets: sockets() })
        }
        None if found.len() > flow.max_flows as usize => {
            Err(AttachError::TooMany { flow: name(), max: flow.max_flows, sockets: sockets() })
        }
        _ => Ok(()),
    }
}

/// A line for each, but not for thousands.
pub fn list<'a>(candidates: impl IntoIterator<Item = &'a Candidate<'a>>) -> Vec<String> {
    let mut lines: Vec<String> = candidates.into_iter().map(Candidate::line).collect();
    let more = lines.len().saturating_sub(LISTED);
    if more > 0 {
        lines.truncate(LISTED);
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// Whether a socket is what the flow's selectors say.
pub fn matches(flow: &Flow, known: &impl Known, c: &Candidate<'_>) -> bool {
    let protocol = match flow.protocol {
        model::Protocol::Tcp => Protocol::Tcp,
        model::Protocol::Udp => Protocol::Udp,
    };
    let opened = match flow.opened {
        Some(model::Opened::Accept) => c.accepted,
        Some(model::Opened::Connect) => !c.accepted,
        // The very socket is named.
        None => !c.accepted || flow.is_open_already() || names_both_ends(flow),
    };
    let socket = c.socket;
    opened
        && protocol == socket.protocol
        && !flow.exclude.iter().any(|exclude| excludes(exclude, known, c))
        && flow.app.is_none_or(|app| app.0 == c.app)
        && flow.remote.as_ref().is_none_or(|r| goes_to(r, known, c.remote))
        && flow.local.is_none_or(|l| l.is(socket.local.ip(), socket.local.port()))
        && flow.cookie.is_none_or(|cookie| cookie == socket.cookie)
        && flow.fd.is_none_or(|fd| fd == c.holder.fd)
        && flow.uid.is_none_or(|uid| uid == socket.uid)
        && flow.cgroup.as_ref().is_none_or(|cgroup| known.is_in(cgroup, &c.holder.process))
}

fn excludes(exclude: &Exclude, known: &impl Known, c: &Candidate<'_>) -> bool {
    // What an open socket said first, nobody has seen: the scenario does not ask for it.
    let Exclude { app, remote, local, uid, cgroup, hello: _, cookie, fd } = exclude;
    let socket = c.socket;
    app.is_none_or(|app| app.0 == c.app)
        && remote.as_ref().is_none_or(|r| goes_to(r, known, c.remote))
        && local.is_none_or(|l| l.is(socket.local.ip(), socket.local.port()))
        && uid.is_none_or(|uid| uid == socket.uid)
        && cgroup.as_ref().is_none_or(|cgroup| known.is_in(cgroup, &c.holder.process))
        && cookie.is_none_or(|cookie| cookie == socket.cookie)
        && fd.is_none_or(|fd| fd == c.holder.fd)
}

fn goes_to(remote: &Remote, known: &impl Known, to: SocketAddr) -> bool {
    let named = match &remote.host {
        Host::Name(name) => known.addresses(name),
        _ => &[],
    };
    remote.is(named, to.ip(), to.port())
}

/// A single local port, and where it leads: such a connection needs no word on who opened it.
fn names_both_ends(flow: &Flow) -> bool {
    let port = flow.local.and_then(|local| local.ports);
    flow.remote.is_some() && port.is_some_and(|ports| ports.first == ports.last)
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
