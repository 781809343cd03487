//! Stacks: the hook or the line, never both.

use std::path::Path;

use fault_common::rule::{CHAIN_LEN, Direction, VIA_HOOK, VIA_LINE};

use super::*;
use crate::scenario::parse;

const TX: Direction = Direction::Egress;
const RX: Direction = Direction::Ingress;

fn plan(steps: &[&str]) -> Plan {
    let mut text = String::from(
        "schema = 1\n[[app]]\nname = 'a'\ncommand = ['true']\n\
         [[flow]]\nname = 'f'\nremote = '10.0.0.1:443'\n\
         [[flow]]\nname = 'g'\nremote = '10.0.0.2:443'\n",
    );
    for faults in steps {
        text.push_str(&format!("[[step]]\nat = '1s'\nfaults = [{faults}]\n"));
    }
    compile(&parse("t.toml", &text, Path::new("/"), &[]).unwrap(), 7).unwrap()
}

fn all(plan: &Plan) -> Vec<RuleId> {
    (0..plan.rules.len() as u32).map(RuleId).collect()
}

/// Ids at the hook and in the line, and who judges.
fn ids(stack: &Stack) -> (Vec<u32>, Vec<u32>, Via) {
    let rules = stack.hook.rules[..stack.hook.len as usize].iter().map(|r| r.id);
    let hook = rules.chain(stack.hook.stall.checked_sub(1)).collect();
    let number = if stack.via == Via::Line { VIA_LINE } else { VIA_HOOK };
    assert_eq!(stack.hook.via, number, "the chain says the same");
    (hook, stack.line.iter().map(|f| f.id).collect(), stack.via)
}

#[test]
fn a_stack_that_the_hook_can_judge_stays_there_in_order() {
    let plan =
        plan(&["{ flow = 'f', direction = 'ingress', drop = 1.0, when = { tcp = 'syn' } }, \
         { flow = 'f', drop = 1.0 }, { flow = 'g', direction = 'egress', stall = true }"]);
    let stacks = plan.chains(&all(&plan)).unwrap();
    assert_eq!(stacks.len(), 3);
    assert_eq!(ids(&stacks[&(0, RX)]), (vec![0, 2], vec![], Via::Hook));
    assert_eq!(ids(&stacks[&(0, TX)]), (vec![1], vec![], Via::Hook));
    assert_eq!(ids(&stacks[&(1, TX)]), (vec![3], vec![], Via::Hook));
}

#[test]
fn one_fault_for_the_line_takes_the_whole_direction_along_but_not_the_stall() {
    let plan = plan(&[
        "{ flow = 'f', direction = 'egress', drop = 1.0, when = { tcp = 'syn' } }, \
         { flow = 'f', stall = true }, { flow = 'f', direction = 'egress', delay = '5ms' }, \
         { flow = 'f', direction = 'ingress', drop = 1.0, may_miss = true, when = { tcp = 'rst' } }",
    ]);
    let stacks = plan.chains(&all(&plan)).unwrap();
    assert_eq!(ids(&stacks[&(0, TX)]), (vec![1], vec![0, 3], Via::Line));
    assert_eq!((stacks[&(0, TX)].hook.stall, stacks[&(0, TX)].hook.len), (2, 0));
    assert_eq!(ids(&stacks[&(0, RX)]), (vec![4, 2], vec![], Via::Hook), "the other direction");
}

#[test]
fn what_was_armed_first_stands_first_and_lifting_brings_the_hook_back() {
    let plan = plan(&[
        "{ flow = 'f', direction = 'egress', drop = 1.0 }",
        "{ flow = 'f', direction = 'egress', rate = '1mbit' }",
    ]);
    let of = |order: &[u32]| {
        let rules: Vec<RuleId> = order.iter().copied().map(RuleId).collect();
        ids(&plan.chains(&rules).unwrap()[&(0, TX)])
    };
    assert_eq!(of(&[1, 0]), (vec![], vec![1, 0], Via::Line));
    assert_eq!(of(&[0, 1]), (vec![], vec![0, 1], Via::Line));
    assert_eq!(of(&[0]), (vec![0], vec![], Via::Hook));
}

#[test]
fn resets_and_aborts_have_no_stack() {
    let plan = plan(&["{ flow = 'f', reset = 'peer' }, { flow = 'g', abort = true }"]);
    assert_eq!(all(&plan).len(), 2);
    assert!(plan.chains(&all(&plan)).unwrap().is_empty());
}

#[test]
fn a_stack_that_is_full_is_an_error_wherever_it_is_judged() {
    let plan = plan(&["{ flow = 'f', direction = 'egress', drop = 1.0 }, \
         { flow = 'g', direction = 'egress', delay = '1ms' }"]);
    for (rule, flow) in [(0, 0), (1, 1)] {
        let chains = |n: usize| plan.chains(&vec![RuleId(rule); n]);
        assert!(chains(CHAIN_LEN).is_ok());
        assert_eq!(chains(CHAIN_LEN + 1), Err(PlanError::ChainFull { flow }));
    }
}
