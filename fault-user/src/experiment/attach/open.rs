//! The open sockets of apps that run already are looked at, given their flows, and taken in.

use std::collections::HashSet;
use std::net::SocketAddr;

use fault_common::event::NO_FLOW;
use fault_common::table::{Found, SOCKET_ACCEPTED, SOCKET_HOME, TAKEN_NOT};

use super::choose::{self, Candidate};
use super::{AttachError, Owners, Target};
use crate::addr;
use crate::experiment::selection::Selection;
use crate::kernel::{Kernel, Taken};
use crate::netns::Netns;
use crate::scenario::Scenario;
use crate::scenario::model::{Flow, Opened};
use crate::sockets::{self, Inventory, Protocol, Request, State};

/// Takes in all open sockets of the targets, here and in the second network namespace. The hooks that see others open are
/// attached already.
///
/// # Errors
/// See [`AttachError`]; nothing has been done to any socket then.
pub fn take_in(
    kernel: &mut Kernel,
    (scenario, selection): (&Scenario, &Selection),
    targets: &[Target],
    second: Option<&Netns>,
    slots: u32,
) -> Result<(), AttachError> {
    let owners = Owners::of(targets);
    let looks = looks(second)?;
    let candidates = candidates(&looks, &owners);
    let roles = choose::choose(scenario, selection, &candidates)?;
    for (network, inventory) in &looks {
        listeners(kernel, (scenario, selection), (*network, inventory), &owners)?;
    }
    let all = candidates.iter().zip(&roles);
    let all: Vec<_> = all.map(|(candidate, role)| found(candidate, *role, selection)).collect();
    // Those here come first, as in the looks.
    let (here, there) = all.split_at(all.partition_point(|found| found.state & SOCKET_HOME == 0));
    let mut taken = kernel.take_in(here)?;
    if let Some(second) = second {
        taken.extend(second.within(|| kernel.take_in(there)).map_err(entered)??);
    }
    let outside = candidates.iter().zip(taken).find(|(_, taken)| *taken == Taken::NoRoom);
    if let Some((candidate, _)) = outside {
        let app = scenario.apps[candidate.app].name.clone();
        return Err(AttachError::NoRoom { app, max: slots });
    }
    still_there(scenario, (&candidates, &roles), second)
}

/// All sockets of a network namespace; beside it 0 or `SOCKET_HOME`.
pub type Look = (u32, Inventory);

/// Looks at the sockets here, and in the second network namespace.
///
/// # Errors
/// The kernel does not tell.
pub fn looks(second: Option<&Netns>) -> Result<Vec<Look>, AttachError> {
    let look = || sockets::look(&Request { all: true, ..Request::default() });
    let mut looks = vec![(0, look()?)];
    if let Some(second) = second {
        looks.push((SOCKET_HOME, second.within(look).map_err(entered)??));
    }
    Ok(looks)
}

fn entered(source: std::io::Error) -> AttachError {
    AttachError::Enter { source }
}

/// What is open of the owners' sockets.
pub fn candidates<'a>(looks: &'a [Look], owners: &Owners) -> Vec<Candidate<'a>> {
    looks.iter().flat_map(|(network, look)| candidates_in(*network, look, owners)).collect()
}

fn candidates_in<'a>(
    network: u32,
    inventory: &'a Inventory,
    owners: &Owners,
) -> Vec<Candidate<'a>> {
    let own = inventory.flows.iter().filter(|f| f.namespace == inventory.namespace);
    let listening: HashSet<SocketAddr> =
        own.clone().filter(|f| f.socket.state == State::Listen).map(|f| f.socket.local).collect();
    let live = own.filter(|flow| flow.socket.is_live());
    live.filter_map(|flow| {
        let mut holders = flow.holders.known().iter();
        let holder = holders.find(|h| owners.app(h.process.pid).is_some())?;
        let accepted = match flow.opened {
            sockets::Opened::Accept => true,
            sockets::Opened::Connect => false,
            // Nobody connects from a port that is listened at.
            sockets::Opened::Unknown => is_listened_at(&listening, flow.socket.local),
        };
        Some(Candidate {
            app: owners.app(holder.process.pid)?,
            holder,
            socket: &flow.socket,
            remote: flow.socket.remote?,
            accepted,
            network,
        })
    })
    .collect()
}

