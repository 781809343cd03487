//! Faults that are no fate of packets: resets, the destruction of a socket, and the window update
//! with which a stall is lifted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fault_common::event::tcp;
use fault_common::rule::Direction;
use fault_common::table::{
    self, LAST_ACK, LAST_SEEN, LAST_TIMESTAMPS, SOCKET_FOUND, SOCKET_HOME, SOCKET_IRS, SOCKET_ISN,
    SocketEntry,
};

use super::RunError;
use super::prepare::Stage;
use super::resets;
use super::state::{Socket, State};
use crate::act::{self, ActError, Connection, LastSegment, Protocol, RawSender};
use crate::kernel::Kernel;
use crate::ledger::entry::{Entry, What as Happened};
use crate::line::Reached;
use crate::netns::Netns;
use crate::plan::{RuleId, Side, What};

const ENTER: &str = "enter another network namespace";

/// What these faults have done.
#[derive(Debug, Default)]
pub struct Actions {
    /// Rules that are armed now.
    armed: Vec<RuleId>,
    /// (entry, socket) that were acted on, so that a fault hits a socket once.
    done: BTreeSet<(usize, usize, u64)>,
    /// Sockets that a rule acted on, by rule.
    pub acted: BTreeMap<u32, u64>,
    /// Resets sent, by slot: to the local side (ingress), to the peer (egress).
    pub resets: BTreeMap<u32, [u64; 2]>,
    /// Resets of which it is not known yet whether they took.
    pub unsure: Vec<resets::Unsure>,
}

/// Raw sockets whose packets the programs let pass, in a network namespace (`None`: that of this thread).
pub fn sender(kernel: &mut Kernel, netns: Option<&Arc<Netns>>) -> Result<RawSender, RunError> {
    let open = || RawSender::open(None);
    let sender = match netns {
        Some(netns) => netns.within(open).map_err(RunError::io(ENTER))??,
        None => open()?,
    };
    for cookie in sender.cookies()? {
        kernel.exempt(cookie)?;
    }
    Ok(sender)
}

/// These rules are the armed ones now.
pub fn arm(stage: &mut Stage, state: &mut State<'_>, rules: &[RuleId]) {
    let before = std::mem::replace(&mut state.actions.armed, rules.to_vec());
    for id in rules.iter().filter(|r| !before.contains(r)) {
        let flow = stage.plan.rule(*id).flow as u32;
        for cookie in of_flow(state, flow) {
            act_on(stage, state, *id, cookie);
        }
    }
    for id in before.iter().filter(|r| !rules.contains(r)) {
        if stage.plan.rule(*id).what == What::Stall {
            let (flow, direction) =
                (stage.plan.rule(*id).flow as u32, stage.plan.rule(*id).direction);
            for cookie in of_flow(state, flow) {
                open_window(stage, state, cookie, direction);
            }
        }
    }
}

/// Something happened to a socket while faults are armed: a connection that begins under a reset
/// meets it, too.
pub fn event(stage: &mut Stage, state: &mut State<'_>, entry: &Entry) {
    let Some(flow) = entry.flow else { return };
    let begins = match &entry.what {
        Happened::Tx(p) => p.has(tcp::SYN) && !p.dropped,
        Happened::Established { .. } => true,
        _ => false,
    };
    if !begins {
        return;
    }
    for id in state.actions.armed.clone() {
        if stage.plan.rule(id).flow as u32 == flow {
            act_on(stage, state, id, entry.cookie);
        }
    }
}

/// The last byte that a limit lets through has left the line.
pub fn limit_reached(stage: &mut Stage, state: &mut State<'_>, reached: Reached) {
    reset(stage, state, reached.cookie, Side::Both, Some(reached));
}

fn of_flow(state: &State<'_>, flow: u32) -> Vec<u64> {
    let open = state.sockets.iter().filter(|(_, s)| s.open && s.flow == Some(flow));
    open.map(|(cookie, _)| *cookie).collect()
}

fn act_on(stage: &mut Stage, state: &mut State<'_>, id: RuleId, cookie: u64) {
    let planned = stage.plan.rule(id).clone();
    let key = (planned.step, planned.entry, cookie);
    if state.actions.done.contains(&key) {
        return;
    }
    let acted = match planned.what {
        What::Reset(side) => reset(stage, state, cookie, side, None),
        What::Abort => abort(stage, state, cookie),
        What::Packets(_) | What::Stall => return,
    };
    if acted {
        state.actions.done.insert(key);
        *state.actions.acted.entry(id.0).or_default() += 1;
    }
}

fn reset(
    stage: &Stage,
    state: &mut State<'_>,
    cookie: u64,
    side: Side,
    limit: Option<Reached>,
) -> bool {
    let Some((slot, connection)) = connection(stage, state, cookie) else { return false };
    let connection = match stage.kernel.socket(cookie) {
        Ok(Some(entry)) => standing(connection, &entry),
        _ => connection,
    };
    let connection = limit.map_or(connection, |reached| at_limit(connection, reached));
    let sender = sender_of(stage, cookie);
    let mut sent = [0u64; 2];
    let mut tried = Ok(());
    if matches!(side, Side::Peer | Side::Both) && connection.received.is_some() {
        // First: the peer's answer to a reset of ours would find the local socket gone.
        tried = tried
            .and(sender.reset_peer(&connection).map(|_| sent[Direction::Egress as usize] += 1));
    }
    if matches!(side, Side::Local | Side::Both) {
        tried = tried
            .and(sender.reset_local(&connection).map(|_| sent[Direction::Ingress as usize] += 1));
    }
    let ok = note(state, "reset", cookie, tried) && sent != [0, 0];
    if ok {
        state.actions.unsure.push(resets::Unsure::new(cookie, side, connection.received, limit));
    }
    let total = state.actions.resets.entry(slot).or_default();
    total.iter_mut().zip(sent).for_each(|(t, s)| *t += s);
    ok
}

