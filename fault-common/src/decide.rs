//! The fate of a packet: one pure function, the same in the kernel, the oracle and the audit.

use crate::rng;
use crate::rule::{
    CHAIN_LEN, Chain, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, NTH_LEN, P_ALWAYS, Rule,
};

/// What a decision may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Seed of the run.
    pub seed: u64,
    /// Index of the flow in the plan.
    pub flow: u32,
    /// Which socket of the flow it is (nth of its selector).
    pub nth: u32,
    /// Stream position of the packet's first byte; with [`UNPLACED`] if it has none.
    pub pos: u64,
    /// How often a packet at this position has been lost before. Of an unplaced one: how often
    /// one has been judged, for they all stand at the same position.
    pub attempt: u32,
    /// Wire packets that the packet stands for, at least 1.
    pub segs: u32,
}

/// Set in [`Facts::pos`] of a packet without a byte of a stream: a pure acknowledgement, a
/// datagram. Such packets repeat a position without being copies of each other, and must not
/// share the draws of the bytes that come to stand there.
pub const UNPLACED: u64 = 1 << 47;

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on; no rule acted.
    Pass,
    /// The network loses it; by the rule at this index of the chain.
    Drop(u32),
}

/// Whether `rule` counts packets, and so needs [`decide_rule`]'s `seen`.
#[inline(always)]
pub const fn needs_ordinal(rule: &Rule) -> bool {
    matches!(rule.kind, LOSS_EVERY | LOSS_FIRST | LOSS_NTH)
}

/// Whether `rule` is a game of chance, and so needs the attempt.
#[inline(always)]
pub const fn needs_attempt(rule: &Rule) -> bool {
    rule.kind == LOSS_RANDOM && rule.p32 < P_ALWAYS
}

/// Whether `rule` loses the packet. `seen` is the number of wire packets that the rule had
/// judged on this socket before; the packet then is number `seen + 1` to `seen + segs`.
#[inline(always)]
pub fn decide_rule(rule: &Rule, facts: &Facts, seen: u64) -> bool {
    let last = seen + facts.segs as u64;
    match rule.kind {
        LOSS_RANDOM if rule.p32 >= P_ALWAYS => true,
        LOSS_RANDOM => {
            let key = rng::key(facts.seed, rule.id, facts.flow, facts.nth);
            (rng::draw(key, facts.pos, facts.attempt) as u64) < rule.p32
        }
        // A multiple of N lies in (seen, last]. N = 0 is refused at check time.
        LOSS_EVERY => rule.arg != 0 && last / rule.arg != seen / rule.arg,
        LOSS_FIRST => seen < rule.arg,
        LOSS_NTH => listed(rule, seen, last),
        _ => false,
    }
}

/// Whether the (sorted) list of `rule` names a number in (seen, last]. Leaves the loop early:
/// evaluated branch-free and unrolled it would not fit the BPF stack.
#[inline(never)]
fn listed(rule: &Rule, seen: u64, last: u64) -> bool {
    let mut i = 0;
    while i < NTH_LEN {
        if i as u32 >= rule.nth_len || rule.nth[i] > last {
            return false;
        }
        if rule.nth[i] > seen {
            return true;
        }
        i += 1;
    }
    false
}

