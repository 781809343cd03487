use std::path::Path;

use fault_common::rule::{Direction, P_ALWAYS, VIA_HOOK, VIA_LINE};
use fault_common::table::{
    ANY_APP, SEL_AFTER_PROCESS, SEL_AFTER_THREAD, SEL_FOLLOW, SEL_LATE, SEL_NTH,
};

use super::*;
use crate::scenario::model::Ports;
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
fn each_flow_counts_under_one_condition_and_means_sockets_under_another() {
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
    let flags: Vec<u32> = plan.selectors.iter().map(|s| s.flags).collect();
    assert_eq!(flags, [SEL_NTH, SEL_FOLLOW, SEL_NTH]);
    let apps: Vec<u32> = plan.selectors.iter().map(|s| s.app).collect();
    assert_eq!(apps, [ANY_APP, 0, 1]);
    let bits: Vec<u32> = plan.conditions.keys().copied().collect();
    assert_eq!(bits, [0, 1, 2, 16, 17, 18]);
    let (counted, meant) = (&plan.conditions[&2], &plan.conditions[&18]);
    assert_eq!(
        (counted.app, counted.local),
        (Some(1), None),
        "`local` does not narrow what is counted"
    );
    assert_eq!(meant.local.map(|l| l.ports), Some(Some(Ports::one(5000))));
    assert_eq!(counted.remote.as_ref().map(ToString::to_string), Some("10.0.0.1:443".into()));
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
    assert_eq!(exact.selectors[0].flags, SEL_AFTER_PROCESS);
    let text = "creating x".into();
    assert_eq!(exact.markers, [MarkerPlan { app: 0, text, selector: 0 }]);
    let thread = after("a", "creating x", "thread");
    assert_eq!(thread.selectors[0].flags, SEL_AFTER_THREAD);
    for late in [after("a", "creat.ng x", "process"), after("b", "creating x", "process")] {
        assert_eq!(late.selectors[0].flags, SEL_LATE);
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
          { flow = "f", direction = "ingress", drop = 0.25, may_miss = true },
        ]
        "#,
    );
    let rules: Vec<_> = plan.rules.iter().map(|r| (r.entry, r.direction, r.via())).collect();
    assert_eq!(
        rules,
        [
            (0, Direction::Egress, Some(Via::Hook)),
            (0, Direction::Ingress, Some(Via::Hook)),
            (1, Direction::Ingress, Some(Via::Line)),
        ]
    );
    let ids: Vec<RuleId> = plan.rules_of(0).collect();
    let stacks = plan.chains(&ids).unwrap();
    let out = &stacks[&(0, Direction::Egress)];
    assert_eq!((out.via, out.hook.via, out.hook.len, out.line.len()), (Via::Hook, VIA_HOOK, 1, 0));
    assert_eq!((out.hook.rules[0].id, out.hook.rules[0].p32), (0, P_ALWAYS));
    // One that only the line can judge takes the others with it, in their order.
    let inward = &stacks[&(0, Direction::Ingress)];
    assert_eq!((inward.via, inward.hook.via, inward.hook.len), (Via::Line, VIA_LINE, 0));
    assert_eq!(inward.line.iter().map(|f| f.id).collect::<Vec<_>>(), [1, 2]);
    assert!(plan.needs_line());
}

#[test]
fn a_stall_stays_at_the_hook_and_what_is_done_to_connections_is_in_no_chain() {
    let plan = plan(
        r#"
        [[flow]]
        name = "f"
        remote = "10.0.0.1:443"
        nth = 1
        [[step]]
        at = "1s"
        faults = [
          { flow = "f", direction = "egress", stall = true },
          { flow = "f", direction = "egress", delay = "5ms" },
          { flow = "f", reset = "both" },
        ]
        "#,
    );
    let ids: Vec<RuleId> = plan.rules_of(0).collect();
    let stacks = plan.chains(&ids).unwrap();
    assert_eq!(stacks.len(), 1);
    let out = &stacks[&(0, Direction::Egress)];
    assert_eq!((out.hook.stall, out.hook.len, out.line.len(), out.via), (1, 0, 1, Via::Line));
}

#[test]
fn pulses_count_from_the_moment_of_arming() {
    let plan = plan(
        r#"
        [[flow]]
        name = "f"
        remote = "10.0.0.1:443"
        nth = 1
        [[step]]
        at = "1s"
        faults = [{ flow = "f", direction = "egress", drop = 0.5, pulse = { on = "1s", off = "2s" } }]
        "#,
    );
    let stacks = plan.chains(&[RuleId(0)]).unwrap();
    let armed = stacks[&(0, Direction::Egress)].line_armed(77);
    assert_eq!(
        armed[0].pulse.map(|p| (p.on, p.off, p.armed)),
        Some((1_000_000_000, 2_000_000_000, 77))
    );
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
