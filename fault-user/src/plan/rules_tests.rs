//! Faults in the units of decisions and of the packet programs.

use std::path::Path;

use fault_common::fate::{self, Distribution, Model, Segment, When};
use fault_common::rule::*;

use super::*;
use crate::scenario::parse;

const HEAD: &str = r#"
    schema = 1
    [[app]]
    name = "a"
    command = ["true"]
    [[flow]]
    name = "f"
    remote = "10.0.0.1:443"
    [[step]]
    at = "1s"
"#;

fn plan_with(top: &str, faults: &[&str]) -> Plan {
    let entries: Vec<String> =
        faults.iter().map(|f| format!("{{ flow = 'f', direction = 'egress', {f} }}")).collect();
    let text = format!("{top}\n{HEAD}\nfaults = [{}]", entries.join(", "));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    compile(&parse("t.toml", &text, &dir, &[]).unwrap_or_else(|e| panic!("{}", e.plain())), 7)
        .unwrap()
}

fn plan(fault: &str) -> Plan {
    plan_with("", &[fault])
}

/// What a fault is to decisions.
fn fault(text: &str) -> fate::Fault {
    match plan(text).rules[0].what {
        What::Packets(fault) => fault,
        what => panic!("{text}: {what:?}"),
    }
}

fn hook(top: &str, text: &str) -> Option<Rule> {
    let plan = plan_with(top, &[text]);
    assert_eq!(plan.rules[0].hook.map(|r| r.id), plan.rules[0].hook.map(|_| 0));
    plan.rules[0].hook
}

const HALF: u64 = P_ALWAYS / 2;
const MS: u64 = 1_000_000;

#[test]
fn losses_have_their_numbers() {
    let loss = |text: &str| match fault(&format!("drop = {text}")).model {
        Model::Loss(loss) => loss,
        model => panic!("{model:?}"),
    };
    assert_eq!(loss("0.5"), fate::Loss::Random(HALF));
    assert_eq!(loss("1e-300"), fate::Loss::Random(1), "above 0 is never 0");
    assert_eq!(loss("{ every = 3 }"), fate::Loss::Every(3));
    assert_eq!(loss("{ first = 3 }"), fate::Loss::First(3));
    let fate::Loss::Nth(numbers, 2) = loss("{ nth = [7, 5] }") else { panic!() };
    assert_eq!(numbers[..3], [5, 7, 0]);
    let burst = fate::Burst { p: HALF, len: 4 };
    assert_eq!(loss("{ burst = { p = 0.5, len = 4 } }"), fate::Loss::Burst(burst));
    let ge = fate::GilbertElliott { p: HALF, r: 0, good: 0, bad: P_ALWAYS };
    assert_eq!(loss("{ gilbert_elliott = { p = 0.5, r = 0.0 } }"), fate::Loss::GilbertElliott(ge));
    let markov =
        fate::Markov { p13: HALF, p31: HALF / 2, p32: HALF / 4, p23: P_ALWAYS, p14: HALF / 4 };
    assert_eq!(
        loss("{ markov = { p13 = 0.5, p31 = 0.25, p32 = 0.125, p14 = 0.125 } }"),
        fate::Loss::Markov(markov)
    );
}

#[test]
fn delays_name_their_tables_and_equal_ones_share_one() {
    let long_tail = "delay = { mean = '1s', jitter = '1ms', distribution = { file = \
                     'tables/long-tail.dist' }, keep_order = false }";
    let normal = "delay = { mean = '5ms', jitter = '1ms', distribution = 'normal', \
                  correlation = 0.5 }";
    let plan = plan_with("", &["delay = '5ms'", long_tail, normal, normal]);
    let delays: Vec<fate::Delay> = plan
        .rules
        .iter()
        .map(|r| match r.what {
            What::Packets(fate::Fault { model: Model::Delay(delay), .. }) => delay,
            what => panic!("{what:?}"),
        })
        .collect();
    let constant = fate::Delay {
        mean: 5 * MS,
        jitter: 0,
        distribution: Distribution::Constant,
        correlation: 0,
        keep_order: true,
    };
    assert_eq!(delays[0], constant);
    let table = |n| Distribution::Table(n);
    assert_eq!((delays[1].distribution, delays[1].keep_order), (table(0), false));
    let scattered =
        fate::Delay { jitter: MS, distribution: table(1), correlation: HALF, ..constant };
    assert_eq!(delays[2..], [scattered, scattered]);
    assert_eq!(plan.tables.distributions.len(), 2);
    let lent = plan.tables.lend();
    assert_eq!(lent.tables().distributions[1], tables::normal());
    assert_eq!(lent.tables().distributions[0].len(), 64);
}