/// The fate of a packet under a chain; the first rule that acts wins. `seen` answers how many
/// wire packets the rule at an index has judged before (asked once, for each rule that counts
/// and that the packet reaches).
#[inline(always)]
pub fn decide(chain: &Chain, facts: &Facts, mut seen: impl FnMut(u32, &Rule) -> u64) -> Fate {
    let mut i = 0;
    while i < CHAIN_LEN {
        if i as u32 >= chain.len {
            break;
        }
        let rule = &chain.rules[i];
        let before = if needs_ordinal(rule) { seen(i as u32, rule) } else { 0 };
        if decide_rule(rule, facts, before) {
            return Fate::Drop(i as u32);
        }
        i += 1;
    }
    Fate::Pass
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(segs: u32) -> Facts {
        Facts { seed: 7, flow: 0, nth: 2, pos: 0, attempt: 0, segs }
    }

    fn rule(kind: u32, arg: u64) -> Rule {
        Rule { kind, arg, ..Rule::NONE }
    }

    /// Numbers of the packets that `rule` loses of the first `n`, one at a time.
    fn lost(rule: &Rule, n: u64) -> Vec<u64> {
        (0..n).filter(|seen| decide_rule(rule, &facts(1), *seen)).map(|seen| seen + 1).collect()
    }

    #[test]
    fn every_first_and_list_count_from_one() {
        assert_eq!(lost(&rule(LOSS_EVERY, 3), 10), [3, 6, 9]);
        assert_eq!(lost(&rule(LOSS_FIRST, 4), 10), [1, 2, 3, 4]);
        let mut nth = rule(LOSS_NTH, 0);
        (nth.nth[0], nth.nth[1], nth.nth_len) = (2, 7, 2);
        assert_eq!(lost(&nth, 10), [2, 7]);
    }

    #[test]
    fn a_list_ignores_entries_beyond_its_length() {
        let mut nth = rule(LOSS_NTH, 0);
        (nth.nth[0], nth.nth[1], nth.nth_len) = (2, 7, 1);
        assert_eq!(lost(&nth, 10), [2]);
    }

    #[test]
    fn unknown_kinds_and_empty_chains_pass() {
        assert!(!decide_rule(&rule(99, 1), &facts(1), 0));
        assert_eq!(decide(&Chain::EMPTY, &facts(1), |_, _| 0), Fate::Pass);
    }

    #[test]
    fn the_first_rule_that_acts_wins_and_later_ones_do_not_count() {
        let mut chain = Chain::EMPTY;
        chain.rules[0] = rule(LOSS_FIRST, 1);
        chain.rules[1] = rule(LOSS_EVERY, 1);
        chain.len = 2;
        let mut asked = Vec::new();
        assert_eq!(
            decide(&chain, &facts(1), |i, _| {
                asked.push(i);
                0
            }),
            Fate::Drop(0)
        );
        assert_eq!(asked, [0]);
        assert_eq!(decide(&chain, &facts(1), |_, _| 5), Fate::Drop(1));
    }

    /// p = 0.3 over n = 100 000 positions: the standard deviation is sqrt(n p (1-p)) = 145, so
    /// five of them (725) is a bound that a right implementation misses once in 1.7 million.
    #[test]
    fn random_loss_has_its_rate_and_retransmissions_draw_anew() {
        let p32 = (0.3 * P_ALWAYS as f64) as u64;
        let rule = Rule { kind: LOSS_RANDOM, p32, ..Rule::NONE };
        let at = |pos, attempt| decide_rule(&rule, &Facts { pos, attempt, ..facts(1) }, 0);
        let first: Vec<bool> = (0..100_000).map(|i| at(i * 1448, 0)).collect();
        let hits = first.iter().filter(|x| **x).count();
        assert!(hits.abs_diff(30_000) < 725, "{hits}");
        let both = (0..100_000).filter(|i| first[*i as usize] && at(i * 1448, 1)).count();
        assert!(both.abs_diff(9_000) < 453, "{both}: sd = sqrt(n 0.09 0.91) = 90.5");
    }

    proptest! {
        #[test]
        fn certainty_is_certain(pos: u64, attempt: u32, seed: u64) {
            let rule = Rule { kind: LOSS_RANDOM, p32: P_ALWAYS, ..Rule::NONE };
            let facts = Facts { seed, pos, attempt, ..facts(1) };
            prop_assert!(decide_rule(&rule, &facts, 0));
        }

        /// A super-packet of k segments is hit iff one of its segments would have been.
        #[test]
        fn segments_of_a_super_packet_count_each(
            kind in prop::sample::select(vec![LOSS_EVERY, LOSS_FIRST, LOSS_NTH]),
            arg in 1u64..50, seen in 0u64..200, segs in 1u32..64,
            list in prop::collection::btree_set(1u64..300, 0..NTH_LEN),
        ) {
            let mut r = rule(kind, arg);
            r.nth_len = list.len() as u32;
            for (slot, n) in r.nth.iter_mut().zip(list) { *slot = n; }
            let single = (seen..seen + segs as u64).any(|s| decide_rule(&r, &facts(1), s));
            prop_assert_eq!(decide_rule(&r, &facts(segs), seen), single);
        }
    }
}
