//! `drop` narrowed to some packets, each shown on the wire.

use std::sync::LazyLock;

use crate::lab::slow;
use crate::support::packet::{FIN, Packet, SYN};
use crate::support::stats::binomial;
use crate::support::stream::{Stream, wire_packets};
use crate::support::trial::{Case, Outcome, Outcomes, Place, run};

const MSS: u32 = 1448;
/// Bytes that the client sends before the faults are armed (traffic.py).
const BEFORE: u64 = 16;

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let case = |name, faults: &[&str], work: &str| {
        let (first, more) = faults.split_first().expect("a fault");
        more.iter().fold(Case::new(name, Place::Cable4, first, work), |case, f| case.and(f))
    };
    let first = |direction: &str, when: &str| {
        format!("{{ direction = '{direction}', drop = {{ first = 1 }}, when = {{ {when} }} }}")
    };
    let again = "{ direction = 'egress', drop = { first = 2 }, when = { retransmission = true } }";
    run(&[
        case("nth", &["{ direction = 'egress', drop = { nth = [3] } }"], "bulk 1000000"),
        case("first", &["{ direction = 'egress', drop = { first = 1 } }"], "bulk 1000000"),
        case("every", &["{ direction = 'egress', drop = { every = 100 } }"], "bulk 3000000"),
        case("syn", &[&first("egress", "tcp = 'syn'")], "idle 1").late(),
        case("syn_ack", &[&first("ingress", "tcp = 'syn_ack'")], "idle 1").late(),
        case("data", &[&first("ingress", "tcp = 'data'")], "fetch 1000000").late(),
        case(
            "ack_only",
            &["{ direction = 'ingress', drop = 0.5, when = { tcp = 'ack_only' } }"],
            "bulk 10000000",
        ),
        case("fin", &[&first("egress", "tcp = 'fin'")], "bulk 100000"),
        case(
            "retransmission",
            &["{ direction = 'egress', drop = { nth = [5, 100, 200] } }", again],
            "bulk 1000000",
        ),
        case(
            "size",
            &["{ direction = 'egress', drop = 0.05, when = { size = [1500, 1500] } }"],
            "bulk 2000000",
        ),
        case("stream", &[&first("egress", "stream = [500000, 500001]")], "bulk 1000000"),
        case(
            "pulse",
            &["{ direction = 'egress', drop = 1.0, pulse = { on = '100ms', off = '200ms' } }"],
            "pour 1000 100 1000",
        ),
    ])
});

/// What the receiver's interface missed when later bytes came; the stream from when the faults
/// were armed.
fn holes(outcome: &Outcome) -> Vec<(u64, u64)> {
    outcome.is_whole();
    let base = outcome.handed(true)[0].seq;
    let arrived = outcome.arrived();
    let after = |p: &&&Packet| p.seq.wrapping_sub(base) < 1 << 31;
    Stream::of(arrived.iter().filter(after).copied(), base).holes
}

/// Packets with these flags, as they went into the line and as they came out.
fn flagged(outcome: &Outcome, sent: bool, flags: u8) -> (usize, usize) {
    let count = |packets: Vec<&Packet>| packets.iter().filter(|p| p.has(flags)).count();
    (count(outcome.handed(sent)), count(outcome.given_back(sent)))
}

#[test]
fn one_packet_of_a_bulk_transfer_is_one_wire_packet() {
    let m = u64::from(MSS);
    assert_eq!(holes(RUN.of("nth")), [(2 * m, 3 * m)]);
    assert_eq!(holes(RUN.of("first")), [(0, m)]);
    for name in ["nth", "first"] {
        let outcome = RUN.of(name);
        assert_eq!(outcome.flow.egress.dropped, 1, "{:#?}", outcome.flow);
        assert_eq!(outcome.said("bytes_retrans") as u32, MSS, "{}", outcome.client);
    }
}

#[test]
fn every_hundredth_wire_packet_is_lost() {
    let outcome = RUN.of("every");
    outcome.is_whole();
    let [went, came] = [outcome.handed(true), outcome.given_back(true)];
    let [went, came] = [went, came].map(|packets| wire_packets(&packets));
    assert_eq!(went - came, went / 100);
    let fault = outcome.fault(0, "egress");
    assert_eq!((fault.matched, fault.acted), (went, went / 100));
}

#[test]
fn a_lost_syn_comes_again_after_a_second() {
    // The hook judges it: it never comes to the line's device.
    let outcome = RUN.of("syn");
    assert_eq!(outcome.flow.egress.dropped, 1);
    // TCP_TIMEOUT_INIT (RFC 6298, 2.1).
    assert!(outcome.said("connect_ms") >= 990.0, "{}", outcome.client);
}

