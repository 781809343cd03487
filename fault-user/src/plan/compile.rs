//! Scenario -> plan.

use std::collections::BTreeMap;

use fault_common::rule::{CHAIN_LEN, MAX_FLOWS};
use fault_common::table::{
    ANY_APP, MARKERS_PER_STREAM, MAX_APPS, SEL_AFTER_PROCESS, SEL_AFTER_THREAD, SEL_FOLLOW,
    SEL_HELLO, SEL_LATE, SEL_NTH, SEL_SHARE, Selector,
};

use super::{MarkerPlan, Plan, RuleId, Tables, condition, rules};
use crate::scenario::model::{Flow, Line, Marker, Protocol, Same, Scenario, Stdio};

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
    let excluded = scenario.flows.iter().flat_map(|f| &f.exclude);
    let excluded = excluded.filter_map(condition::excluded).count();
    limit("`exclude` tables", excluded, condition::MAX_EXCLUDES)?;
    let (conditions, excluded) = condition::of_flows(&scenario.flows);
    let flows = scenario.flows.iter().zip(excluded);
    let selectors: Vec<Selector> =
        (0u32..).zip(flows).map(|(i, (flow, set))| selector(scenario, flow, i, set)).collect();
    let (mut rules, mut tables) = (Vec::new(), Tables::default());
    rules::compile(scenario, &mut rules, &mut tables);
    Ok(Plan {
        seed,
        markers: markers(scenario, &selectors)?,
        selectors,
        conditions,
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
            conditions: BTreeMap::new(),
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

fn selector(scenario: &Scenario, flow: &Flow, index: u32, excluded: u64) -> Selector {
    let mut flags = 0;
    let mut set = |bit, on: bool| flags |= if on { bit } else { 0 };
    set(SEL_NTH, flow.nth.is_some());
    set(SEL_FOLLOW, flow.follow);
    set(SEL_SHARE, flow.share.is_some());
    set(SEL_HELLO, flow.waits_for_hello());
    if let Some(after) = &flow.opened_after {
        match (marker_is_exact(scenario, flow), after.same) {
            (false, _) => set(SEL_LATE, true),
            (true, Same::Process) => set(SEL_AFTER_PROCESS, true),
            (true, Same::Thread) => set(SEL_AFTER_THREAD, true),
        }
    }
    Selector {
        excluded,
        app: flow.app.map_or(ANY_APP, |a| a.0 as u32),
        flow: index,
        flags,
        nth: flow.nth.unwrap_or(0),
        max_flows: flow.max_flows,
        proto: match flow.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP as u32,
            Protocol::Udp => libc::IPPROTO_UDP as u32,
        },
        share: flow.share_of_whole().unwrap_or(0),
        _pad: 0,
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
