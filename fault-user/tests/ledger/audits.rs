//! Evidence that contradicts itself is found, and sound evidence is left alone.

use fault_common::rule::Direction::{self, Egress, Ingress};
use fault_user::ledger::audit::{Counters, Finding, RuleCounters, Severity, SlotCounters, audit};
use fault_user::verdict::Outcome::Ok as Fine;

use crate::trace::{Sock, Trace};

fn rule(name: &str, matched: u64, acted: u64) -> RuleCounters {
    RuleCounters { name: name.into(), matched, acted, ended: acted, may_miss: false }
}

fn slot(s: Sock, direction: Direction, packets: u64, dropped: u64) -> SlotCounters {
    SlotCounters { slot: s.cookie as u32, direction, packets, dropped }
}

/// One egress and one ingress drop, and counters that agree.
fn sound() -> (Trace, Sock, Counters) {
    let mut t = Trace::new();
    let s = t.socket(0);
    t.lost(s, 10.0, 0, 100).send(s, 10.0, 100);
    t.tx(s, 210.0, 0, 100).lost_ack(s, 211.0, 100).tx(s, 640.0, 0, 100).ack(s, 641.0, 100);
    t.message("m", Fine, 10.0, 11.0);
    let counters = Counters {
        slots: vec![slot(s, Egress, 4, 1), slot(s, Ingress, 3, 1)],
        rules: vec![rule("egress", 3, 1), rule("ingress", 2, 1)],
        lost: 0,
        unparsed: 0,
    };
    (t, s, counters)
}

fn findings(t: &Trace, counters: &Counters) -> Vec<Finding> {
    let result = t.run();
    audit(&t.flows(), counters, &result.sends, &result.verdicts)
}

#[test]
fn sound_evidence_has_no_findings() {
    let (t, _, counters) = sound();
    assert_eq!(findings(&t, &counters), []);
}

#[test]
fn an_ack_of_bytes_whose_every_copy_was_dropped() {
    let (mut t, s, mut counters) = sound();
    t.lost(s, 700.0, 100, 160).send(s, 700.0, 60).ack(s, 701.0, 160);
    (counters.slots[0].dropped, counters.rules[0].ended) = (2, 2);
    let wrong =
        |certain| Finding::AckedThoughDropped { cookie: s.cookie, from: 100, to: 160, certain };
    assert_eq!(findings(&t, &counters), [wrong(true)]);
    assert_eq!(wrong(true).severity(), Severity::Error);
    counters.lost = 1;
    assert_eq!(findings(&t, &counters), [wrong(false), Finding::EventsLost(1)]);
    assert_eq!(wrong(false).severity(), Severity::Warning, "the copy that went out may be lost");
}

#[test]
fn a_copy_that_goes_out_after_the_ack_does_not_explain_it() {
    let (mut t, s, mut counters) = sound();
    t.lost(s, 700.0, 100, 160).send(s, 700.0, 60).ack(s, 701.0, 160).tx(s, 702.0, 100, 160);
    (counters.slots[0].dropped, counters.rules[0].ended) = (2, 2);
    assert!(matches!(findings(&t, &counters)[..], [Finding::AckedThoughDropped { .. }]));
}

#[test]
fn bytes_without_any_record_are_no_contradiction() {
    let (mut t, s, counters) = sound();
    t.send(s, 700.0, 60).ack(s, 701.0, 160);
    assert_eq!(findings(&t, &counters), []);
}

#[test]
fn counters_that_disagree_with_the_events() {
    let (t, _, sound) = sound();
    let with = |change: &dyn Fn(&mut Counters)| {
        let mut counters = sound.clone();
        change(&mut counters);
        findings(&t, &counters)
    };
    let differ = |f: &[Finding]| {
        let error = |f: &Finding| f.severity() == Severity::Error;
        matches!(f, [Finding::EventsAndCountersDiffer { .. }, ..]) && error(&f[0])
    };
    assert!(differ(&with(&|c| c.slots[0].dropped = 2)));
    assert!(differ(&with(&|c| c.slots[1].dropped = 0)));
    assert!(differ(&with(&|c| c.rules[0].ended = 3)));
    let with_loss = with(&|c| (c.slots[0].dropped, c.rules[0].ended, c.lost) = (2, 2, 1));
    assert_eq!(with_loss, [Finding::EventsLost(1)]);
    assert!(differ(&with(&|c| (c.slots[0].dropped, c.lost) = (0, 1))), "an event of no packet");
}

#[test]
fn more_dropped_than_seen() {
    let (t, _, mut counters) = sound();
    counters.slots[0].packets = 0;
    counters.rules[1].matched = 0;
    let found = findings(&t, &counters);
    let part = |f: &&Finding| matches!(f, Finding::PartExceedsWhole { part: 1, whole: 0, .. });
    assert_eq!(found.iter().filter(part).count(), 2, "{found:?}");
}

#[test]
fn a_fault_that_met_nothing() {
    let (t, _, mut counters) = sound();
    counters.rules.push(rule("idle", 0, 0));
    assert_eq!(findings(&t, &counters), [Finding::FaultMissed { rule: "idle".into() }]);
    counters.rules[2].may_miss = true;
    assert_eq!(findings(&t, &counters), []);
    counters.rules[2].matched = 7;
    let found = findings(&t, &counters);
    assert_eq!(found, [Finding::FaultNeverActed { rule: "idle".into(), matched: 7 }]);
    assert_eq!(found[0].severity(), Severity::Warning);
}

#[test]
fn a_bystander_that_was_touched() {
    let (mut t, _, mut counters) = sound();
    let other = t.socket(None);
    t.delivered(other, 10.0, 10);
    assert_eq!(findings(&t, &counters), []);
    counters.slots.push(slot(other, Ingress, 2, 1));
    let found = findings(&t, &counters);
    let touched = Finding::BystanderTouched { cookie: other.cookie, dropped: 1 };
    assert!(found.contains(&touched), "{found:?}");
    assert_eq!(touched.severity(), Severity::Error);
}

#[test]
fn verdicts_that_do_not_add_up() {
    let (t, _, counters) = sound();
    let mut result = t.run();
    *result.verdicts.get_mut("pending").unwrap() += 1;
    let found = audit(&t.flows(), &counters, &result.sends, &result.verdicts);
    assert_eq!(found, [Finding::VerdictsDoNotAddUp { verdicts: 2, sends: 1 }]);
}

#[test]
fn packets_that_could_not_be_parsed_are_told_with_their_number() {
    let (t, _, mut counters) = sound();
    counters.unparsed = 3;
    let found = findings(&t, &counters);
    assert_eq!(found, [Finding::Unparsed(3)]);
    assert_eq!(found[0].severity(), Severity::Warning);
    assert!(found[0].to_string().starts_with("3 packets"), "{}", found[0]);
}
