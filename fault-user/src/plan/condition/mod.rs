//! What a socket must be like for a flow, as the conditions of `fault_common::condition`.

mod prefixes;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use fault_common::condition::{CONDITIONS, FIRST_EXCLUDED, counts, fits};

use crate::scenario::model::{Exclude, Flow, Hello, Local, Opened, Protocol, Remote};

pub use prefixes::Prefix;
pub use tables::Tables;

/// How many `exclude` one scenario may have.
pub const MAX_EXCLUDES: usize = (CONDITIONS - FIRST_EXCLUDED) as usize;

/// The addresses of host names.
pub type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// A conjunction: what is `None` may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// Index of the app.
    pub app: Option<usize>,
    /// Whether it is UDP, else TCP.
    pub udp: Option<bool>,
    /// Whether the peer opened it.
    pub accepted: Option<bool>,
    pub remote: Option<Remote>,
    pub local: Option<Local>,
    pub uid: Option<u32>,
    /// A cgroup as the scenario names it.
    pub cgroup: Option<String>,
    pub hello: Option<Hello>,
}

/// Under which a selector counts a socket: who opens it, and where it leads. Of accepted connections those on one
/// local end are counted.
pub fn counted(flow: &Flow) -> Condition {
    let accepted = flow.opened == Some(Opened::Accept);
    Condition {
        app: flow.app.map(|app| app.0),
        udp: Some(flow.protocol == Protocol::Udp),
        accepted: Some(accepted),
        remote: flow.remote.clone(),
        local: flow.local.filter(|_| accepted),
        uid: None,
        cgroup: flow.cgroup.clone(),
        hello: flow.hello.clone(),
    }
}

/// Under which one that was counted may be meant.
pub fn meant(flow: &Flow) -> Condition {
    Condition { local: flow.local, uid: flow.uid, ..counted(flow) }
}

/// Under which it is not. `None`: it is about a socket that is open already, which userspace picks.
pub fn excluded(exclude: &Exclude) -> Option<Condition> {
    if exclude.cookie.is_some() || exclude.fd.is_some() {
        return None;
    }
    Some(Condition {
        app: exclude.app.map(|app| app.0),
        udp: None,
        accepted: None,
        remote: exclude.remote.clone(),
        local: exclude.local,
        uid: exclude.uid,
        cgroup: exclude.cgroup.clone(),
        hello: exclude.hello.clone(),
    })
}

/// All conditions of a scenario, each with its bit; and for each flow the set of its exclusions.
pub fn of_flows(flows: &[Flow]) -> (BTreeMap<u32, Condition>, Vec<u64>) {
    let mut conditions = BTreeMap::new();
    let mut sets = Vec::new();
    let mut next = FIRST_EXCLUDED;
    for (i, flow) in (0u32..).zip(flows) {
        // Nothing that opens later is one that is open already.
        if !flow.is_open_already() {
            conditions.insert(counts(i).trailing_zeros(), counted(flow));
            conditions.insert(fits(i).trailing_zeros(), meant(flow));
        }
        let mut set = 0;
        for condition in flow.exclude.iter().filter_map(excluded) {
            set |= 1u64.checked_shl(next).unwrap_or(0);
            conditions.insert(next, condition);
            next += 1;
        }
        sets.push(set);
    }
    (conditions, sets)
}
