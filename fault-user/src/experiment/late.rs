//! `opened_after` with a regular expression, or on a pipe: only userspace can find the line, so
//! the socket is named after the fact. Its SYN has left by then; `check` says so.

use std::net::IpAddr;

use fault_common::table::SEL_LATE;

use super::prepare::Resolved;
use crate::ledger::entry::Entry;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::scenario::model::Marker;

/// One such flow.
#[derive(Debug, Clone)]
pub struct Late {
    pub flow: u32,
    app: usize,
    marker: Marker,
    /// Index of its remote.
    remote: Option<usize>,
    nth: Option<u32>,
    /// Connections seen that match app and remote.
    seen: u32,
    /// When the line was written, until a connection has taken it.
    armed: Option<u64>,
}

impl Late {
    /// All of a scenario.
    pub fn all(scenario: &Scenario, plan: &Plan) -> Vec<Self> {
        let flows = scenario.flows.iter().zip(&plan.selectors);
        let late = flows.filter(|(_, s)| s.flags & SEL_LATE != 0);
        late.filter_map(|(flow, selector)| {
            Some(Self {
                flow: selector.flow,
                app: flow.app?.0,
                marker: flow.opened_after.as_ref()?.log.clone(),
                remote: flow.remote.is_some().then_some(selector.remote as usize),
                nth: flow.nth,
                seen: 0,
                armed: None,
            })
        })
        .collect()
    }

    /// A line of output.
    pub fn line(&mut self, app: usize, at: u64, text: &str) {
        let hit = match &self.marker {
            Marker::Literal(literal) => text.contains(literal.as_str()),
            Marker::Regex(pattern) => pattern.0.is_match(text),
        };
        if app == self.app && hit {
            self.armed = Some(at);
        }
    }

    /// Whether this connection is the one; if so the mark is used up.
    pub fn takes(&mut self, entry: &Entry, ip: IpAddr, remotes: &[Resolved]) -> bool {
        let there = self.remote.is_none_or(|r| remotes[r].is(ip, entry.rport));
        if entry.app as usize != self.app || !there {
            return false;
        }
        self.seen += 1;
        let nth = self.nth.is_none_or(|n| n == self.seen);
        let after = self.armed.is_some_and(|at| at <= entry.ts);
        if nth && after {
            self.armed = None;
        }
        nth && after
    }
}
