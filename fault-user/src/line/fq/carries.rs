//! Faults -> delays of the packet programs, where that can be done.

use std::time::Duration;

use fault_common::fate::{Delay, Distribution, Fault, Model};
use fault_common::rule::{CHAIN_LEN, Chain, DELAY, Rule, VIA_FQ};

use super::LineError;
use crate::plan::{Plan, RulePlan, Via, What, when};
use crate::scenario::model::unfit_for_fq;

/// fq has the longest time that it waits (its horizon) in microseconds, in 32 bits.
pub const LONGEST: Duration = Duration::from_secs(4200);

/// Whether every fault of the plan that needs a line is one that fq can carry.
///
/// # Errors
/// [`LineError::Unfit`] with the first that is not.
pub fn carries(plan: &Plan) -> Result<(), LineError> {
    let on_line = |r: &&RulePlan| r.via() == Some(Via::Line);
    for rule in plan.rules.iter().filter(on_line) {
        if let What::Packets(fault) = &rule.what {
            delay(fault).map_err(|why| LineError::Unfit { fault: rule.text.clone(), why })?;
        }
    }
    // The faults of a stack are judged in one place.
    let beside = |r: &RulePlan| {
        let shares = |o: &RulePlan| (o.flow, o.direction) == (r.flow, r.direction);
        plan.rules.iter().filter(on_line).any(shares)
    };
    let lost = |r: &&RulePlan| matches!(r.what, What::Packets(_)) && r.hook.is_some() && beside(r);
    match plan.rules.iter().find(lost) {
        None => Ok(()),
        Some(rule) => {
            let why = "it stands beside a delay, and fq cannot lose packets";
            Err(LineError::Unfit { fault: rule.text.clone(), why })
        }
    }
}

/// The chain of a stack.
///
/// # Errors
/// [`LineError::Unfit`]: one of the faults is no plain delay.
pub fn chain(hook: Chain, faults: &[Fault]) -> Result<Chain, LineError> {
    let mut chain = Chain { via: VIA_FQ, ..hook };
    for fault in faults {
        let unfit = |why| LineError::Unfit { fault: format!("fault {}", fault.id), why };
        let (ns, when) = delay(fault).map_err(unfit)?;
        let at = chain.len as usize;
        if at >= CHAIN_LEN {
            return Err(unfit("there are too many faults on one flow"));
        }
        chain.rules[at] = Rule { kind: DELAY, id: fault.id, arg: ns, when, ..Rule::NONE };
        chain.len += 1;
    }
    Ok(chain)
}

/// How long the fault holds which packets; or why fq cannot do that.
fn delay(fault: &Fault) -> Result<(u64, u32), &'static str> {
    let Model::Delay(Delay { mean, distribution, .. }) = fault.model else {
        return Err("fq can wait, and nothing else");
    };
    let constant = distribution == Distribution::Constant;
    if let Some(why) = unfit_for_fq(constant, fault.pulse.is_some(), &fault.when) {
        return Err(why);
    }
    if u128::from(mean) > LONGEST.as_nanos() {
        return Err("it is longer than fq can wait (70 minutes)");
    }
    let when = when(fault.when.segment).ok_or("the packet programs cannot tell which it means")?;
    Ok((mean, when))
}

#[cfg(test)]
mod tests {
    use fault_common::fate::{Pulse, Segment, When};
    use fault_common::rule::{WHEN_ANY, WHEN_SYN};

    use super::*;

    fn fault(id: u32, model: Model) -> Fault {
        Fault { id, when: When::default(), pulse: None, model }
    }

    fn held(ns: u64) -> Model {
        Model::Delay(Delay {
            mean: ns,
            jitter: 0,
            distribution: Distribution::Constant,
            correlation: 0,
            keep_order: true,
        })
    }

    #[test]
    fn delays_become_rules_beside_a_stall() {
        let stall = Chain { stall: 4, ..Chain::EMPTY };
        let syn = When { segment: Some(Segment::Syn), ..When::default() };
        let faults = [fault(7, held(20)), Fault { when: syn, ..fault(9, held(5)) }];
        let chain = chain(stall, &faults).unwrap();
        assert_eq!((chain.via, chain.len, chain.stall), (VIA_FQ, 2, 4));
        let rule = |i: usize| (chain.rules[i].kind, chain.rules[i].id, chain.rules[i].arg);
        assert_eq!((rule(0), chain.rules[0].when), ((DELAY, 7, 20), WHEN_ANY));
        assert_eq!((rule(1), chain.rules[1].when), ((DELAY, 9, 5), WHEN_SYN));
    }

    #[test]
    fn what_is_not_a_plain_delay_is_refused_with_the_reason() {
        let pulse = Some(Pulse { on: 1, off: 1, armed: 0 });
        let fin = When { segment: Some(Segment::Fin), ..When::default() };
        let large = When { size: Some((100, 200)), ..When::default() };
        let jitter = Model::Delay(Delay {
            mean: 20,
            jitter: 5,
            distribution: Distribution::Uniform,
            correlation: 0,
            keep_order: true,
        });
        for (fault, word) in [
            (fault(1, Model::MarkCe(7)), "nothing else"),
            (fault(1, jitter), "jitter"),
            (Fault { pulse, ..fault(1, held(1)) }, "pulse"),
            (Fault { when: fin, ..fault(1, held(1)) }, "FIN"),
            (Fault { when: large, ..fault(1, held(1)) }, "when"),
            (fault(1, held(u64::MAX)), "70 minutes"),
        ] {
            let why = chain(Chain::EMPTY, &[fault]).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