#[test]
fn a_lost_syn_ack_comes_again_after_a_second() {
    let outcome = RUN.of("syn_ack");
    assert!(outcome.said("connect_ms") >= 990.0, "{}", outcome.client);
    assert_eq!(outcome.flow.ingress.dropped, 1);
}

#[test]
fn data_is_meant_and_what_comes_before_it_is_not() {
    let outcome = RUN.of("data");
    assert_eq!(flagged(outcome, false, SYN), (1, 1));
    assert!(outcome.said("connect_ms") < 990.0 * f64::from(slow()), "{}", outcome.client);
    let (handed, back) = (outcome.handed(false), outcome.given_back(false));
    let base = handed.iter().find(|p| p.payload > 0).expect("data came").seq;
    let stream = Stream::of(back.iter().copied(), base);
    assert_eq!(stream.holes, [(0, u64::from(MSS))]);
    assert_eq!(outcome.said("bytes") as u32, 1_000_000);
}

#[test]
fn pure_acknowledgements_are_lost_and_nothing_else() {
    let outcome = RUN.of("ack_only");
    outcome.is_whole();
    // The hook judges them. What is acknowledged late is sent again: no byte of it was lost, so
    // no data was faulted.
    let fault = outcome.fault(0, "ingress");
    assert!(fault.matched > 20, "{}", fault.matched);
    binomial("lost", fault.acted as usize, fault.matched as usize, 0.5);
    assert!(fault.matched <= outcome.flow.ingress.packets);
}

#[test]
fn a_lost_fin_comes_again() {
    let outcome = RUN.of("fin");
    outcome.is_whole();
    let (went, came) = flagged(outcome, true, FIN);
    assert_eq!(went - came, 1);
    let arrived = outcome.arrived();
    assert!(arrived.iter().any(|p| p.has(FIN)), "it arrives in the end");
}

#[test]
fn retransmissions_are_lost_again() {
    let outcome = RUN.of("retransmission");
    outcome.is_whole();
    let [went, came] = [outcome.handed(true), outcome.given_back(true)];
    let [went, came] = [went, came].map(|packets| wire_packets(&packets));
    assert_eq!(went - came, 5);
    assert_eq!(outcome.fault(0, "egress").acted, 3);
    assert_eq!(outcome.fault(1, "egress").acted, 2);
    // Three that were lost once, two of whose retransmissions were lost, too.
    assert!(outcome.fault(1, "egress").matched >= 5);
}

#[test]
fn only_packets_of_that_size_are_lost() {
    let outcome = RUN.of("size");
    outcome.is_whole();
    let full: u64 = outcome.handed(true).iter().map(|p| u64::from(p.payload / MSS)).sum();
    let fault = outcome.fault(0, "egress");
    assert_eq!(fault.matched, full);
    binomial("lost", fault.acted as usize, full as usize, 0.05);
    let holes = holes(outcome);
    assert!(holes.iter().all(|(from, to)| (to - from) % u64::from(MSS) == 0), "{holes:?}");
}

#[test]
fn the_packet_with_that_byte_is_lost() {
    let holes = holes(RUN.of("stream"));
    let [(from, to)] = holes[..] else { panic!("one hole: {holes:?}") };
    assert_eq!(to - from, u64::from(MSS));
    assert!((from..to).contains(&(500_000 - BEFORE)), "{holes:?}");
}

#[test]
fn a_pulse_is_on_and_off_in_turn() {
    let outcome = RUN.of("pulse");
    let handed = Outcome::numbers_of(&outcome.handed(true));
    let back: Vec<u64> =
        Outcome::numbers_of(&outcome.given_back(true)).into_iter().map(|(n, _)| n).collect();
    // Times at which one arrived after one that was lost, or the other way round.
    let mut turns = Vec::new();
    for pair in handed.windows(2) {
        let [was, is] = [&pair[0], &pair[1]].map(|(n, _)| back.contains(n));
        if was != is {
            turns.push((is, pair[0].1, pair[1].1));
        }
    }
    assert!(turns.len() >= 4, "{turns:?}");
    // The turn lay between the two; the capture has them a moment later than the fault.
    let margin = 5_000_000 * u64::from(slow());
    for pair in turns.windows(2) {
        let (_, from_before, from_after) = pair[0];
        let (on_again, to_before, to_after) = pair[1];
        // From off to on the losses were on, and the other way round.
        let length = if on_again { 100_000_000 } else { 200_000_000 };
        assert!(to_before - from_after <= length + margin, "{pair:?}");
        assert!(to_after - from_before + margin >= length, "{pair:?}");
    }
}
