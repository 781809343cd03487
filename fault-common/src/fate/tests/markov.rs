//! Chains: stationary rates against the closed formulas, transitions against their probabilities.

use super::*;

const N: usize = 200_000;

/// Standard deviation of the number of hits in `n` steps of a stationary chain with transition
/// matrix `p`, stationary law `pi` and hit probability `f` by state: n times the variance of one,
/// plus twice the autocovariances (the central limit theorem of Markov chains).
fn sd<const S: usize>(p: &[[f64; S]; S], pi: &[f64; S], f: &[f64; S], n: usize) -> f64 {
    let mean: f64 = (0..S).map(|i| pi[i] * f[i]).sum();
    let mut variance = mean * (1.0 - mean);
    let mut later = *f;
    for _ in 0..5000 {
        later = std::array::from_fn(|i| (0..S).map(|j| p[i][j] * later[j]).sum());
        let joint: f64 = (0..S).map(|i| pi[i] * f[i] * later[i]).sum();
        variance += 2.0 * (joint - mean * mean);
    }
    (n as f64 * variance).sqrt()
}

/// State before each packet, and whether it was lost.
fn walk(model: Loss) -> Vec<(usize, bool)> {
    let mut line = Line::new([loss(model)]);
    (0..N as u64)
        .map(|i| {
            let before = line.states[0].chain as usize;
            (before, line.judge(&segment(i)).end.is_some())
        })
        .collect()
}

/// Each transition has its frequency: given how often a state was left, binomial.
fn assert_transitions<const S: usize>(walk: &[(usize, bool)], p: &[[f64; S]; S]) {
    for (from, row) in p.iter().enumerate() {
        let steps: Vec<usize> =
            walk.windows(2).filter(|w| w[0].0 == from).map(|w| w[1].0).collect();
        for (to, p) in row.iter().enumerate() {
            assert_binomial(steps.iter().filter(|s| **s == to).count(), steps.len(), *p);
        }
    }
}

fn count(walk: &[(usize, bool)]) -> f64 {
    walk.iter().filter(|(_, lost)| *lost).count() as f64
}

/// Loss = (r good + p bad) / (p + r).
#[test]
fn gilbert_elliott_has_its_stationary_loss() {
    for [p, r, good, bad] in [[0.01, 0.3, 0.0, 1.0], [0.05, 0.2, 0.01, 0.6], [0.4, 0.9, 0.2, 0.7]] {
        let model = GilbertElliott { p: p32(p), r: p32(r), good: p32(good), bad: p32(bad) };
        let walk = walk(Loss::GilbertElliott(model));
        let matrix = [[1.0 - p, p], [r, 1.0 - r]];
        assert_transitions(&walk, &matrix);
        let pi = [r / (p + r), p / (p + r)];
        let rate = pi[0] * good + pi[1] * bad;
        assert_within(count(&walk), N as f64 * rate, sd(&matrix, &pi, &[good, bad], N));
    }
}

/// Loss and transition are independent draws: of the packets that were lost in the good state the chain
/// leaves it after a share p.
#[test]
fn gilbert_elliott_loses_and_moves_independently() {
    let (p, good) = (0.2, 0.3);
    let model = GilbertElliott { p: p32(p), r: p32(0.2), good: p32(good), bad: p32(0.9) };
    let walk = walk(Loss::GilbertElliott(model));
    let lost: Vec<_> = walk.windows(2).filter(|w| w[0] == (0, true)).collect();
    assert_binomial(lost.iter().filter(|w| w[1].0 == 1).count(), lost.len(), p);
    let in_good: Vec<_> = walk.iter().filter(|(state, _)| *state == 0).collect();
    assert_binomial(in_good.iter().filter(|(_, lost)| *lost).count(), in_good.len(), good);
}

/// With r = 1 - p, good 0 and bad 1 the chain forgets: Bernoulli with p, as netem's man page says.
#[test]
fn gilbert_elliott_contains_bernoulli() {
    let model = GilbertElliott { p: p32(0.2), r: p32(0.8), good: 0, bad: P_ALWAYS };
    let walk = walk(Loss::GilbertElliott(model));
    assert_binomial(count(&walk) as usize, N, 0.2);
    let after_loss: Vec<_> = walk.windows(2).filter(|w| w[0].1).collect();
    assert_binomial(after_loss.iter().filter(|w| w[1].1).count(), after_loss.len(), 0.2);
}

#[test]
fn gilbert_elliott_starts_good_and_the_packet_that_moves_it_is_still_judged_there() {
    let model = GilbertElliott { p: P_ALWAYS, r: P_ALWAYS, good: 0, bad: P_ALWAYS };
    let losses = Line::new([loss(Loss::GilbertElliott(model))]).losses(6);
    assert_eq!(losses, [false, true, false, true, false, true]);
}

/// With pi1 = 1 / (1 + p14 + (p13 / p31) (1 + p32 / p23)) the loss is
/// pi1 (p14 + p13 / p31): the balance equations of the chain.
#[test]
fn four_states_have_their_stationary_loss() {
    for [p13, p31, p32_, p23, p14] in
        [[0.02, 0.3, 0.2, 0.5, 0.01], [0.1, 0.1, 0.6, 0.4, 0.05], [0.01, 1.0, 0.0, 1.0, 0.0]]
    {
        let model =
            Markov { p13: p32(p13), p31: p32(p31), p32: p32(p32_), p23: p32(p23), p14: p32(p14) };
        let walk = walk(Loss::Markov(model));
        let matrix = [
            [1.0 - p13 - p14, 0.0, p13, p14],
            [0.0, 1.0 - p23, p23, 0.0],
            [p31, p32_, 1.0 - p31 - p32_, 0.0],
            [1.0, 0.0, 0.0, 0.0],
        ];
        assert_transitions(&walk, &matrix);
        let pi1 = 1.0 / (1.0 + p14 + p13 / p31 * (1.0 + p32_ / p23));
        let pi3 = pi1 * p13 / p31;
        let pi = [pi1, pi3 * p32_ / p23, pi3, pi1 * p14];
        let sd = sd(&matrix, &pi, &[0.0, 0.0, 1.0, 1.0], N);
        assert_within(count(&walk), N as f64 * (pi[2] + pi[3]), sd);
    }
}

/// The state that a packet brings the chain to decides on it.
#[test]
fn a_packet_is_lost_exactly_when_the_chain_comes_to_state_3_or_4() {
    let p = p32(0.3);
    let walk = walk(Loss::Markov(Markov { p13: p, p31: p, p32: p, p23: p, p14: p }));
    assert!(walk.windows(2).all(|w| w[0].1 == (w[1].0 >= 2)));
}

#[test]
fn lone_losses_stay_alone() {
    let model = Markov { p13: 0, p31: 0, p32: 0, p23: 0, p14: p32(0.5) };
    let losses = Line::new([loss(Loss::Markov(model))]).losses(10_000);
    assert!(losses.windows(2).all(|w| !(w[0] && w[1])));
    // Cycles of one loss after a geometric number of received: a share 0.5 / 1.5.
    assert!(losses.iter().filter(|lost| **lost).count() > 3000);
}
