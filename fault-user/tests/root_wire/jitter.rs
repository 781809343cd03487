//! `delay` that scatters: the distribution of one-way delays.

use std::sync::LazyLock;

use crate::support::stats::{ks_bound, ks_distance, late_ms};
use crate::support::trial::{Case, Outcome, Outcomes, Place, run};

/// Datagrams of each client.
const N: usize = 800;

static RUN: LazyLock<Outcomes> = LazyLock::new(|| {
    let case = |name, place, distribution: &str, more: &str| {
        let delay = format!(
            "{{ mean = '600ms', jitter = '200ms', distribution = '{distribution}'{more} }}"
        );
        let fault = format!("{{ direction = 'egress', delay = {delay} }}");
        Case::new(name, place, &fault, &format!("pour {N} 100 1000 1500"))
    };
    let free = ", keep_order = false";
    run(&[
        case("uniform", Place::Cable4, "uniform", free),
        case("normal", Place::Cable6, "normal", free),
        case("pareto", Place::Lo4, "pareto", free),
        case("ordered", Place::Cable4, "uniform", ""),
    ])
});

/// Delays of the datagrams, ms, in the order in which they came out of the line.
fn delays(outcome: &Outcome) -> Vec<f64> {
    let arrived = outcome.arrived();
    assert_eq!(arrived.len(), N);
    let took = arrived.iter().map(|p| p.seen.at_ns - p.message.expect("numbered").1);
    took.map(|ns| ns as f64 / 1e6).collect()
}

fn numbers(outcome: &Outcome) -> Vec<u64> {
    Outcome::numbers_of(&outcome.arrived()).into_iter().map(|(n, _)| n).collect()
}

/// The delays are those of the distribution, each at most a little later: at the steepest the
/// distribution rises by `per_ms`.
fn fits(name: &str, per_ms: f64, cdf: impl Fn(f64) -> f64) {
    let delays = delays(RUN.of(name));
    let distance = ks_distance(&delays, &cdf);
    let bound = ks_bound(N) + late_ms() * per_ms;
    assert!(distance <= bound, "{name}: {distance} is more than {bound}");
}

#[test]
fn uniform_delays_are_uniform() {
    fits("uniform", 0.0025, |ms| ((ms - 400.0) / 400.0).clamp(0.0, 1.0));
    let delays = delays(RUN.of("uniform"));
    assert!(delays.iter().all(|d| *d >= 400.0), "none is early");
}

#[test]
fn normal_delays_are_normal() {
    // Density at the mean: 1 / (200 ms * sqrt(2 pi)).
    fits("normal", 0.002, |ms| {
        let z = (ms - 600.0) / 200.0;
        0.5 * (1.0 + erf(z / std::f64::consts::SQRT_2))
    });
}

#[test]
fn pareto_delays_have_a_long_tail() {
    // Of min(X, c), X with shape 3: mean 3/2 - 1/(2 c^2), second moment 3 - 2/c. The table is cut
    // at 4 deviations and has mean 0 and deviation 1: c = 3.727 solves (c - mean) / deviation = 4.
    let (mean, deviation) = (1.4640, 0.5657);
    // Density at its start, x = 1.
    fits("pareto", 3.0 * deviation / 200.0, |ms| {
        let x = (ms - 600.0) / 200.0 * deviation + mean;
        if x <= 1.0 { 0.0 } else { 1.0 - x.powi(-3) }
    });
}

#[test]
fn order_is_kept_unless_it_is_given_up() {
    assert!(numbers(RUN.of("ordered")).is_sorted());
    let free = numbers(RUN.of("uniform"));
    let turned = free.windows(2).filter(|pair| pair[0] > pair[1]).count();
    // Neighbours 1 ms apart with 400 ms to scatter: nearly half of them change places.
    assert!(turned > N / 4, "{turned}");
}

/// Abramowitz and Stegun 7.1.26: within 1.5e-7.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let factors = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let sum = factors.iter().fold(0.0, |sum, factor| sum * t + factor) * t;
    (1.0 - sum * (-x * x).exp()).copysign(x)
}