#[test]
fn links_have_their_queues_and_traces() {
    let model = |text: &str| fault(text).model;
    let rate = |queue| Model::Rate(fate::Rate { bits_per_s: 2_000_000, queue });
    assert_eq!(model("rate = '2mbit'"), rate(65_536));
    assert_eq!(model("rate = { rate = '2mbit', queue = 1500 }"), rate(1500));
    let plan = plan("trace = { file = 'tables/tunnel.mahimahi', format = 'mahimahi' }");
    let What::Packets(fault) = plan.rules[0].what else { panic!() };
    let replay = fate::Replay::Deliveries { table: 0, queue: 65_536 };
    assert_eq!(fault.model, Model::Replay(replay));
    assert_eq!(plan.tables.deliveries[0][..2], [MS, 7 * MS]);
    let plan = self::plan("trace = { file = 'tables/handover.csv', format = 'csv' }");
    let What::Packets(fault) = plan.rules[0].what else { panic!() };
    let replay = fate::Replay::Samples { table: 0, period: 86_000 * MS };
    assert_eq!(fault.model, Model::Replay(replay));
    assert_eq!(plan.tables.lend().tables().samples[0][1].delay, 120 * MS);
}

#[test]
fn other_models_have_their_numbers() {
    let model = |text: &str| fault(text).model;
    let corrupt = |bits, valid, offset, headers| {
        Model::Corrupt(fate::Corrupt { p: HALF, bits, valid, offset, headers })
    };
    assert_eq!(model("corrupt = 0.5"), corrupt(1, true, (0, u32::MAX), false));
    assert_eq!(
        model("corrupt = { p = 0.5, bits = 3, checksum = 'bad', offset = [2, 9], headers = true }"),
        corrupt(3, false, (2, 9), true)
    );
    let duplicate = |copies| Model::Duplicate(fate::Duplicate { p: HALF, copies });
    assert_eq!(model("duplicate = 0.5"), duplicate(1));
    assert_eq!(model("duplicate = { p = 0.5, copies = 2 }"), duplicate(2));
    let reorder = |gap, delay| Model::Reorder(fate::Reorder { p: HALF, gap, delay });
    assert_eq!(model("reorder = 0.5"), reorder(3, 50 * MS));
    assert_eq!(model("reorder = { p = 0.5, gap = 1, delay = '2ms' }"), reorder(1, 2 * MS));
    assert_eq!(model("mark_ce = 0.5"), Model::MarkCe(HALF));
    assert_eq!(model("reject = 'admin'"), Model::Reject(4));
    let limit = fate::Limit { bytes: 1024, then: fate::Then::Reset };
    assert_eq!(model("limit = { bytes = '1KiB', then = 'reset' }"), Model::Limit(limit));
    for kind in Reject::ALL {
        assert_eq!(Reject::from_number(kind.number()), Some(kind));
    }
    assert_eq!(Reject::from_number(5), None);
}

#[test]
fn when_and_pulse_go_along_and_the_pulse_is_not_armed() {
    let fault = fault(
        "drop = 0.5, pulse = { on = '1s', off = '250ms' }, when = { tcp = 'fin', size = [40, 60], \
         stream = [1, 2], retransmission = true }",
    );
    let pulse = fate::Pulse { on: 1000 * MS, off: 250 * MS, armed: 0 };
    assert_eq!((fault.id, fault.pulse), (0, Some(pulse)));
    let when = When {
        segment: Some(Segment::Fin),
        size: Some((40, 60)),
        stream: Some((1, 2)),
        retransmission: true,
    };
    assert_eq!(fault.when, when);
}

