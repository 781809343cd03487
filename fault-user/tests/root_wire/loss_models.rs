//! The other models of `drop`, on numbered datagrams: which arrive, at the other side's interface.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::support::stats::{binomial, spread};
use crate::support::trial::{Case, Outcome, Outcomes, Place, run};

/// Datagrams of each client.
const N: u64 = 2500;

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let case = |name, place, drop: &str| {
        let work = if drop.contains("ingress") { "draw" } else { "pour" };
        Case::new(name, place, &format!("{{ {drop} }}"), &format!("{work} {N} 100 1200"))
    };
    let gilbert = "{ gilbert_elliott = { p = 0.02, r = 0.25 } }";
    let noisy = "{ gilbert_elliott = { p = 0.02, r = 0.2, good = 0.01, bad = 0.5 } }";
    let markov = "{ markov = { p13 = 0.02, p31 = 0.25, p32 = 0.1, p23 = 0.3, p14 = 0.01 } }";
    run(&[
        case("every", Place::Cable4, "direction = 'egress', drop = { every = 10 }"),
        case("nth", Place::Cable6, "direction = 'egress', drop = { nth = [1, 5, 7, 2400] }"),
        case("first", Place::Cable4, "direction = 'ingress', drop = { first = 3 }"),
        case("burst", Place::Lo4, "direction = 'egress', drop = { burst = { p = 0.01, len = 5 } }"),
        case("gilbert", Place::Cable4, &format!("direction = 'egress', drop = {gilbert}")),
        case("gilbert in", Place::Lo6, &format!("direction = 'ingress', drop = {gilbert}")),
        case("noisy", Place::Cable4, &format!("direction = 'ingress', drop = {noisy}")),
        case("markov", Place::Cable6, &format!("direction = 'egress', drop = {markov}")),
        case("random", Place::Cable6, "direction = 'ingress', drop = 0.2"),
    ])
});

/// Numbers of the datagrams that did not arrive.
fn missing(outcome: &Outcome) -> Vec<u64> {
    let there: BTreeSet<u64> = match outcome.client["numbers"].as_array() {
        Some(numbers) => numbers.iter().map(|n| n.as_u64().expect("a number")).collect(),
        None => Outcome::numbers_of(&outcome.arrived()).into_iter().map(|(n, _)| n).collect(),
    };
    let missing: Vec<u64> = (0..N).filter(|n| !there.contains(n)).collect();
    let direction = &outcome.faults[0].direction;
    let fault = outcome.fault(0, direction);
    assert_eq!((fault.matched, fault.acted), (N, missing.len() as u64), "{fault:#?}");
    let flow = &outcome.flow;
    let counters = if direction == "egress" { flow.egress } else { flow.ingress };
    assert_eq!(counters.dropped, missing.len() as u64, "{counters:?}");
    missing
}

/// Lengths of the runs of numbers that follow each other.
fn runs(numbers: &[u64]) -> Vec<u64> {
    let mut runs = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        match runs.last_mut() {
            Some(last) if numbers[i - 1] + 1 == *number => *last += 1,
            _ => runs.push(1),
        }
    }
    runs
}

#[test]
fn losses_by_number_are_exact() {
    let tenth: Vec<u64> = (0..N).filter(|n| n % 10 == 9).collect();
    assert_eq!(missing(RUN.of("every")), tenth);
    assert_eq!(missing(RUN.of("nth")), [0, 4, 6, 2399]);
    assert_eq!(missing(RUN.of("first")), [0, 1, 2]);
}

#[test]
fn a_probability_is_met() {
    binomial("lost", missing(RUN.of("random")).len(), N as usize, 0.2);
}

#[test]
fn bursts_have_their_length() {
    let missing = missing(RUN.of("burst"));
    let runs = runs(&missing);
    // One burst may follow another at once, and the last datagram may end one.
    let (last, before) = runs.split_last().expect("some are lost");
    assert!(before.iter().all(|n| n % 5 == 0), "{runs:?}");
    let cut = missing.ends_with(&[N - 1]);
    assert!(last % 5 == 0 || cut, "{runs:?}");
    // Each packet outside of a burst starts one with p = 0.01.
    let bursts = missing.len().div_ceil(5);
    binomial("bursts", bursts, N as usize - missing.len() + bursts, 0.01);
}

/// Share of losses of a two-state chain with these transitions and losses.
fn share(outcome: &Outcome, [p, r, good, bad]: [f64; 4]) -> Vec<u64> {
    let missing = missing(outcome);
    let share = (r * good + p * bad) / (p + r);
    // Neighbours are correlated by 1 - p - r, which widens the deviation of the mean.
    let correlation = 1.0 - p - r;
    let widened = (1.0 + correlation) / (1.0 - correlation);
    let deviation = (N as f64 * share * (1.0 - share) * widened).sqrt();
    spread("lost", missing.len() as f64, N as f64 * share, deviation);
    missing
}

#[test]
fn gilbert_elliott_has_its_share_and_its_bursts() {
    for name in ["gilbert", "gilbert in"] {
        let runs = runs(&share(RUN.of(name), [0.02, 0.25, 0.0, 1.0]));
        // A burst goes on with 1 - r: geometric, with mean 1 / r.
        let mean = runs.iter().sum::<u64>() as f64 / runs.len() as f64;
        let deviation = (1.0_f64 - 0.25).sqrt() / 0.25 / (runs.len() as f64).sqrt();
        spread("mean burst", mean, 1.0 / 0.25, deviation);
    }
    share(RUN.of("noisy"), [0.02, 0.2, 0.01, 0.5]);
}

#[test]
fn markov_has_its_share_and_its_bursts() {
    let [p13, p31, p32, p23, p14] = [0.02, 0.25, 0.1, 0.3, 0.01];
    let missing = missing(RUN.of("markov"));
    // Weights of the states relative to state 1: netem's model in closed form.
    let (s3, s4) = (p13 / p31, p14);
    let all = 1.0 + s3 * (1.0 + p32 / p23) + s4;
    let share = (s3 + s4) / all;
    // The slowest way back to the mean is that from state 3 to state 1: at most 1 / p31 steps.
    let deviation = (N as f64 * share * (1.0 - share) * (2.0 / p31)).sqrt();
    spread("lost", missing.len() as f64, N as f64 * share, deviation);
    let runs = runs(&missing);
    let ends = p31 + p32;
    let mean = (s3 + s4) / (s3 * ends + s4);
    // Wider than the true one: as if no run were a single loss.
    let deviation = (1.0_f64 - ends).sqrt() / ends / (runs.len() as f64).sqrt();
    let measured = runs.iter().sum::<u64>() as f64 / runs.len() as f64;
    spread("mean burst", measured, mean, deviation);
}
