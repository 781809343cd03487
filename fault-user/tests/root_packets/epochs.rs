//! Rules change all at once: a chain of an older epoch never acts again.

use fault_common::rule::{Chain, Direction};

use crate::model::{Chains, PASSES, SHOT};
use crate::rig::{Rig, certain, chain, data, only, setup, sockets};

#[test]
fn nothing_acts_before_the_first_chain_is_armed() {
    let mut rig = Rig::new(&setup(1));
    assert_eq!(rig.receive(&data(&sockets()[0], 1), true).code, PASSES);
    rig.finish();
}

#[test]
fn each_epoch_has_its_own_rules_and_no_others() {
    let mut rig = Rig::new(&setup(2));
    let socket = sockets()[0];
    let steps = [
        (only(0, &[certain(1)]), Some(1)),
        (only(0, &[certain(2)]), Some(2)),
        (Chains::new(), None),
        // Both banks hold a chain for the flow from before, and neither may act.
        (Chains::new(), None),
        (only(1, &[certain(3)]), None),
        (only(0, &[]), None),
        (only(0, &[certain(4)]), Some(4)),
        (Chains::from([((0, Direction::Egress), chain(&[certain(5)]))]), None),
        (Chains::from([((0, Direction::Ingress), Chain::EMPTY)]), None),
    ];
    for (i, (chains, rule)) in (0..).zip(steps) {
        rig.arm(chains);
        let expected = rig.receive(&data(&socket, i), true);
        let hit = expected.event.filter(|_| expected.code == SHOT).map(|e| e.rule);
        assert_eq!(hit, rule, "step {i}");
    }
    rig.finish();
}

/// Every combination of what two flows have, three epochs long: with two banks, what the third
/// leaves out stands where the first put it.
#[test]
fn what_an_epoch_leaves_out_is_gone() {
    let mut rig = Rig::new(&setup(3));
    let flows = [sockets()[0], sockets()[1]];
    let mut rule = 0;
    for combination in 0u32..64 {
        for epoch in 0..3 {
            let parts = (0..2u32).filter(|flow| combination >> (epoch * 2 + flow) & 1 != 0);
            let chains: Chains = parts
                .map(|flow| {
                    rule = (rule + 1) % crate::rig::RULES;
                    ((flow, Direction::Ingress), chain(&[certain(rule)]))
                })
                .collect();
            rig.arm(chains);
            for socket in flows {
                rig.receive(&data(&socket, rule), true);
            }
        }
    }
    assert!(rig.model.acted > 100, "{} lost", rig.model.acted);
    rig.finish();
}
