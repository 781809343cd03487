//! Every form that the contract has, and the defaults.

use std::time::Duration;

use fault_user::scenario::explain;
use fault_user::scenario::model::*;

use crate::{scenario, spec};

fn what(fault: &str) -> Fault {
    spec(fault).fault
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn every_form_of_drop() {
    let loss = |text: &str| what(&format!("drop = {text}"));
    let drop = Fault::Drop;
    assert_eq!(loss("0.25"), drop(Loss::Random(0.25)));
    assert_eq!(loss("1"), drop(Loss::Random(1.0)), "a whole number is one, too");
    assert_eq!(loss("{ every = 10 }"), drop(Loss::Every(10)));
    assert_eq!(loss("{ nth = [5, 1] }"), drop(Loss::Nth(vec![1, 5])));
    assert_eq!(loss("{ first = 3 }"), drop(Loss::First(3)));
    let burst = Loss::Burst { p: 0.1, len: 5 };
    assert_eq!(loss("{ burst = { p = 0.1, len = 5 } }"), drop(burst));
    let ge = |good, bad| drop(Loss::GilbertElliott { p: 0.1, r: 0.5, good, bad });
    assert_eq!(loss("{ gilbert_elliott = { p = 0.1, r = 0.5 } }"), ge(0.0, 1.0));
    let given = "{ gilbert_elliott = { p = 0.1, r = 0.5, good = 0.01, bad = 0.9 } }";
    assert_eq!(loss(given), ge(0.01, 0.9));
    let markov = |p31, p32, p23, p14| drop(Loss::Markov { p13: 0.25, p31, p32, p23, p14 });
    assert_eq!(loss("{ markov = { p13 = 0.25 } }"), markov(0.75, 0.0, 1.0, 0.0));
    let given = "{ markov = { p13 = 0.25, p31 = 0.5, p32 = 0.4, p23 = 0.3, p14 = 0.2 } }";
    assert_eq!(loss(given), markov(0.5, 0.4, 0.3, 0.2));
    // 0.1 + 0.9 and 0.7 + 0.1 + 0.2 are not exactly 1 in binary.
    assert!(
        scenario("", "tcp", "drop = { markov = { p13 = 0.7, p14 = 0.3, p31 = 0.1, p32 = 0.9 } }")
            .is_ok()
    );
}

#[test]
fn every_form_of_delay() {
    let constant = Delay { mean: ms(100), jitter: None, keep_order: true };
    assert_eq!(what("delay = '100ms'"), Fault::Delay(constant.clone()));
    assert_eq!(what("delay = { mean = '100ms' }"), Fault::Delay(constant.clone()));
    assert_eq!(what("delay = { mean = '100ms', keep_order = true }"), Fault::Delay(constant));
    let scattered = |text: &str| match what(&format!("delay = {{ mean = '0s', {text} }}")) {
        Fault::Delay(Delay { jitter: Some(jitter), keep_order, .. }) => (jitter, keep_order),
        fault => panic!("{fault:?}"),
    };
    let jitter = |shape| Jitter { spread: ms(20), shape, correlation: 0.0 };
    assert_eq!(scattered("jitter = '20ms'"), (jitter(Shape::Uniform), true), "as tc's default");
    let shapes = [
        ("uniform", Shape::Uniform),
        ("normal", Shape::Normal),
        ("pareto", Shape::Pareto),
        ("paretonormal", Shape::ParetoNormal),
    ];
    for (word, shape) in shapes {
        let text = format!("jitter = '20ms', distribution = '{word}', keep_order = false");
        assert_eq!(scattered(&text), (jitter(shape), false));
    }
    let correlated = Jitter { correlation: 0.25, ..jitter(Shape::Uniform) };
    assert_eq!(scattered("jitter = '20ms', correlation = 0.25").0, correlated);
    let file = "jitter = '20ms', distribution = { file = 'tables/long-tail.dist' }";
    let Shape::Table { file, values } = scattered(file).0.shape else { panic!() };
    assert_eq!((file.as_str(), values.len(), values[0]), ("tables/long-tail.dist", 64, -8328));
}

#[test]
fn every_form_of_a_link() {
    let rate = |queue| Fault::Rate(Rate { bits_per_s: 2_000_000, queue });
    assert_eq!(what("rate = '2mbit'"), rate(65_536));
    assert_eq!(what("rate = { rate = '2mbit' }"), rate(65_536));
    assert_eq!(what("rate = { rate = '2mbit', queue = '32KiB' }"), rate(32_768));
    assert_eq!(what("rate = { rate = '2mbit', queue = 1500 }"), rate(1500));
    let Fault::Trace(trace) =
        what("trace = { file = 'tables/tunnel.mahimahi', format = 'mahimahi', queue = '1MiB' }")
    else {
        panic!()
    };
    let Replay::Mahimahi { deliveries, queue } = trace.replay else { panic!() };
    assert_eq!((deliveries.len(), deliveries[0], queue), (101, 1_000_000, 1 << 20));
    let Fault::Trace(trace) = what("trace = { file = 'tables/handover.csv', format = 'csv' }")
    else {
        panic!()
    };
    assert_eq!(trace.file, "tables/handover.csv");
    let Replay::Csv { samples, period } = trace.replay else { panic!() };
    assert_eq!((samples.len(), period), (4, Duration::from_secs(86)));
}

#[test]
fn every_form_of_what_is_done_to_a_packet() {
    let corrupt = Corrupt { p: 0.5, bits: 1, valid: true, offset: None, headers: false };
    assert_eq!(what("corrupt = 0.5"), Fault::Corrupt(corrupt));
    let bad = Corrupt { bits: 3, valid: false, offset: Some((10, 20)), headers: true, ..corrupt };
    let text =
        "corrupt = { p = 0.5, bits = 3, checksum = 'bad', offset = [10, 20], headers = true }";
    assert_eq!(what(text), Fault::Corrupt(bad));
    assert_eq!(what("corrupt = { p = 0.5, checksum = 'valid' }"), Fault::Corrupt(corrupt));
    let duplicate = |copies| Fault::Duplicate(Duplicate { p: 0.5, copies });
    assert_eq!(what("duplicate = 0.5"), duplicate(1));
    assert_eq!(what("duplicate = { p = 0.5, copies = 3 }"), duplicate(3));
    let reorder = |gap, delay| Fault::Reorder(Reorder { p: 0.5, gap, delay });
    assert_eq!(what("reorder = 0.5"), reorder(3, ms(50)));
    assert_eq!(what("reorder = { p = 0.5, gap = 7, delay = '1s' }"), reorder(7, ms(1000)));
    assert_eq!(what("mark_ce = 0.5"), Fault::MarkCe(0.5));
}

#[test]
fn every_form_of_what_ends_a_connection() {
    for (word, side) in [("local", Side::Local), ("peer", Side::Peer), ("both", Side::Both)] {
        assert_eq!(what(&format!("reset = '{word}'")), Fault::Reset(side));
    }
    assert_eq!(what("abort = true"), Fault::Abort);
    let kinds = ["reset", "port", "host", "net", "admin"];
    for (word, kind) in kinds.into_iter().zip(Reject::ALL) {
        assert_eq!(what(&format!("reject = '{word}'")), Fault::Reject(kind));
    }
    assert_eq!(what("stall = true, direction = 'egress'"), Fault::Stall);
    let limit = |bytes, then| Fault::Limit(Limit { bytes, then });
    assert_eq!(what("limit = { bytes = 1000, then = 'drop' }"), limit(1000, Then::Drop));
    assert_eq!(what("limit = { bytes = '1KiB', then = 'reset' }"), limit(1024, Then::Reset));
}

#[test]
fn every_condition_and_the_pulse() {
    let when = |text: &str| spec(&format!("delay = '1ms', when = {{ {text} }}")).when;
    let words = ["syn", "syn_ack", "data", "ack_only", "fin", "rst"];
    let kinds = [
        Segment::Syn,
        Segment::SynAck,
        Segment::Data,
        Segment::AckOnly,
        Segment::Fin,
        Segment::Rst,
    ];
    for (word, kind) in words.into_iter().zip(kinds) {
        let expected = When { segment: Some(kind), ..When::default() };
        assert_eq!(when(&format!("tcp = '{word}'")), expected);
    }
    assert_eq!(when("size = [100, 100]").size, Some((100, 100)), "both included");
    assert_eq!(when("stream = [0, 1]").stream, Some((0, 1)));
    assert!(when("tcp = 'data', retransmission = true").retransmission);
    let pulsed = spec("drop = 0.5, pulse = { on = '1s', off = '4s' }");
    assert_eq!(pulsed.pulse, Some(Pulse { on: ms(1000), off: ms(4000) }));
    assert_eq!((pulsed.when, spec("drop = 0.5").pulse), (When::default(), None));
}

#[test]
fn every_form_of_the_line() {
    let line = |top: &str| scenario(top, "tcp", "abort = true").map(|s| s.line);
    let of = |backend| Ok(Line { backend, hold: 64 << 20 });
    assert_eq!(line(""), of(Backend::Auto));
    let words = [
        ("auto", Backend::Auto),
        ("tap", Backend::Tap),
        ("fq", Backend::Fq),
        ("none", Backend::None),
    ];
    for (word, backend) in words {
        assert_eq!(line(&format!("line = '{word}'")), of(backend));
        assert_eq!(line(&format!("line = {{ backend = '{word}' }}")), of(backend));
    }
    let wide = Line { backend: Backend::Tap, hold: 1 << 30 };
    assert_eq!(line("line = { backend = 'tap', hold = '1GiB' }"), Ok(wide));
    let auto = Line { backend: Backend::Auto, hold: 1 << 20 };
    assert_eq!(line("line = { hold = 1048576 }"), Ok(auto));
}

#[test]
fn udp_has_what_needs_no_connection() {
    let fine = [
        "drop = 0.5",
        "delay = '5ms'",
        "rate = '1mbit'",
        "corrupt = 0.5",
        "duplicate = 0.5",
        "reorder = 0.5",
        "mark_ce = 0.5",
        "abort = true",
        "reject = 'port'",
        "limit = { bytes = 1, then = 'drop' }",
        "drop = 1.0, when = { size = [1000, 1500] }",
    ];
    for fault in fine {
        let scenario = scenario("", "udp", fault).unwrap_or_else(|e| panic!("{fault}: {e}"));
        assert_eq!(scenario.flows[0].protocol, Protocol::Udp);
    }
}

#[test]
fn without_a_line_and_with_fq_what_they_can_do_is_accepted() {
    let none = ["drop = 0.5", "drop = { first = 1 }", "drop = 1.0, when = { tcp = 'data' }"];
    for fault in none.into_iter().chain(["stall = true", "reset = 'both'", "abort = true"]) {
        assert!(scenario("line = 'none'", "tcp", fault).is_ok(), "{fault}");
    }
    let fq = ["delay = '5ms', when = { tcp = 'data' }", "drop = 1.0", "stall = true"];
    for fault in fq.into_iter().chain(["reset = 'both'", "drop = 0.5, when = { tcp = 'syn' }"]) {
        assert!(scenario("line = 'fq'", "tcp", fault).is_ok(), "{fault}");
    }
}

#[test]
fn jitter_beyond_the_mean_is_allowed_and_explained() {
    let explained = |fault: &str| explain(&scenario("", "tcp", fault).unwrap());
    let wide = explained("delay = { mean = '10ms', jitter = '20ms' }");
    let sentence = "delays by 10ms +- 20ms (uniform), where that is below zero not at all, keeps";
    assert!(wide.contains(sentence), "{wide}");
    let narrow = explained("delay = { mean = '20ms', jitter = '10ms' }");
    assert!(
        narrow.contains("delays by 20ms +- 10ms (uniform), keeps the order [line]"),
        "{narrow}"
    );
}

#[test]
fn what_shares_a_stack_with_a_fault_for_the_line_goes_along() {
    let both =
        "drop = 1.0, when = { tcp = 'syn' } }, { flow = 'f', direction = 'egress', rate = '1mbit'";
    let text = explain(&scenario("", "tcp", both).unwrap());
    assert!(text.contains("only SYN [line, with the others]\n"), "{text}");
    assert!(text.contains("line      a TAP device"), "{text}");
    let text = explain(&scenario("", "tcp", "drop = 1.0").unwrap());
    assert!(text.contains("drops every packet [hook]\n"), "{text}");
    assert!(text.contains("line      not needed"), "{text}");
}
