//! Scenario -> plan.

use fault_common::rule::{CHAIN_LEN, MAX_FLOWS};
use fault_common::table::{
    ANY_APP, MARKERS_PER_STREAM, MAX_APPS, SEL_ACCEPT, SEL_AFTER_PROCESS, SEL_AFTER_THREAD,
    SEL_FOLLOW, SEL_FOUND, SEL_LADDR, SEL_LATE, SEL_LPORT, SEL_NTH, SEL_REMOTE, SEL_UID, Selector,
    v4,
};

use super::{MarkerPlan, Plan, RuleId, Tables, rules};
use crate::addr;
use crate::scenario::model::{Flow, Line, Marker, Opened, Protocol, Remote, Same, Scenario, Stdio};

/// A scenario that is valid but larger than the kernel tables.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// See the message.
    #[error("{what}: {count}, and at most {max} are possible; split the scenario")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// See the message.
    #[error(
        "more than {max} faults are armed on one direction of flow number {flow} at a time; \
         lift some before (`for`, `clear`)",
        max = CHAIN_LEN
    )]
    ChainFull {
        /// Index of the flow.
        flow: usize,
    },
}

/// Compiles a scenario; `seed` is the scenario's own or one drawn for this run.
///
/// # Errors
/// [`PlanError`] when it does not fit the kernel tables.
pub fn compile(scenario: &Scenario, seed: u64) -> Result<Plan, PlanError> {
    limit("[[app]] entries", scenario.apps.len(), MAX_APPS as usize)?;
    limit("[[flow]] entries", scenario.flows.len(), MAX_FLOWS as usize)?;
    let mut remotes: Vec<Remote> = Vec::new();
    let mut selectors = Vec::new();
    for (i, flow) in scenario.flows.iter().enumerate() {
        let bit = flow.remote.as_ref().map(|r| intern(&mut remotes, r));
        selectors.push(selector(scenario, flow, i as u32, bit));
    }
    let (mut rules, mut tables) = (Vec::new(), Tables::default());
    rules::compile(scenario, &mut rules, &mut tables);
    Ok(Plan {
        seed,
        markers: markers(scenario, &selectors)?,
        selectors,
        remotes,
        rules,
        tables,
        line: scenario.line,
        observed: observed(scenario),
    })
}

impl Plan {
    /// A plan without flows and rules, which [`Self::extend`] gives some.
    pub fn empty(seed: u64) -> Self {
        Self {
            seed,
            selectors: Vec::new(),
            remotes: Vec::new(),
            markers: Vec::new(),
            rules: Vec::new(),
            tables: Tables::default(),
            line: Line::default(),
            observed: Vec::new(),
        }
    }

    /// Adds the rules of a scenario's steps, all of them for the flow of this number; rules and tables that there are
    /// keep their places. Returns the new ones in stacking order.
    pub fn extend(&mut self, scenario: &Scenario, flow: usize) -> Vec<RuleId> {
        let first = self.rules.len();
        rules::compile(scenario, &mut self.rules, &mut self.tables);
        self.rules[first..].iter_mut().for_each(|rule| rule.flow = flow);
        (first as u32..self.rules.len() as u32).map(RuleId).collect()
    }
}

fn limit(what: &'static str, count: usize, max: usize) -> Result<(), PlanError> {
    if count > max { Err(PlanError::TooMany { what, count, max }) } else { Ok(()) }
}

fn intern(remotes: &mut Vec<Remote>, remote: &Remote) -> u32 {
    let at = remotes.iter().position(|r| r == remote).unwrap_or_else(|| {
        remotes.push(remote.clone());
        remotes.len() - 1
    });
    at as u32
}

fn selector(scenario: &Scenario, flow: &Flow, index: u32, remote: Option<u32>) -> Selector {
    let mut flags = 0;
    let mut set = |bit, on: bool| flags |= if on { bit } else { 0 };
    set(SEL_REMOTE, remote.is_some());
    set(SEL_NTH, flow.nth.is_some());
    set(SEL_FOLLOW, flow.follow);
    set(SEL_UID, flow.uid.is_some());
    set(SEL_ACCEPT, flow.opened == Some(Opened::Accept));
    set(SEL_FOUND, flow.is_open_already());
    let local = flow.local;
    set(SEL_LADDR, local.is_some_and(|l| l.ip.is_some()));
    set(SEL_LPORT, local.is_some_and(|l| l.port.is_some()));
    if let Some(after) = &flow.opened_after {
        match (marker_is_exact(scenario, flow), after.same) {
            (false, _) => set(SEL_LATE, true),
            (true, Same::Process) => set(SEL_AFTER_PROCESS, true),
            (true, Same::Thread) => set(SEL_AFTER_THREAD, true),
        }
    }
    Selector {
        app: flow.app.map_or(ANY_APP, |a| a.0 as u32),
        flow: index,
        flags,
        remote: remote.unwrap_or(0),
        nth: flow.nth.unwrap_or(0),
        max_flows: flow.max_flows,
        proto: match flow.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP as u32,
            Protocol::Udp => libc::IPPROTO_UDP as u32,
        },
        lport: local.and_then(|l| l.port).unwrap_or(0).into(),
        laddr: local.and_then(|l| l.ip).map_or(v4(0), addr::words),
        uid: flow.uid.unwrap_or(0),
    }
}

/// Whether the kernel itself can find the text: a literal, in output that is a socket.
fn marker_is_exact(scenario: &Scenario, flow: &Flow) -> bool {
    let literal = matches!(&flow.opened_after, Some(a) if matches!(a.log, Marker::Literal(_)));
    let socket = flow.app.is_some_and(|a| scenario.apps[a.0].stdio == Stdio::Socket);
    literal && socket
}

fn markers(scenario: &Scenario, selectors: &[Selector]) -> Result<Vec<MarkerPlan>, PlanError> {
    let mut markers: Vec<MarkerPlan> = Vec::new();
    for (flow, selector) in scenario.flows.iter().zip(selectors) {
        let (Some(after), Some(app)) = (&flow.opened_after, flow.app) else { continue };
        if selector.flags & SEL_LATE != 0 {
            continue;
        }
        if let Marker::Literal(text) = &after.log {
            markers.push(MarkerPlan { app: app.0, text: text.clone(), selector: selector.flow });
            let of_app = markers.iter().filter(|m| m.app == app.0).count();
            limit("`opened_after` texts in one app's output", of_app, MARKERS_PER_STREAM)?;
        }
    }
    Ok(markers)
}

fn observed(scenario: &Scenario) -> Vec<bool> {
    let anybody = scenario.flows.iter().any(|f| f.app.is_none());
    let apps = scenario.apps.iter().enumerate();
    apps.map(|(i, app)| {
        let named = scenario.flows.iter().any(|f| f.app.is_some_and(|a| a.0 == i));
        anybody || named || app.outcomes.is_some()
    })
    .collect()
}
