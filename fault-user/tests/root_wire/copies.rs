//! `duplicate` and `reorder`, and faults on top of each other.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::support::stats::binomial;
use crate::support::stream::{Stream, wire_packets};
use crate::support::trial::{Case, Outcome, Outcomes, Place, run};

const MS: u64 = 1_000_000;
/// Datagrams of each client.
const N: u64 = 600;

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let egress = |fault: &str| format!("{{ direction = 'egress', {fault} }}");
    let pour = format!("pour {N} 972 1000");
    let case = |name, place, fault: &str, work: &str| Case::new(name, place, &egress(fault), work);
    let (delay, drop) = (egress("delay = '30ms'"), egress("drop = 0.2"));
    let rate = egress("rate = { rate = '4mbit', queue = '32KiB' }");
    run(&[
        case("twice", Place::Cable4, "duplicate = { p = 0.2, copies = 2 }", &pour),
        case("twice lo", Place::Lo6, "duplicate = 0.2", &pour),
        case("twice tcp", Place::Cable4, "duplicate = 0.1", "bulk 3000000"),
        case("overtaken", Place::Cable4, "reorder = { p = 0.05, gap = 3, delay = '2s' }", &pour),
        case(
            "overtaken tcp",
            Place::Cable6,
            "reorder = { p = 0.01, gap = 20, delay = '2s' }",
            "bulk 3000000",
        ),
        case("alone", Place::Cable4, "reorder = { p = 1.0, gap = 3, delay = '40ms' }", "turns 5"),
        Case::new("drop first", Place::Cable4, &drop, &pour).and(&delay).and(&rate),
        Case::new("rate first", Place::Cable6, &rate, &pour).and(&delay).and(&drop),
    ])
});

fn numbers(outcome: &Outcome) -> Vec<u64> {
    Outcome::numbers_of(&outcome.arrived()).into_iter().map(|(n, _)| n).collect()
}

#[test]
fn copies_arrive_and_are_counted() {
    for (name, copies) in [("twice", 2), ("twice lo", 1)] {
        let outcome = RUN.of(name);
        let mut times = BTreeMap::new();
        for number in numbers(outcome) {
            *times.entry(number).or_insert(0u64) += 1;
        }
        assert_eq!(times.len() as u64, N, "each arrives");
        assert!(times.values().all(|n| *n == 1 || *n == 1 + copies), "{times:?}");
        let hit = times.values().filter(|n| **n > 1).count();
        binomial("duplicated", hit, N as usize, 0.2);
        assert_eq!(outcome.fault(0, "egress").acted, hit as u64);
        assert_eq!(outcome.flow.egress.duplicated, hit as u64 * copies);
        assert!(numbers(outcome).is_sorted(), "a copy follows its packet");
    }
}

#[test]
fn tcp_gets_copies_and_tells_of_them() {
    let outcome = RUN.of("twice tcp");
    outcome.is_whole();
    let (went, came) = (outcome.handed(true), outcome.given_back(true));
    let copies = wire_packets(&came) - wire_packets(&went);
    binomial("duplicated", copies as usize, wire_packets(&went) as usize, 0.1);
    assert_eq!(outcome.flow.egress.duplicated, copies);
    let stream = Stream::of(came.iter().copied(), went[0].seq);
    let sent_again = Stream::of(went.iter().copied(), went[0].seq).again;
    assert!(stream.again > sent_again, "{stream:?}");
    // The receiver names what came twice (DSACK, RFC 2883), and the sender counts it.
    let dsacks = outcome.said("dsack_dups") as u64;
    assert!(dsacks > copies / 2, "{dsacks} of {copies}");
}

#[test]
fn a_held_back_packet_is_overtaken_by_exactly_so_many() {
    let outcome = RUN.of("overtaken");
    let arrived = numbers(outcome);
    assert_eq!(arrived.len() as u64, N);
    let overtaken = |(at, number): (usize, &u64)| {
        (*number, arrived[..at].iter().filter(|before| *before > number).count())
    };
    let late: Vec<(u64, usize)> =
        arrived.iter().enumerate().map(overtaken).filter(|(_, by)| *by > 0).collect();
    binomial("overtaken", late.len(), N as usize, 0.05);
    assert_eq!(outcome.flow.egress.reordered, outcome.fault(0, "egress").acted);
    // The last ones may have nothing behind them.
    let held = late.iter().filter(|(number, _)| *number < N - 20);
    assert!(held.clone().all(|(_, by)| *by == 3), "{late:?}");
}

#[test]
fn tcp_sees_gaps_that_fill_themselves() {
    let outcome = RUN.of("overtaken tcp");
    outcome.is_whole();
    let (went, came) = (outcome.handed(true), outcome.given_back(true));
    let stream = Stream::of(came.iter().copied(), went[0].seq);
    assert!(stream.holes.len() > 5, "{stream:?}");
    assert!(outcome.said("reord_seen") > 0.0, "{}", outcome.client);
}

#[test]
fn a_packet_that_nothing_overtakes_goes_when_its_time_is_up() {
    let outcome = RUN.of("alone");
    let (went, came) = (outcome.handed(true), outcome.given_back(true));
    for (into, out) in went.iter().zip(&came).filter(|(p, _)| p.payload > 0) {
        assert!(out.seen.at_ns - into.seen.at_ns + MS / 2 >= 40 * MS, "{into:?} {out:?}");
    }
}

/// Matched and acted of the three faults, and what arrived.
fn stacked(outcome: &Outcome) -> ([u64; 3], [u64; 3], u64) {
    let faults = [0, 1, 2].map(|n| outcome.fault(n, "egress"));
    (faults.map(|f| f.matched), faults.map(|f| f.acted), outcome.arrived().len() as u64)
}

/// How long each datagram took in the line, ns.
fn took(outcome: &Outcome) -> Vec<u64> {
    let went: BTreeMap<u64, u64> = Outcome::numbers_of(&outcome.handed(true)).into_iter().collect();
    let came = Outcome::numbers_of(&outcome.given_back(true));
    came.into_iter().map(|(number, at)| at - went[&number]).collect()
}

#[test]
fn faults_act_in_their_order() {
    // 1 MB/s meet a link of half of that.
    let (matched, acted, arrived) = stacked(RUN.of("drop first"));
    binomial("lost first", acted[0] as usize, N as usize, 0.2);
    assert_eq!(matched, [N, N - acted[0], N - acted[0]]);
    let overflowed = N - acted[0] - arrived;
    assert_eq!(RUN.of("drop first").flow.egress.dropped, acted[0] + overflowed);
    assert!(overflowed > N / 10, "{overflowed}");

    let (matched, acted, arrived) = stacked(RUN.of("rate first"));
    assert_eq!((matched[0], matched[1]), (N, matched[2]), "the queue's losses go no further");
    assert!(matched[1] < N - N / 10, "{matched:?}");
    binomial("lost last", acted[2] as usize, matched[2] as usize, 0.2);
    assert_eq!(arrived, matched[2] - acted[2]);
    for name in ["drop first", "rate first"] {
        // 30 ms, and 2 ms for 1000 bytes.
        let took = took(RUN.of(name));
        assert!(took.iter().all(|t| t + MS / 2 >= 32 * MS), "{name}: {took:?}");
    }
}
