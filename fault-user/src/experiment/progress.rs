//! How a run goes, told once a second to whoever wants to know.

use std::net::SocketAddr;

use fault_common::rule::Direction;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use super::prepare::Stage;
use super::state::{Socket, State};
use crate::kernel::KernelError;
use crate::line::tally::Counts;
use crate::report::model::Counters;

/// How often, in ns.
const EVERY: u64 = 1_000_000_000;

/// A run at some moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// Since t = 0.
    pub t_ms: f64,
    /// Sockets that are or were flows, in the order of their cookies.
    pub sockets: Vec<SocketProgress>,
}

/// One socket, until then. Counters as in report.json.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SocketProgress {
    /// Name of the flow.
    pub flow: String,
    pub cookie: u64,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    pub open: bool,
    pub egress: Counters,
    pub ingress: Counters,
}

/// Who is told, and when next.
#[derive(Debug)]
pub struct Teller {
    to: UnboundedSender<Progress>,
    next: u64,
}

impl Teller {
    pub fn new(to: UnboundedSender<Progress>) -> Self {
        Self { to, next: 0 }
    }

    /// When [`tell`] has something to do: CLOCK_MONOTONIC, ns.
    pub fn next_at(&self) -> u64 {
        self.next
    }
}

/// Tells how it goes, if it is time for that. What cannot be counted now is counted at the end.
pub fn tell(stage: &mut Stage, state: &State<'_>, now: u64) {
    let Some(teller) = stage.progress.as_mut().filter(|t| t.next <= now) else { return };
    teller.next = now + EVERY;
    match look(stage, state, now) {
        Ok(progress) => {
            // Nobody listens any more: the run is not for the listener's sake.
            let _ = stage.progress.as_ref().map(|t| t.to.send(progress));
        }
        Err(e) => tracing::warn!("the counters cannot be read: {}", crate::chain::told(&e)),
    }
}

fn look(stage: &Stage, state: &State<'_>, now: u64) -> Result<Progress, KernelError> {
    let line = match stage.line.as_ref().map(|running| running.line.counts()) {
        None => Counts::default(),
        Some(Ok(counts)) => counts,
        Some(Err(e)) => {
            tracing::warn!("the delay line's counters are missing: {e}");
            Counts::default()
        }
    };
    let mut sockets = Vec::new();
    for (cookie, socket) in &state.sockets {
        let Some(flow) = socket.flow.and_then(|f| state.scenario.flows.get(f as usize)) else {
            continue;
        };
        let [egress, ingress] = Direction::BOTH.map(|d| counters(stage, state, &line, socket, d));
        sockets.push(SocketProgress {
            flow: flow.name.clone(),
            cookie: *cookie,
            local: socket.local,
            remote: socket.remote,
            open: socket.open,
            egress: egress?,
            ingress: ingress?,
        });
    }
    let since = now.saturating_sub(state.t0.unwrap_or(now));
    Ok(Progress { t_ms: since as f64 / 1e6, sockets })
}

fn counters(
    stage: &Stage,
    state: &State<'_>,
    line: &Counts,
    socket: &Socket,
    direction: Direction,
) -> Result<Counters, KernelError> {
    let c = stage.kernel.slot(socket.slot, direction)?;
    let line = line.sockets.get(&(socket.slot, direction)).copied().unwrap_or_default();
    let resets = state.actions.resets.get(&socket.slot).copied().unwrap_or_default();
    Ok(super::counted::together(&c, &line, resets[direction as usize]))
}