fn is_listened_at(listening: &HashSet<SocketAddr>, local: SocketAddr) -> bool {
    let any = [std::net::Ipv4Addr::UNSPECIFIED.into(), std::net::Ipv6Addr::UNSPECIFIED.into()];
    let any = any.map(|ip| SocketAddr::new(ip, local.port()));
    listening.contains(&local) || any.iter().any(|any| listening.contains(any))
}

fn found(candidate: &Candidate<'_>, role: Option<usize>, selection: &Selection) -> Found {
    let (socket, index) = (candidate.socket, |flow: usize| flow as u32);
    Found {
        cookie: socket.cookie,
        pid_tgid: u64::from(candidate.holder.process.pid.cast_unsigned()) << 32,
        allowed: selection.allowed(socket.uid, &candidate.holder.process),
        laddr: addr::words(socket.local.ip()),
        raddr: addr::words(candidate.remote.ip()),
        lport: socket.local.port().into(),
        rport: candidate.remote.port().into(),
        app: candidate.app as u32,
        flow: role.map_or(NO_FLOW, index),
        // One selector for each flow, in their order.
        role: role.map_or(0, |flow| index(flow) + 1),
        state: candidate.network | if candidate.accepted { SOCKET_ACCEPTED } else { 0 },
        proto: match socket.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP as u32,
            Protocol::Udp => libc::IPPROTO_UDP as u32,
        },
        uid: socket.uid,
        taken: TAKEN_NOT,
        _pad: 0,
    }
}

/// Tells the kernel side where the apps listen, if a flow may be what they accept.
fn listeners(
    kernel: &mut Kernel,
    (scenario, selection): (&Scenario, &Selection),
    (network, inventory): (u32, &Inventory),
    owners: &Owners,
) -> Result<(), AttachError> {
    let accepts = |f: &&Flow| f.opened == Some(Opened::Accept) && !f.is_open_already();
    let Some(flow) = scenario.flows.iter().find(accepts) else { return Ok(()) };
    let own = inventory.flows.iter().filter(|f| f.namespace == inventory.namespace);
    let listening: Vec<_> = own.filter(|f| f.socket.state == State::Listen).collect();
    for listener in &listening {
        let local = listener.socket.local;
        let mut holders = listener.holders.known().iter();
        let owned = holders.find_map(|h| Some((h, owners.app(h.process.pid)?)));
        let Some((holder, app)) = owned else { continue };
        let pid = holder.process.pid;
        if let Some(whose) = choose::protected(&holder.process) {
            let (flow, socket) = (flow.name.clone(), format!("  {local}, which listens"));
            return Err(AttachError::Protected { flow, whose, socket });
        }
        let same = listening.iter().filter(|other| other.socket.local == local);
        let others = same.filter_map(|other| other.holders.first()).map(|h| h.process.pid);
        if let Some(pid) = others.into_iter().find(|pid| owners.app(*pid) != Some(app)) {
            let (flow, app) = (flow.name.clone(), scenario.apps[app].name.clone());
            return Err(AttachError::SharedListener { flow, app, local, pid });
        }
        let cookie = listener.socket.cookie;
        let allowed = selection.allowed(listener.socket.uid, &holder.process);
        let whose = (pid.cast_unsigned(), app as u32);
        kernel.add_listener(cookie, (local, network), whose, allowed)?;
    }
    Ok(())
}

/// A socket that was closed between the look and its being taken in never tells of its end.
fn still_there(
    scenario: &Scenario,
    (candidates, roles): (&[Candidate<'_>], &[Option<usize>]),
    second: Option<&Netns>,
) -> Result<(), AttachError> {
    let again = looks(second)?;
    let there: HashSet<u64> =
        again.iter().flat_map(|(_, look)| &look.flows).map(|flow| flow.socket.cookie).collect();
    let gone = candidates.iter().zip(roles).find_map(|(c, role)| {
        let flow = scenario.flows.get((*role)?)?;
        (!there.contains(&c.socket.cookie)).then(|| (flow.name.clone(), c.line()))
    });
    gone.map_or(Ok(()), |(flow, socket)| Err(AttachError::Closed { flow, socket }))
}
