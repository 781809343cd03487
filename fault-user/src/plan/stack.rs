//! What one flow and direction meets while some rules are armed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fault_common::fate;
use fault_common::rule::{CHAIN_LEN, Chain, Direction, VIA_HOOK, VIA_LINE};

use super::{Plan, PlanError, RuleId, RulePlan, Via, What};

/// The armed faults of one flow and direction. All of them are judged in one place: were some
/// lost at the hook and some in the line, the order in which they stand would not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// For the packet programs; with [`Via::Line`] it has a stall at most.
    pub hook: Chain,
    /// For the line, in stacking order; empty with [`Via::Hook`].
    pub line: Vec<fate::Fault>,
    /// Who judges.
    pub via: Via,
}

impl Plan {
    /// What each flow and direction meets while `active` (in the order of arming) is armed. What
    /// is done to connections (reset, abort) has no part in it.
    ///
    /// # Errors
    /// More rules on one flow and direction than a chain holds.
    pub fn chains(
        &self,
        active: &[RuleId],
    ) -> Result<BTreeMap<(u32, Direction), Stack>, PlanError> {
        let mut armed: BTreeMap<(u32, Direction), Vec<(RuleId, &RulePlan)>> = BTreeMap::new();
        let rules = active.iter().map(|id| (*id, self.rule(*id)));
        for (id, rule) in rules.filter(|(_, r)| r.via().is_some()) {
            armed.entry((rule.flow as u32, rule.direction)).or_default().push((id, rule));
        }
        armed.into_iter().map(|(key, rules)| Ok((key, stack(&rules)?))).collect()
    }
}

impl Stack {
    /// The line's part, with times that count from `armed` (CLOCK_MONOTONIC, ns).
    pub fn line_armed(&self, armed: u64) -> Arc<[fate::Fault]> {
        let begin = |fault: &fate::Fault| {
            let pulse = fault.pulse.map(|p| fate::Pulse { armed, ..p });
            fate::Fault { pulse, ..*fault }
        };
        self.line.iter().map(begin).collect()
    }
}

fn stack(rules: &[(RuleId, &RulePlan)]) -> Result<Stack, PlanError> {
    let full = PlanError::ChainFull { flow: rules.first().map_or(0, |(_, r)| r.flow) };
    if rules.len() > CHAIN_LEN {
        return Err(full);
    }
    let needs_line = rules.iter().any(|(_, r)| r.via() == Some(Via::Line));
    let (via, number) = if needs_line { (Via::Line, VIA_LINE) } else { (Via::Hook, VIA_HOOK) };
    let mut hook = Chain { via: number, ..Chain::EMPTY };
    let mut line = Vec::new();
    for (id, rule) in rules {
        match (&rule.what, rule.hook) {
            (What::Stall, _) => hook.stall = id.0 + 1,
            (What::Packets(fault), _) if needs_line => line.push(*fault),
            (_, Some(at_hook)) => {
                hook.rules[hook.len as usize] = at_hook;
                hook.len += 1;
            }
            // `via` has said that it is for the hook or for the line.
            (_, None) => {}
        }
    }
    Ok(Stack { hook, line, via })
}
