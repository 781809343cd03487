//! Distributions of delay as tables of quantiles: those that tc knows by name, and files.

use fault_common::fate::Distribution;

use super::{Flaw, TableError};

/// Entries of a table that is built here; as many as iproute2's have.
const ENTRIES: usize = 4096;
/// Shape of the Pareto distribution; iproute2's.
const PARETO_SHAPE: f64 = 3.0;
/// Share of the normal in `paretonormal`; iproute2's, from NIST Net.
const NORMAL_SHARE: f64 = 0.25;

/// The normal distribution.
pub fn normal() -> Vec<i16> {
    standardised(&normal_quantiles())
}

/// The Pareto distribution of shape 3.
///
/// Its tail is cut at four standard deviations, which is all that the format can hold, and what is left
/// has standard deviation 1. (That of iproute2's table is 0.82: it is cut after the scaling.)
pub fn pareto() -> Vec<i16> {
    standardised(&pareto_quantiles())
}

/// A quarter of the normal and three quarters of the Pareto quantile: what NIST Net found to be
/// like measured delays.
pub fn paretonormal() -> Vec<i16> {
    let both = normal_quantiles().into_iter().zip(pareto_quantiles());
    let mixed = both.map(|(n, p)| NORMAL_SHARE * n + (1.0 - NORMAL_SHARE) * p);
    standardised(&mixed.collect::<Vec<_>>())
}

/// Probability of quantile `i`: the middle of its share.
fn probability(i: usize) -> f64 {
    (i as f64 + 0.5) / ENTRIES as f64
}

/// The upper half by walking up the density (trapezium rule; the error is below 1e-6, a unit of the
/// table 1e-4), the lower half mirrored.
fn normal_quantiles() -> Vec<f64> {
    const STEP: f64 = 1.0 / 2048.0;
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut z, mut area) = (0.0, 0.5);
    let mut upper = Vec::with_capacity(ENTRIES / 2);
    for i in ENTRIES / 2..ENTRIES {
        let target = probability(i);
        let mut strip = STEP * (density(z) + density(z + STEP)) / 2.0;
        while area + strip < target {
            area += strip;
            z += STEP;
            strip = STEP * (density(z) + density(z + STEP)) / 2.0;
        }
        upper.push(z + STEP * (target - area) / strip);
    }
    upper.iter().rev().map(|z| -z).chain(upper.iter().copied()).collect()
}

/// In iproute2's scale, 4/3 of the distance from the mean, which matters for the mixture.
fn pareto_quantiles() -> Vec<f64> {
    let mean = PARETO_SHAPE / (PARETO_SHAPE - 1.0);
    let quantile = |i| (1.0 - probability(i)).powf(-1.0 / PARETO_SHAPE);
    (0..ENTRIES).map(|i| (quantile(i) - mean) * 4.0 / 3.0).collect()
}

/// Shifted and scaled so that the table, with what the format cuts off, has mean 0 and standard
/// deviation 1. The cut depends on the scale, so it is found step by step.
fn standardised(quantiles: &[f64]) -> Vec<i16> {
    let unit = Distribution::SCALE as f64;
    let cut = |x: f64| x.clamp(f64::from(i16::MIN) / unit, f64::from(i16::MAX) / unit);
    let n = quantiles.len() as f64;
    let (mut centre, mut scale) = (0.0, 1.0);
    // Each step leaves a third of the error (measured, Pareto; less of the others).
    for _ in 0..50 {
        let values = quantiles.iter().map(|q| cut((q - centre) / scale));
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        centre += scale * mean;
        scale *= variance.sqrt();
    }
    quantiles.iter().map(|q| (cut((q - centre) / scale) * unit).round() as i16).collect()
}

/// Parses the format of iproute2's `.dist` files: equally spaced quantiles in standard deviations
/// from the mean times 8192, ascending, between blanks; lines that begin with `#` are comments.
///
/// # Errors
/// It is not such a table; `file`, its name, stands in the message.
pub fn parse_dist(file: &str, text: &str) -> Result<Vec<i16>, TableError> {
    let mut table: Vec<i16> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.starts_with('#') {
            continue;
        }
        for word in content.split_whitespace() {
            let at = |flaw| TableError::at(file, line, flaw);
            let value = word.parse().map_err(|_| at(Flaw::NotAQuantile(word.to_owned())))?;
            if let Some(before) = table.last().copied().filter(|before| *before > value) {
                return Err(at(Flaw::Descending { value, before }));
            }
            table.push(value);
        }
    }
    match (table.first(), table.last()) {
        (Some(first), Some(last)) if first < last => Ok(table),
        (Some(first), _) => Err(TableError::of_file(file, Flaw::Constant(*first))),
        _ => Err(TableError::of_file(file, Flaw::Empty)),
    }
}
