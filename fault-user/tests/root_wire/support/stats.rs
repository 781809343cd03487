//! How far from its expectation a count or a time may be.

use crate::lab::slow;

/// What half of the packets may be late, ms: ten times and more what they are when the machine has
/// nothing else to do.
pub fn late_ms() -> f64 {
    30.0 * f64::from(slow())
}

/// Standard deviations that a count may be off: by chance once in 1.7 million.
pub const SIGMAS: f64 = 5.0;

/// Asserts that `hits` of `n` independent trials fit a probability of `p`.
#[track_caller]
pub fn binomial(what: &str, hits: usize, n: usize, p: f64) {
    spread(what, hits as f64, n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
}

/// Asserts that a value fits an expectation with this standard deviation.
#[track_caller]
pub fn spread(what: &str, value: f64, expected: f64, deviation: f64) {
    let bound = SIGMAS * deviation;
    let told = format!("{what}: {value}, not {expected} +- {bound}");
    assert!((value - expected).abs() <= bound, "{told}");
}

/// The value below which this share of the values lies.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Kolmogorov-Smirnov: the largest distance between the values' own distribution and `cdf`.
pub fn ks_distance(values: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let distance = |(i, value): (usize, &f64)| {
        let at = cdf(*value);
        (at - i as f64 / n).abs().max(((i + 1) as f64 / n - at).abs())
    };
    sorted.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// The distance that `n` values of that distribution exceed once in a million times
/// (Massart 1990: P(D > d) <= 2 exp(-2 n d^2)).
pub fn ks_bound(n: usize) -> f64 {
    ((2e6_f64).ln() / (2.0 * n as f64)).sqrt()
}
