//! Numbers of many numbers.

/// The value below which the share `q` (0.0 to 1.0) of the values lies; 0 of none.
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * q).round() as usize).copied().unwrap_or_default()
}

/// Of an even number of values the upper one of the middle: something that was measured.
pub fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values() {
        let mut values = vec![5.0, 1.0, 3.0];
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 0.99), 5.0);
        assert_eq!(median(values), 3.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
