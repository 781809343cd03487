//! `delay`: how long packets take from one end to the other, by captures on both.

use std::sync::LazyLock;

use crate::lab::slow;
use crate::support::packet::Eye;
use crate::support::stats::{late_ms, quantile};
use crate::support::stream::in_order;
use crate::support::trial::{Case, Outcome, Outcomes, Place, run};

const MS: u64 = 1_000_000;
/// Messages of each client.
const PINGS: usize = 40;

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let case = |name, place, direction: &str| {
        let fault = format!("{{ direction = '{direction}', delay = '50ms' }}");
        Case::new(name, place, &fault, &format!("ping {PINGS} 10000"))
    };
    run(&[
        case("out", Place::Cable4, "egress"),
        case("in", Place::Cable4, "ingress"),
        case("both", Place::Cable6, "both").late(),
        case("lo out", Place::Lo4, "egress").late(),
        case("lo in", Place::Lo4, "ingress"),
        case("lo both", Place::Lo6, "both").late(),
        case("own", Place::Own4, "both").late(),
    ])
});

/// How late each message was at the other end, ns: from when its sender wrote it until the
/// receiver's interface had it, behind the line.
fn one_way(outcome: &Outcome, sent: bool) -> Vec<u64> {
    let packets = if sent { outcome.arrived() } else { outcome.given_back(false) };
    let messages: Vec<(u64, u64)> = packets
        .iter()
        .filter(|p| p.payload >= 64)
        .map(|p| {
            let (number, at) = p.message.expect("a message");
            (number, p.seen.at_ns.saturating_sub(at))
        })
        .collect();
    let numbers: Vec<u64> = messages.iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted(), "the order is kept: {numbers:?}");
    messages.into_iter().map(|(_, took)| took).collect()
}

fn ms(times: &[u64]) -> Vec<f64> {
    times.iter().map(|ns| *ns as f64 / MS as f64).collect()
}

/// Nothing is early, and half of it hardly late.
fn held(outcome: &Outcome, sent: bool) {
    let times = one_way(outcome, sent);
    assert!(times.len() >= PINGS / 2, "{times:?}");
    let early: Vec<&u64> = times.iter().filter(|t| **t < 50 * MS).collect();
    assert!(early.is_empty(), "{early:?}");
    let p50 = quantile(&ms(&times), 0.5);
    assert!(p50 < 50.0 + late_ms(), "{p50}");
    in_order(&outcome.handed(sent), &outcome.given_back(sent));
}

/// Round trips took so many ms, and not much more.
fn round_trips(outcome: &Outcome, delays: u32) {
    let rtts = outcome.client["rtt_ns"].as_array().expect("it pings");
    let rtts: Vec<f64> = rtts.iter().map(|n| n.as_f64().expect("a number") / 1e6).collect();
    assert_eq!(rtts.len(), PINGS);
    let least = 50.0 * f64::from(delays);
    assert!(rtts.iter().all(|rtt| *rtt >= least), "{rtts:?}");
    let p50 = quantile(&rtts, 0.5);
    assert!(p50 < least + 2.0 * late_ms(), "{p50}");
}

#[test]
fn each_direction_is_delayed_on_its_own() {
    for (name, sent) in [("out", true), ("in", false), ("lo out", true), ("lo in", false)] {
        let outcome = RUN.of(name);
        held(outcome, sent);
        round_trips(outcome, 1);
        let other = outcome.given_back(!sent);
        assert!(other.is_empty(), "{name}: the other direction takes no detour: {other:?}");
    }
}

#[test]
fn both_directions_are_delayed_together_and_so_is_the_handshake() {
    for name in ["both", "lo both", "own"] {
        let outcome = RUN.of(name);
        held(outcome, true);
        held(outcome, false);
        round_trips(outcome, 2);
        assert!(outcome.said("connect_ms") >= 100.0, "{}", outcome.client);
    }
}

#[test]
fn all_packets_are_counted_as_delayed() {
    for (name, sent) in [("out", true), ("in", false), ("lo out", true), ("lo in", false)] {
        let outcome = RUN.of(name);
        let (direction, flow) =
            if sent { ("egress", outcome.flow.egress) } else { ("ingress", outcome.flow.ingress) };
        let went = outcome.handed(sent).len() as u64;
        let fault = outcome.fault(0, direction);
        // What is held when the run ends goes on undelayed, but was judged before.
        assert_eq!((fault.matched, fault.acted, flow.delayed), (went, went, went), "{name}");
        assert_eq!(flow.dropped, 0);
    }
}

#[test]
fn nothing_comes_by_another_way() {
    let outcome = RUN.of("out");
    // What the near end of the cable sends has come out of the line.
    let sent = outcome.near.iter().filter(|p| {
        p.seen.eye == Eye::Cable && p.seen.outgoing && p.message.is_some() && p.payload == 64
    });
    assert_eq!(sent.count(), outcome.given_back(true).iter().filter(|p| p.payload == 64).count());
}

/// A connection that is opened under the delay fills its window once per round trip.
#[test]
fn bulk_reaches_its_window_per_round_trip() {
    let case = |name, place, ms: u32, megabytes: u32| {
        let fault = format!("{{ direction = 'egress', delay = '{ms}ms' }}");
        Case::new(name, place, &fault, &format!("bulk {}", megabytes * 1_000_000)).late()
    };
    let outcomes = run(&[
        case("20", Place::Cable4, 20, 8),
        case("50", Place::Cable4, 50, 8),
        case("200", Place::Cable6, 200, 3),
    ]);
    for (name, rtt, bytes) in [("20", 20.0, 8e6), ("50", 50.0, 8e6), ("200", 200.0, 3e6)] {
        let outcome = outcomes.of(name);
        outcome.is_whole();
        // Slow start doubles a window of ten packets (RFC 6928) each round trip. A sender that
        // were kept to a few packets in flight (TCP small queues) would take a hundred times that.
        let rounds = (bytes / 14480.0_f64).log2() + 2.0;
        let longest = 2.0 * rounds * rtt * f64::from(slow());
        assert!(outcome.said("work_ms") <= longest, "{longest} {}", outcome.client);
        assert!(outcome.said("connect_ms") >= rtt, "{}", outcome.client);
        let supers = outcome.arrived().iter().filter(|p| p.wire_packets() > 1).count();
        assert!(supers > 0, "super-packets stay whole");
        in_order(&outcome.handed(true), &outcome.given_back(true));
    }
}
