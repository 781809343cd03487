//! The plan: what a validated scenario means for the kernel, as data. Pure and deterministic;
//! nothing here asks the machine anything, so it can be printed, compared and tested anywhere.

mod compile;
pub mod condition;
mod rules;
#[cfg(test)]
mod rules_tests;
mod stack;
#[cfg(test)]
mod stack_tests;
mod table_set;
pub mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fault_common::fate;
use fault_common::rule::{Direction, Rule};
use fault_common::table::Selector;

use crate::scenario::model::Line;
use condition::Condition;

pub use crate::scenario::model::{Backend, Reject, Side, Via};
pub use compile::{PlanError, compile};
pub(crate) use rules::when;
pub use stack::Stack;
pub use table_set::{Lent, Tables};

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
    /// What sockets must be like, each with its bit in the sets of `fault_common::condition`.
    pub conditions: BTreeMap<u32, Condition>,
    /// Literal texts that arm a selector from inside the app's write.
    pub markers: Vec<MarkerPlan>,
    /// Every fault of every step, once per direction, in stacking order.
    pub rules: Vec<RulePlan>,
    /// Tables that rules name by index.
    pub tables: Tables,
    /// What delays packets, and how much it may hold.
    pub line: Line,
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
    /// Which packets of the flow; of no meaning for a reset or an abort.
    pub direction: Direction,
    /// What is done.
    pub what: What,
    /// The same for the packet programs, if they can judge it where they meet the packet.
    pub hook: Option<Rule>,
    /// As the scenario says it, e.g. `drop = 1`.
    pub text: String,
    /// The run does not fail when no packet met it.
    pub may_miss: bool,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a plan has a few rules, and is built once")]
pub enum What {
    /// To packets. `id` is the rule's index in [`Plan::rules`]; `pulse.armed` is 0 and for the
    /// one who arms it to set.
    Packets(fate::Fault),
    /// The receive window in the packets of its direction is zero.
    Stall,
    /// RST to that side, once.
    Reset(Side),
    /// The socket is destroyed, once.
    Abort,
}

impl RulePlan {
    /// Who judges it if it is alone in its stack; `None`: it is done to the connection.
    pub fn via(&self) -> Option<Via> {
        match (&self.what, &self.hook) {
            (What::Reset(_) | What::Abort, _) => None,
            (What::Stall, _) | (_, Some(_)) => Some(Via::Hook),
            (_, None) => Some(Via::Line),
        }
    }
}

impl Plan {
    /// The rules that a step arms.
    pub fn rules_of(&self, step: usize) -> impl Iterator<Item = RuleId> + '_ {
        (0u32..).zip(&self.rules).filter(move |(_, r)| r.step == step).map(|(i, _)| RuleId(i))
    }

    /// The conditions that a UDP socket may fulfil.
    pub fn udp_conditions(&self) -> u64 {
        let udp = self.conditions.iter().filter(|(_, c)| c.udp == Some(true));
        udp.fold(0, |set, (bit, _)| set | 1 << bit)
    }

    /// Whether some fault needs the delay line.
    pub fn needs_line(&self) -> bool {
        self.first_on_line().is_some()
    }

    /// The first fault that needs it.
    pub fn first_on_line(&self) -> Option<&RulePlan> {
        self.rules.iter().find(|r| r.via() == Some(Via::Line))
    }

    /// The rule of that id.
    pub fn rule(&self, id: RuleId) -> &RulePlan {
        &self.rules[id.0 as usize]
    }
}
