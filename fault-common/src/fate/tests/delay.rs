use proptest::prelude::*;

use super::*;

const N: usize = 20_000;
/// Sixteen different quantiles, not symmetric.
const TABLE: [i16; 16] = [
    -9000, -8000, -7000, -6500, -6000, -5000, -4000, -3000, -1000, 0, 1000, 3000, 6000, 10_000,
    15_000, 25_000,
];

const DELAY: Delay = Delay {
    mean: 100 * MS,
    jitter: 10 * MS,
    distribution: Distribution::Uniform,
    correlation: 0,
    keep_order: false,
};

fn line(delay: Delay) -> Line<'static> {
    let tables = Tables { distributions: &[&TABLE], ..Tables::default() };
    Line::with([fault(Model::Delay(delay))], tables)
}

/// Delays of `n` segments.
fn delays(delay: Delay, n: usize) -> Vec<u64> {
    let fates = line(delay).segments(n as u64);
    (0..).zip(fates).map(|(i, fate)| fate.release - segment(i).now).collect()
}

fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[test]
fn a_constant_delay_is_constant() {
    let constant = Delay { distribution: Distribution::Constant, ..DELAY };
    assert_eq!(delays(constant, 10), [100 * MS; 10]);
}

/// Kolmogorov and Smirnov: the distance of the empirical law exceeds sqrt(ln(2 / a) / 2n) with
/// probability a at most (Dvoretzky, Kiefer, Wolfowitz; Massart's constant); a = 5.7e-7, as for 5 sd.
#[test]
fn uniform_delays_are_uniform() {
    let mut found = delays(DELAY, N);
    found.sort_unstable();
    assert!(found[0] >= 90 * MS && found[N - 1] < 110 * MS);
    let bound = ((2.0 / 5.7e-7_f64).ln() / (2.0 * N as f64)).sqrt();
    for (i, delay) in found.iter().enumerate() {
        let law = (*delay - 90 * MS) as f64 / (20 * MS) as f64;
        assert!((law - i as f64 / N as f64).abs() <= bound, "{delay} at {i} of {N}");
    }
}

/// Chi square over the entries, 15 degrees of freedom: mean 15, and above 57 once in 1.2 million.
#[test]
fn each_entry_of_a_table_comes_equally_often() {
    let found = delays(Delay { distribution: Distribution::Table(0), ..DELAY }, N);
    let expected = N as f64 / TABLE.len() as f64;
    let mut all = 0;
    let mut chi = 0.0;
    for value in TABLE {
        // jitter * value / 8192 to the nearest ns.
        let exact = 1e7 * f64::from(value) / 8192.0;
        let delay = 100 * MS as i64 + (exact + 0.5).floor() as i64;
        let hits = found.iter().filter(|d| **d as i64 == delay).count();
        chi += (hits as f64 - expected).powi(2) / expected;
        all += hits;
    }
    assert_eq!(all, N, "a delay that no entry gives");
    assert!(chi < 57.0, "{chi}");
}

/// An autoregressive process: lag-1 autocorrelation c, its estimate has sd sqrt((1 - c^2) / n);
/// variance (1 - c) / (1 + c) of the uncorrelated one, mean unchanged.
#[test]
fn correlation_is_what_it_says() {
    let c = 0.6;
    let found: Vec<f64> = delays(Delay { correlation: p32(c), ..DELAY }, N)
        .iter()
        .map(|d| *d as f64 / MS as f64)
        .collect();
    let (mean, sd) = mean_and_sd(&found);
    let joint: f64 = found.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
    let n = N as f64;
    assert_within(joint / (n * sd * sd), c, ((1.0 - c * c) / n).sqrt());
    let marginal = 20.0 / 12_f64.sqrt() * ((1.0 - c) / (1.0 + c)).sqrt();
    // The mean of an AR(1) process has the variance of one, times (1 + c) / (1 - c), over n.
    assert_within(mean, 100.0, marginal * ((1.0 + c) / (1.0 - c) / n).sqrt());
    // The variance estimate of a Gaussian AR(1) process: relative sd sqrt(2 (1 + c^2) / (1 - c^2) / n);
    // this one has lighter tails, so less.
    let relative = (2.0 * (1.0 + c * c) / (1.0 - c * c) / n).sqrt();
    assert_within(sd * sd, marginal * marginal, marginal * marginal * relative);
}

/// Half of the draws would let the packet go before it came.
#[test]
fn a_negative_delay_is_none() {
    let found = delays(Delay { mean: 0, ..DELAY }, N);
    assert_binomial(found.iter().filter(|delay| **delay == 0).count(), N, 0.5);
}

#[test]
fn full_correlation_repeats_the_first_delay() {
    let found = delays(Delay { correlation: P_ALWAYS, ..DELAY }, 50);
    assert!(found.iter().all(|delay| *delay == found[0]));
    assert_eq!(found[0], delays(DELAY, 1)[0]);
}

#[test]
fn without_keep_order_packets_overtake_and_with_it_they_do_not() {
    let free = line(DELAY).segments(1000);
    assert!(free.windows(2).any(|w| w[1].release < w[0].release));
    let kept = line(Delay { keep_order: true, ..DELAY }).segments(1000);
    assert!(kept.windows(2).all(|w| w[1].release >= w[0].release));
    // It waits for the one before it and no longer.
    let mut latest = 0;
    for (free, kept) in free.iter().zip(&kept) {
        latest = latest.max(free.release);
        assert_eq!(kept.release, latest);
    }
}

proptest! {
    /// No delay is negative, none leaves the range that the model says, and nothing overflows.
    #[test]
    fn delays_stay_in_their_range(
        now: u64, mean: u64, jitter: u64, correlation in 0..=P_ALWAYS, keep_order: bool,
        distribution in prop::sample::select(vec![
            Distribution::Constant, Distribution::Uniform, Distribution::Table(0),
        ]),
        n in 0u64..1000,
    ) {
        let mut line = line(Delay { mean, jitter, distribution, correlation, keep_order });
        let release = line.judge(&Packet { now, ..segment(n) }).release;
        let reach = match distribution {
            Distribution::Constant => 0,
            Distribution::Uniform => jitter,
            Distribution::Table(_) => (u128::from(jitter) * 25_000 / 8192 + 1)
                .min(u128::from(u64::MAX)) as u64,
        };
        prop_assert!(release >= now.saturating_add(mean.saturating_sub(reach)));
        prop_assert!(release <= now.saturating_add(mean).saturating_add(reach));
    }
}
