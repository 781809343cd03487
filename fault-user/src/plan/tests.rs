use std::path::Path;

use fault_common::rule::{Chain, Direction, LOSS_RANDOM, P_ALWAYS};
use fault_common::table::{
    ANY_APP, SEL_AFTER_PROCESS, SEL_AFTER_THREAD, SEL_FOLLOW, SEL_LATE, SEL_LPORT, SEL_NTH,
    SEL_REMOTE,
};

use super::*;
use crate::scenario::parse;

const APPS: &str = r#"
    schema = 1
    name = "t"
    [[app]]
    name = "a"
    command = ["true"]
    [[app]]
    name = "b"
    command = ["true"]
    stdio = "pipe"
"#;

fn plan(rest: &str) -> Plan {
    let scenario = parse("t.toml", &format!("{APPS}{rest}"), Path::new("/"), &[]).unwrap();
    compile(&scenario, 7).unwrap()
}

#[test]
fn flows_to_the_same_remote_share_its_bit() {
    let plan = plan(
        r#"
        [[flow]]
        name = "one"
        remote = "10.0.0.1:443"
        nth = 1
        [[flow]]
        name = "other"
        app = "a"
        remote = "chat.example:443"
        follow = true
        [[flow]]
        name = "two"
        app = "b"
        remote = "10.0.0.1:443"
        nth = 2
        local = ":5000"
        "#,
    );
    assert_eq!(plan.remotes.len(), 2);
    let bits: Vec<u32> = plan.selectors.iter().map(|s| s.remote).collect();
    assert_eq!(bits, [0, 1, 0]);
    let flags: Vec<u32> = plan.selectors.iter().map(|s| s.flags).collect();
    assert_eq!(
        flags,
        [SEL_REMOTE | SEL_NTH, SEL_REMOTE | SEL_FOLLOW, SEL_REMOTE | SEL_NTH | SEL_LPORT]
    );
    let apps: Vec<u32> = plan.selectors.iter().map(|s| s.app).collect();
    assert_eq!((apps, plan.selectors[2].lport), (vec![ANY_APP, 0, 1], 5000));
}

#[test]
fn a_marker_is_the_kernels_only_if_it_is_literal_and_the_output_a_socket() {
    let after = |app: &str, log: &str, same: &str| {
        plan(&format!(
            "[[flow]]\nname = 'f'\napp = '{app}'\nremote = '10.0.0.1:1'\n\
             opened_after = {{ log = '{log}', same = '{same}' }}"
        ))
    };
    let exact = after("a", "creating x", "process");
    assert_eq!(exact.selectors[0].flags, SEL_REMOTE | SEL_AFTER_PROCESS);
    let text = "creating x".into();
    assert_eq!(exact.markers, [MarkerPlan { app: 0, text, selector: 0 }]);
    let thread = after("a", "creating x", "thread");
    assert_eq!(thread.selectors[0].flags, SEL_REMOTE | SEL_AFTER_THREAD);
    for late in [after("a", "creat.ng x", "process"), after("b", "creating x", "process")] {
        assert_eq!(late.selectors[0].flags, SEL_REMOTE | SEL_LATE);
        assert_eq!(late.markers, []);
    }
}

#[test]
fn each_direction_of_a_fault_is_a_rule_of_the_same_entry() {
    let plan = plan(
        r#"
        [[flow]]
        name = "f"
        remote = "10.0.0.1:443"
        nth = 1
        [[step]]
        at = "1s"
        faults = [
          { flow = "f", drop = 1.0 },
          { flow = "f", direction = "ingress", drop = 0.25 },
        ]
        "#,
    );
    let rules: Vec<_> = plan.rules.iter().map(|r| (r.rule.id, r.entry, r.direction)).collect();
    assert_eq!(
        rules,
        [(0, 0, Direction::Egress), (1, 0, Direction::Ingress), (2, 1, Direction::Ingress)]
    );
    let p: Vec<u64> = plan.rules.iter().map(|r| r.rule.p32).collect();
    assert_eq!(p, [P_ALWAYS, P_ALWAYS, P_ALWAYS / 4]);
    assert!(plan.rules.iter().all(|r| r.rule.kind == LOSS_RANDOM));

    let ids: Vec<RuleId> = plan.rules_of(0).collect();
    let chains = plan.chains(&ids).unwrap();
    let order = |c: &Chain| c.rules[..c.len as usize].iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(order(&chains[&(0, Direction::Egress)]), [0]);
    assert_eq!(order(&chains[&(0, Direction::Ingress)]), [1, 2]);
}

#[test]
fn a_chain_that_is_full_is_an_error() {
    let plan = plan(
        r#"
        [[flow]]
        name = "f"
        remote = "10.0.0.1:443"
        nth = 1
        [[step]]
        at = "1s"
        faults = [{ flow = "f", direction = "egress", drop = { first = 1 } }]
        "#,
    );
    let chain = |n: usize| plan.chains(&vec![RuleId(0); n]);
    assert!(chain(8).is_ok());
    assert_eq!(chain(9), Err(PlanError::ChainFull { flow: 0 }));
}

#[test]
fn only_apps_that_matter_are_observed() {
    let flow = |app: &str| {
        plan(&format!("[[flow]]\nname = 'f'\n{app}\nremote = '10.0.0.1:1'\nnth = 1")).observed
    };
    assert_eq!(flow("app = 'a'"), [true, false]);
    assert_eq!(flow(""), [true, true]);
}
