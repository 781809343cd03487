//! The plan: what a validated scenario means for the kernel, as data. Pure and deterministic;
//! nothing here asks the machine anything, so it can be printed, compared and tested anywhere.

mod compile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fault_common::rule::{Chain, Direction, Rule};
use fault_common::table::Selector;

use crate::scenario::model::Remote;

pub use compile::{PlanError, compile};

/// Index into [`Plan::rules`]; the id that events and counters carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// Everything the kernel side needs to know, except addresses (resolved when the run starts).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Seed of every random decision.
    pub seed: u64,
    /// One per `[[flow]]`, in the order of the file.
    pub selectors: Vec<Selector>,
    /// Remotes by bit: `selectors[i].remote` is an index into this.
    pub remotes: Vec<Remote>,
    /// Literal texts that arm a selector from inside the app's write.
    pub markers: Vec<MarkerPlan>,
    /// Every fault of every step, once per direction, in stacking order.
    pub rules: Vec<RulePlan>,
    /// Per app: whether its sockets are watched (it has outcomes, or a flow may be its).
    pub observed: Vec<bool>,
}

/// A literal `opened_after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerPlan {
    /// App whose output is watched.
    pub app: usize,
    /// The text.
    pub text: String,
    /// Selector (= flow index) that it arms.
    pub selector: u32,
}

/// One fault in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct RulePlan {
    /// Index of the step that arms it.
    pub step: usize,
    /// Index among the faults of that step: both directions of one `faults` entry share it.
    pub entry: usize,
    /// Index of the flow.
    pub flow: usize,
    /// Which packets of the flow.
    pub direction: Direction,
    /// As the kernel gets it; `rule.id` is its index in [`Plan::rules`].
    pub rule: Rule,
    /// As the scenario says it, e.g. `drop = 1`.
    pub text: String,
    /// The run does not fail when no packet met it.
    pub may_miss: bool,
}

impl Plan {
    /// The rules that a step arms.
    pub fn rules_of(&self, step: usize) -> impl Iterator<Item = RuleId> + '_ {
        (0u32..).zip(&self.rules).filter(move |(_, r)| r.step == step).map(|(i, _)| RuleId(i))
    }

    /// The rule of that id.
    pub fn rule(&self, id: RuleId) -> &RulePlan {
        &self.rules[id.0 as usize]
    }

    /// The chain of each flow and direction while `active` (in the order of arming) is armed.
    ///
    /// # Errors
    /// More rules on one flow and direction than a chain holds.
    pub fn chains(
        &self,
        active: &[RuleId],
    ) -> Result<BTreeMap<(u32, Direction), Chain>, PlanError> {
        let mut chains = BTreeMap::new();
        for id in active {
            let planned = self.rule(*id);
            let key = (planned.flow as u32, planned.direction);
            let chain: &mut Chain = chains.entry(key).or_insert(Chain::EMPTY);
            let place = chain.len as usize;
            let Some(slot) = chain.rules.get_mut(place) else {
                return Err(PlanError::ChainFull { flow: planned.flow });
            };
            *slot = planned.rule;
            chain.len += 1;
        }
        Ok(chains)
    }
}