/// The connection as if the receiver of the limited stream had told that it has all of it. A
/// reset with that number comes too early for nobody: until then the receiver does not take it.
pub(super) fn at_limit(mut connection: Connection, reached: Reached) -> Connection {
    let (there, back) = match reached.direction {
        Direction::Egress => (&mut connection.sent, &mut connection.received),
        Direction::Ingress => (&mut connection.received, &mut connection.sent),
    };
    if let (Some(there), Some(back)) = (there, back) {
        (there.end_seq, back.ack) = (reached.end_seq, reached.end_seq);
    }
    connection
}

fn abort(stage: &Stage, state: &mut State<'_>, cookie: u64) -> bool {
    let Some((_, connection)) = connection(stage, state, cookie) else { return false };
    let destroyed = match &stage.second {
        Some(home) if is_at_home(stage, cookie) => {
            let entered = home.within(|| act::destroy(&connection));
            entered.unwrap_or_else(|source| Err(ActError::System { what: ENTER, source }))
        }
        _ => act::destroy(&connection),
    };
    match destroyed {
        // It was quicker.
        Err(ActError::Gone { .. }) => false,
        other => note(state, "abort", cookie, other),
    }
}

fn open_window(stage: &Stage, state: &mut State<'_>, cookie: u64, direction: Direction) {
    let Some((_, connection)) = connection(stage, state, cookie) else { return };
    let opened = match direction {
        Direction::Egress if connection.sent.is_some() => {
            sender_of(stage, cookie).open_window_to_peer(&connection).map(drop)
        }
        Direction::Ingress if connection.received.is_some() => {
            sender_of(stage, cookie).open_window_to_local(&connection).map(drop)
        }
        // No segment of that direction has been seen, so none was stalled.
        _ => Ok(()),
    };
    note(state, "lift the stall of", cookie, opened);
}

/// Whether the socket is in the run's second network namespace.
fn is_at_home(stage: &Stage, cookie: u64) -> bool {
    // A failure is told by `connection`, which reads the same.
    stage.kernel.socket(cookie).ok().flatten().is_some_and(|s| s.state & SOCKET_HOME != 0)
}

/// Who sends packets where the socket is.
pub(super) fn sender_of(stage: &Stage, cookie: u64) -> &RawSender {
    match &stage.home_sender {
        Some(sender) if is_at_home(stage, cookie) => sender,
        _ => &stage.sender,
    }
}

/// A failure of one of these is the run's: the fault did not happen.
fn note(state: &mut State<'_>, what: &str, cookie: u64, result: Result<(), ActError>) -> bool {
    match result {
        Ok(()) => true,
        Err(e) => {
            state.fail(format!("cannot {what} socket {cookie}: {e}"));
            false
        }
    }
}

/// The socket as those who speak for it need it.
pub(super) fn connection(
    stage: &Stage,
    state: &mut State<'_>,
    cookie: u64,
) -> Option<(u32, Connection)> {
    let known = state.sockets.get(&cookie).copied()?;
    let Socket { local: Some(local), remote: Some(remote), .. } = known else { return None };
    let entry = match stage.kernel.socket(cookie) {
        Ok(entry) => entry?,
        Err(e) => {
            state.fail(e.to_string());
            return None;
        }
    };
    let [sent, received] = entry.last.map(last);
    let protocol = if known.udp { Protocol::Udp } else { Protocol::Tcp };
    let connection = Connection { cookie, protocol, local, remote, ifindex: 0, sent, received };
    Some((entry.slot, connection))
}

/// The same for a socket that was open before, of which no segment may have been seen since: where its streams stood
/// tells the numbers as well. Not for window updates, for the window it does not tell.
pub(crate) fn standing(connection: Connection, entry: &SocketEntry) -> Connection {
    const PLACED: u32 = SOCKET_FOUND | SOCKET_ISN | SOCKET_IRS;
    if entry.state & PLACED != PLACED {
        return connection;
    }
    let ends = [
        entry.isn.wrapping_add(entry.reach[0] as u32),
        entry.irs.wrapping_add(entry.reach[1] as u32),
    ];
    let segment = |end_seq, ack| {
        Some(LastSegment { end_seq, ack, window: 0, timestamps: None, has_ack: true })
    };
    let sent = connection.sent.or_else(|| segment(ends[0], ends[1]));
    let received = connection.received.or_else(|| segment(ends[1], ends[0]));
    Connection { sent, received, ..connection }
}

/// The record of a segment as those who speak for the connection need it.
pub(crate) fn last(last: table::LastSegment) -> Option<LastSegment> {
    let has = |bit| last.flags & bit != 0;
    has(LAST_SEEN).then(|| LastSegment {
        end_seq: last.end_seq,
        ack: last.ack,
        window: last.window,
        timestamps: has(LAST_TIMESTAMPS).then_some((last.tsval, last.tsecr)),
        has_ack: has(LAST_ACK),
    })
}
