//! The fate of a packet at the hook: one pure function, the same in the kernel, the oracle and
//! the audit. What needs more than a verdict is [`crate::fate`]'s, in the delay line.

use crate::event::tcp;
use crate::rng;
use crate::rule::{
    CHAIN_LEN, Chain, DELAY, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, NTH_LEN, P_ALWAYS,
    Rule, WHEN_ACK_ONLY, WHEN_ANY, WHEN_DATA, WHEN_RST, WHEN_SYN, WHEN_SYN_ACK,
};

/// What a decision may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
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
    /// What [`classes`] says of it.
    pub classes: u32,
}

/// Bit of [`classes`]: it is TCP. Not a condition that a rule can have. Not the top bit: without
/// 32-bit jumps LLVM (22, alu32) compares a zero-extended register with the sign-extended constant
/// `1 << 31`, which never is equal.
const IS_TCP: u32 = 30;

/// Which of the `WHEN_*` conditions a packet fulfils, one bit each. Asked once per packet: a
/// comparison per rule would multiply what the verifier has to walk.
#[inline(always)]
pub const fn classes(is_tcp: bool, flags: u8, has_data: bool) -> u32 {
    let (tcp, data) = (is_tcp as u32, has_data as u32);
    let syn = (flags & tcp::SYN != 0) as u32;
    let ack = (flags & tcp::ACK != 0) as u32;
    let rst = (flags & tcp::RST != 0) as u32;
    let control = (flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0) as u32;
    1 << WHEN_ANY
        | (tcp & syn) << WHEN_SYN
        | (tcp & syn & ack) << WHEN_SYN_ACK
        | (tcp & data) << WHEN_DATA
        | (tcp & ack & (data ^ 1) & (control ^ 1)) << WHEN_ACK_ONLY
        | (tcp & rst) << WHEN_RST
        | tcp << IS_TCP
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

/// Whether rules of that kind count packets, and so need [`decide_rule`]'s `seen`.
#[inline(always)]
pub const fn needs_ordinal(kind: u32) -> bool {
    matches!(kind, LOSS_EVERY | LOSS_FIRST | LOSS_NTH)
}

/// Whether `rule` is a game of chance, and so needs the attempt.
#[inline(always)]
pub const fn needs_attempt(rule: &Rule) -> bool {
    rule.kind == LOSS_RANDOM && rule.p32 < P_ALWAYS
}

/// 1 if `rule` means packets like this one, else 0: others pass it by, uncounted. A number, so
/// that no branch comes of it.
#[inline(always)]
pub const fn means(rule: &Rule, facts: &Facts) -> u32 {
    meant(rule, facts.classes)
}

/// The same for a packet of these [`classes`].
#[inline(always)]
pub const fn meant(rule: &Rule, classes: u32) -> u32 {
    classes >> (rule.when & 31) & 1
}

/// Whether a stall of the chain rewrites the packet's window. Not that of a SYN, which is not
/// scaled, and a zero there would hold the first data for ever; nor that of a reset, which has none.
#[inline(always)]
pub const fn stalls(chain: &Chain, facts: &Facts) -> bool {
    const SPARED: u32 = 1 << WHEN_SYN | 1 << WHEN_RST;
    chain.stall != 0 && facts.classes & (1 << IS_TCP | SPARED) == 1 << IS_TCP
}

/// Whether `rule` loses the packet. `seen` is the number of wire packets that the rule had
/// judged on this socket before; the packet then is number `seen + 1` to `seen + segs`.
#[inline(always)]
pub fn decide_rule(rule: &Rule, facts: &Facts, seen: u64) -> bool {
    decide_kind(rule.kind, rule, facts, seen)
}

/// The same for a rule of that `kind`, whatever it says itself; one that does not mean the packet has none.
#[inline(always)]
pub fn decide_kind(kind: u32, rule: &Rule, facts: &Facts, seen: u64) -> bool {
    let last = seen + facts.segs as u64;
    match kind {
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
pub fn decide(chain: &Chain, facts: &Facts, seen: impl FnMut(u32, &Rule) -> u64) -> Fate {
    decide_by(chain, facts, seen, decide_kind)
}

/// The same, with [`decide_kind`] called in some other way.
#[inline(always)]
pub fn decide_by(
    chain: &Chain,
    facts: &Facts,
    mut seen: impl FnMut(u32, &Rule) -> u64,
    acts: impl Fn(u32, &Rule, &Facts, u64) -> bool,
) -> Fate {
    let mut i = 0;
    while i < CHAIN_LEN {
        if i as u32 >= chain.len {
            break;
        }
        let rule = &chain.rules[i];
        let kind = rule.kind * means(rule, facts);
        let before = if needs_ordinal(kind) { seen(i as u32, rule) } else { 0 };
        if acts(kind, rule, facts, before) {
            return Fate::Drop(i as u32);
        }
        i += 1;
    }
    Fate::Pass
}

/// How long the chain's rule at `i` holds a packet of these [`classes`], ns; 0 for any other rule
/// than a [`DELAY`]. A packet is held for the sum.
#[inline(always)]
pub fn held(chain: &Chain, i: usize, classes: u32) -> u64 {
    let rule = &chain.rules[i & (CHAIN_LEN - 1)];
    let counts = (i as u32) < chain.len && rule.kind == DELAY;
    rule.arg * counts as u64 * meant(rule, classes) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(segs: u32) -> Facts {
        Facts {
            seed: 7,
            flow: 0,
            nth: 2,
            pos: 0,
            attempt: 0,
            segs,
            classes: classes(true, tcp::ACK, true),
        }
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

    #[test]
    fn a_rule_for_some_segments_does_not_count_the_others() {
        let kinds: [(u8, bool); 6] = [
            (tcp::SYN, false),
            (tcp::SYN | tcp::ACK, false),
            (tcp::ACK, true),
            (tcp::ACK, false),
            (tcp::ACK | tcp::FIN, false),
            (tcp::RST | tcp::ACK, false),
        ];
        let of = |is_tcp, flags, data| Facts { classes: classes(is_tcp, flags, data), ..facts(1) };
        let meant = |when| {
            let rule = Rule { when, ..rule(LOSS_FIRST, 1) };
            kinds.map(|(flags, data)| means(&rule, &of(true, flags, data)) == 1)
        };
        assert_eq!(meant(WHEN_ANY), [true; 6]);
        assert_eq!(meant(WHEN_SYN), [true, true, false, false, false, false]);
        assert_eq!(meant(WHEN_SYN_ACK), [false, true, false, false, false, false]);
        assert_eq!(meant(WHEN_DATA), [false, false, true, false, false, false]);
        assert_eq!(meant(WHEN_ACK_ONLY), [false, false, false, true, false, false]);
        assert_eq!(meant(WHEN_RST), [false, false, false, false, false, true]);
        assert_eq!(meant(WHEN_RST + 1), [false; 6]);
        let mut chain = Chain::EMPTY;
        (chain.len, chain.rules[0]) = (1, Rule { when: WHEN_RST, ..rule(LOSS_FIRST, 1) });
        let ask = |f: &Facts| decide(&chain, f, |_, _| 0);
        assert_eq!(ask(&facts(1)), Fate::Pass);
        assert_eq!(ask(&of(true, tcp::RST, false)), Fate::Drop(0));
        assert_eq!(ask(&of(false, tcp::RST, false)), Fate::Pass);
    }

    #[test]
    fn delays_add_up_for_those_that_they_mean() {
        let mut chain = Chain { len: 2, ..Chain::EMPTY };
        chain.rules[0] = rule(DELAY, 300);
        chain.rules[1] = Rule { when: WHEN_SYN, ..rule(DELAY, 40) };
        chain.rules[2] = rule(DELAY, 1);
        let sum = |f: &Facts| (0..CHAIN_LEN).map(|i| held(&chain, i, f.classes)).sum::<u64>();
        assert_eq!(sum(&facts(3)), 300);
        let syn = Facts { classes: classes(true, tcp::SYN, false), ..facts(1) };
        assert_eq!(sum(&syn), 340);
        assert_eq!(decide(&chain, &syn, |_, _| 0), Fate::Pass);
    }

    #[test]
    fn a_stall_spares_what_opens_and_what_ends_a_connection() {
        let mut chain = Chain::EMPTY;
        chain.stall = 7;
        assert!(stalls(&chain, &facts(1)));
        for flags in [tcp::SYN, tcp::SYN | tcp::ACK, tcp::RST] {
            let spared = Facts { classes: classes(true, flags, false), ..facts(1) };
            assert!(!stalls(&chain, &spared));
        }
        let datagram = Facts { classes: classes(false, 0, true), ..facts(1) };
        assert!(!stalls(&chain, &datagram));
        assert!(!stalls(&Chain::EMPTY, &facts(1)));
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
