//! Which open sockets a run would hit first. Nothing is done to any.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::RunError;
use super::attach::{self, AttachError, Candidate, Owners, Reach};
use super::selection::Selection;
use crate::plan;
use crate::scenario::{Scenario, model};
use crate::sockets::Protocol;

/// Whose sockets may be meant.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// Those of the apps that the scenario attaches to, from within ([`Reach::within`]).
    Apps(&'a Reach),
    /// Those of every process in this network namespace, as if all of them were the first app.
    Everybody,
}

/// An open socket that is a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Index of the flow.
    pub flow: usize,
    pub pid: i32,
    /// Name of the process.
    pub comm: String,
    pub fd: i32,
    pub cookie: u64,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The peer opened it.
    pub accepted: bool,
}

impl Hit {
    fn new(flow: usize, candidate: &Candidate<'_>) -> Self {
        let process = &candidate.holder.process;
        Self {
            flow,
            pid: process.pid,
            comm: process.comm.clone(),
            fd: candidate.holder.fd,
            cookie: candidate.socket.cookie,
            protocol: candidate.socket.protocol,
            local: candidate.socket.local,
            remote: candidate.remote,
            accepted: candidate.accepted,
        }
    }
}

/// The open sockets that the flows stand for, as a run would find them now.
///
/// # Errors
/// What a run would refuse: no such process, more sockets than a flow may be, somebody's login. A flow in
/// `needed` that no open socket matches is refused as well.
pub async fn preview(
    scenario: &Scenario,
    sight: Sight<'_>,
    needed: &BTreeSet<usize>,
) -> Result<Vec<Hit>, RunError> {
    let (owners, home, second) = match sight {
        Sight::Apps(reach) => {
            (Owners::of(&reach.targets), reach.home.as_ref(), reach.second.as_deref())
        }
        Sight::Everybody => (Owners::Everybody(0), None, None),
    };
    let plan = plan::compile(scenario, 0)?;
    let selection = Selection::new(scenario, &plan, home).await?;
    let looks = attach::looks(second)?;
    let candidates = attach::candidates(&looks, &owners);
    let meant = attach::choose(scenario, &selection, &candidates)?;
    let hits = candidates.iter().zip(&meant);
    let mut hits: Vec<Hit> = hits.filter_map(|(c, flow)| Some(Hit::new((*flow)?, c))).collect();
    // The next datagram gives a UDP socket its flow.
    for (index, flow) in scenario.flows.iter().enumerate() {
        if flow.protocol == model::Protocol::Udp {
            let meant = candidates.iter().filter(|c| attach::matches(flow, &selection, c));
            hits.extend(meant.map(|c| Hit::new(index, c)));
        }
    }
    let missed = |flow: &&usize| !hits.iter().any(|hit| hit.flow == **flow);
    if let Some(flow) = needed.iter().find(missed) {
        let name = scenario.flows.get(*flow).map_or_else(String::new, |f| f.name.clone());
        let sockets = attach::list(&candidates);
        return Err(AttachError::NoMatch { flow: name, sockets }.into());
    }
    Ok(hits)
}
