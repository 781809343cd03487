//! Randomness by position: a keyed hash, never a stateful generator.
//!
//! The fate of a packet follows from (seed, rule, flow, stream position, attempt) alone, so two
//! runs with the same seed fault the same bytes whatever the timing and the number of CPUs.

/// One step of SplitMix64 (Steele, Lea, Flood 2014): an increment, then Stafford's mix 13.
#[inline(always)]
pub const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The key of one rule on one socket; hashed once per packet, not once per segment.
#[inline(always)]
pub const fn key(seed: u64, rule: u32, flow: u32, nth: u32) -> u64 {
    mix(mix(seed ^ ((rule as u64) << 32)) ^ ((flow as u64) << 32 | nth as u64))
}

/// A key for another use of the same rule: draws under it are independent of those under `key`.
/// `purpose` tells the uses apart and is not 0.
#[inline(always)]
pub const fn sub(key: u64, purpose: u64) -> u64 {
    mix(key ^ purpose)
}

/// 32 random bits for a stream position and attempt under `key`.
///
/// The attempt is part of it: a bare position would lose every retransmission again.
#[inline(always)]
pub const fn draw(key: u64, pos: u64, attempt: u32) -> u32 {
    (draw64(key, pos, attempt) >> 32) as u32
}

/// 64 of them; the upper half is what [`draw`] gives.
#[inline(always)]
pub const fn draw64(key: u64, pos: u64, attempt: u32) -> u64 {
    // Rotated, not shifted: all datagrams of a flow stand at one position, and a count cut to
    // 16 bits would give them the same draws again after 65536.
    mix(key ^ pos ^ (attempt as u64).rotate_left(48))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published SplitMix64 with state 0 (its state advances by the
    /// golden ratio before mixing, which is what `mix` adds).
    #[test]
    fn mix_is_splitmix64() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn each_part_of_the_key_matters() {
        let base = draw(key(7, 1, 2, 3), 1000, 0);
        for other in [
            draw(key(8, 1, 2, 3), 1000, 0),
            draw(key(7, 2, 2, 3), 1000, 0),
            draw(key(7, 1, 3, 3), 1000, 0),
            draw(key(7, 1, 2, 4), 1000, 0),
            draw(key(7, 1, 2, 3), 1001, 0),
            draw(key(7, 1, 2, 3), 1000, 1),
            draw(key(7, 1, 2, 3), 1000, 1 << 16),
            draw(sub(key(7, 1, 2, 3), 1), 1000, 0),
            draw(sub(key(7, 1, 2, 3), 2), 1000, 0),
        ] {
            assert_ne!(base, other);
        }
    }
}
