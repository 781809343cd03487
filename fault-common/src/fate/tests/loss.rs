use proptest::prelude::*;

use super::*;
use crate::decide::{self as hook, Facts};
use crate::rule::{LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, NTH_LEN, Rule};

const N: usize = 100_000;

fn count(losses: &[bool]) -> usize {
    losses.iter().filter(|lost| **lost).count()
}

#[test]
fn random_loss_has_its_rate() {
    for p in [0.001, 0.3, 0.95] {
        let losses = Line::new([loss(Loss::Random(p32(p)))]).losses(N as u64);
        assert_binomial(count(&losses), N, p);
    }
}

/// Datagrams all stand at one position: the count alone tells them apart, also beyond 16 bits.
#[test]
fn datagrams_draw_anew_each_time() {
    let mut line = Line::new([loss(Loss::Random(p32(0.5)))]);
    let n = 1 << 17;
    let losses: Vec<bool> = (0..n).map(|i| line.judge(&datagram(i, 100)).end.is_some()).collect();
    assert_binomial(count(&losses), n as usize, 0.5);
    let (first, second) = losses.split_at(1 << 16);
    let same = first.iter().zip(second).filter(|(a, b)| a == b).count();
    assert_binomial(same, 1 << 16, 0.5);
}

#[test]
fn one_seed_one_result_and_another_seed_another() {
    let stack = [loss(Loss::Random(p32(0.5)))];
    let run = |key| Line { key, ..Line::new(stack) }.losses(64);
    assert_eq!(run(KEY), run(KEY));
    for other in [Key { seed: 8, ..KEY }, Key { flow: 1, ..KEY }, Key { nth: 3, ..KEY }] {
        assert_ne!(run(KEY), run(other));
    }
}

#[test]
fn two_random_rules_are_independent() {
    let second = Fault { id: 4, ..loss(Loss::Random(p32(0.3))) };
    let losses = Line::new([loss(Loss::Random(p32(0.3))), second]).losses(N as u64);
    assert_binomial(count(&losses), N, 1.0 - 0.7 * 0.7);
}

#[test]
fn bursts_have_their_length_and_their_rate() {
    let (p, len) = (0.01, 4);
    let losses = Line::new([loss(Loss::Burst(Burst { p: p32(p), len }))]).losses(N as u64);
    let runs: Vec<usize> =
        losses.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
    let (last, whole) = runs.split_last().unwrap();
    // Bursts may touch, so runs are multiples.
    assert!(whole.iter().all(|run| run % len as usize == 0), "{whole:?}");
    assert!(*last <= N);
    // Starts are Bernoulli trials, one for each packet that is not in a burst already.
    let bursts = whole.iter().sum::<usize>() / len as usize;
    let trials = N - bursts * (len as usize - 1);
    assert_binomial(bursts, trials, p);
}

#[test]
fn a_burst_of_one_is_random_loss_and_one_of_none_is_nothing() {
    let p = p32(0.2);
    let burst = |len| Line::new([loss(Loss::Burst(Burst { p, len }))]).losses(1000);
    assert_eq!(burst(1), Line::new([loss(Loss::Random(p))]).losses(1000));
    assert_eq!(count(&burst(0)), 0);
}

/// A rule as the kernel's chain has it, beside the same as a model.
fn both(kind: u32, arg: u64, list: &[u64]) -> (Rule, Loss) {
    let mut nth = [0; NTH_LEN];
    nth[..list.len()].copy_from_slice(list);
    let nth_len = list.len() as u32;
    let rule = Rule { kind, id: 3, p32: arg, arg, nth_len, nth, ..Rule::NONE };
    let model = match kind {
        LOSS_RANDOM => Loss::Random(arg),
        LOSS_EVERY => Loss::Every(arg),
        LOSS_FIRST => Loss::First(arg),
        LOSS_NTH => Loss::Nth(nth, nth_len),
        other => panic!("no model for kind {other}"),
    };
    (rule, model)
}

fn agree(rule: &Rule, model: Loss, key: Key, packets: &[Packet]) -> Result<(), TestCaseError> {
    let mut line = Line { key, ..Line::new([loss(model)]) };
    for (seen, packet) in (0..).zip(packets) {
        let facts = Facts {
            seed: key.seed,
            flow: key.flow,
            nth: key.nth,
            pos: packet.pos,
            attempt: packet.attempt,
            segs: 1,
            classes: hook::classes(packet.tcp, packet.flags, packet.payload > 0),
        };
        let lost = line.judge(packet).end == Some(End::Lost);
        prop_assert_eq!(lost, hook::decide_rule(rule, &facts, seen), "packet {}", seen);
    }
    Ok(())
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let one = (0..hook::UNPLACED, any::<bool>(), any::<u32>());
    let one = one.prop_map(|(pos, placed, attempt)| Packet {
        pos: if placed { pos } else { pos | hook::UNPLACED },
        attempt,
        ..segment(0)
    });
    prop::collection::vec(one, 1..100)
}

proptest! {
    /// Whether the kernel's hook or the line judges a packet must make no difference.
    #[test]
    fn the_hook_and_the_line_agree_on_counted_loss(
        kind in prop::sample::select(vec![LOSS_EVERY, LOSS_FIRST, LOSS_NTH]),
        arg in 0u64..50, packets in packets(),
        list in prop::collection::btree_set(1u64..100, 0..NTH_LEN),
    ) {
        let list: Vec<u64> = list.into_iter().collect();
        let (rule, model) = both(kind, arg, &list);
        agree(&rule, model, KEY, &packets)?;
    }

    #[test]
    fn the_hook_and_the_line_agree_on_random_loss(
        seed: u64, flow in 0u32..16, nth: u32, p in 0..=P_ALWAYS, packets in packets(),
    ) {
        let (rule, model) = both(LOSS_RANDOM, p, &[]);
        agree(&rule, model, Key { seed, flow, nth }, &packets)?;
    }

    /// Chance follows the stream, not the clock.
    #[test]
    fn random_loss_knows_no_time(times in prop::collection::vec(any::<u64>(), 50)) {
        let mut line = Line::new([loss(Loss::Random(p32(0.5)))]);
        let at: Vec<bool> = (0..).zip(&times)
            .map(|(i, now)| line.judge(&Packet { now: *now, ..segment(i) }).end.is_some())
            .collect();
        prop_assert_eq!(at, Line::new([loss(Loss::Random(p32(0.5)))]).losses(50));
    }
}
