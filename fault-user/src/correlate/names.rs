//! What reports call things.

#![expect(missing_docs, reason = "fields whose name says it all")]

use std::collections::BTreeMap;

use crate::ledger::flow::FlowRecord;

/// Names behind the indices of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub apps: Vec<String>,
    pub flows: Vec<String>,
    pub rules: Vec<RuleName>,
}

/// A rule, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// The step that arms it.
    pub step: String,
    /// Flow, direction and fault, e.g. `unidentified egress drop = 1`.
    pub what: String,
    /// The fault alone, e.g. `drop = 1`.
    pub fault: String,
}

impl Names {
    /// Name of an app; its index if the plan has no such app.
    pub fn app(&self, app: u32) -> String {
        self.apps.get(app as usize).cloned().unwrap_or_else(|| format!("app-{app}"))
    }

    /// `STEP: flow direction fault`.
    pub fn rule(&self, rule: u32) -> String {
        match self.rules.get(rule as usize) {
            Some(r) => format!("{}: {}", r.step, r.what),
            None => format!("rule-{rule}"),
        }
    }

    /// What a rule does, as the scenario says it.
    pub fn fault(&self, rule: u32) -> String {
        self.rules.get(rule as usize).map_or_else(|| format!("rule-{rule}"), |r| r.fault.clone())
    }

    /// Step and rule within a sentence.
    pub(super) fn rule_in_words(&self, rule: u32) -> String {
        match self.rules.get(rule as usize) {
            Some(r) => format!("`{}` ({})", r.step, r.what),
            None => format!("rule {rule}"),
        }
    }
}

/// The name of every socket by its cookie: that of its `[[flow]]`, or `APP/N` for the Nth other
/// connection of an app. `flows` in order of opening, as [`crate::ledger::build::build`] gives them.
pub fn sockets(flows: &[FlowRecord], names: &Names) -> BTreeMap<u64, String> {
    let mut others: BTreeMap<u32, u32> = BTreeMap::new();
    let mut name = |f: &FlowRecord| match f.flow.and_then(|i| names.flows.get(i as usize)) {
        Some(name) => name.clone(),
        None => {
            let n = others.entry(f.app).or_default();
            *n += 1;
            format!("{}/{n}", names.app(f.app))
        }
    };
    flows.iter().map(|f| (f.cookie, name(f))).collect()
}