#[test]
fn the_hook_judges_what_it_can_judge_exactly() {
    let random = |p32, when| Some(Rule { kind: LOSS_RANDOM, p32, when, ..Rule::NONE });
    assert_eq!(hook("", "drop = 1.0"), random(P_ALWAYS, WHEN_ANY));
    let each = Rule { kind: LOSS_EVERY, arg: 1, ..Rule::NONE };
    assert_eq!(hook("", "drop = { every = 1 }"), Some(each));
    let words = [
        ("syn", WHEN_SYN),
        ("syn_ack", WHEN_SYN_ACK),
        ("data", WHEN_DATA),
        ("ack_only", WHEN_ACK_ONLY),
        ("rst", WHEN_RST),
    ];
    for (word, number) in words {
        let text = format!("drop = 1.0, when = {{ tcp = '{word}' }}");
        assert_eq!(hook("", &text), random(P_ALWAYS, number));
        // Only data can be a super-packet, of which single segments would be hit.
        let text = format!("drop = 0.5, when = {{ tcp = '{word}' }}");
        let expected = if number == WHEN_DATA { None } else { random(HALF, number) };
        assert_eq!(hook("", &text), expected, "{text}");
    }
    // A stall ends no packet's way: it has a place of its own in the chain.
    for head in ["", "line = 'tap'"] {
        assert_eq!(hook(head, "stall = true"), None);
        assert_eq!(plan_with(head, &["stall = true"]).rules[0].via(), Some(Via::Hook));
    }
}

#[test]
fn the_rest_needs_the_line() {
    let texts = [
        "drop = 0.5",
        "drop = { every = 2 }",
        "drop = { first = 2 }",
        "drop = { nth = [1] }",
        "drop = { burst = { p = 1.0, len = 2 } }",
        "drop = 1.0, when = { tcp = 'fin' }",
        "drop = 1.0, when = { size = [0, 100] }",
        "drop = 1.0, when = { tcp = 'data', stream = [0, 100] }",
        "drop = 1.0, when = { tcp = 'data', retransmission = true }",
        "drop = 1.0, pulse = { on = '1s', off = '1s' }",
        "delay = '1ms'",
        "reject = 'port'",
        "corrupt = 1.0",
        "mark_ce = 1.0",
    ];
    for text in texts {
        let plan = plan(text);
        assert_eq!((plan.rules[0].hook, plan.rules[0].via()), (None, Some(Via::Line)), "{text}");
    }
}

#[test]
fn without_a_line_the_hook_judges_super_packets_as_a_whole() {
    let none = "line = 'none'";
    let random = Rule { kind: LOSS_RANDOM, p32: HALF, when: WHEN_DATA, ..Rule::NONE };
    assert_eq!(hook(none, "drop = 0.5, when = { tcp = 'data' }"), Some(random));
    let first = Rule { kind: LOSS_FIRST, arg: 2, ..Rule::NONE };
    assert_eq!(hook(none, "drop = { first = 2 }"), Some(first));
    let mut nth = Rule { kind: LOSS_NTH, nth_len: 2, ..Rule::NONE };
    (nth.nth[0], nth.nth[1]) = (1, 5);
    assert_eq!(hook(none, "drop = { nth = [5, 1] }"), Some(nth));
}

#[test]
fn what_is_done_to_the_connection_is_no_ones_packet() {
    let plan = plan_with("", &["drop = 0.5"]);
    assert_eq!(plan.line, Line::default());
    for (text, expected) in
        [("reset = 'peer'", What::Reset(Side::Peer)), ("abort = true", What::Abort)]
    {
        let text = format!("{HEAD}\nfaults = [{{ flow = 'f', {text} }}]");
        let plan = compile(&parse("t.toml", &text, Path::new("/"), &[]).unwrap(), 7).unwrap();
        assert_eq!(plan.rules.len(), 1);
        let rule = &plan.rules[0];
        assert_eq!((rule.what, rule.hook, rule.via()), (expected, None, None));
    }
}
