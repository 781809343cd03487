//! Which bits of a packet are flipped.

use super::draws::{Draws, Use};
use super::model::Corrupt;
use super::{Corruption, Packet};
use crate::rng::mix;

/// Bytes of `packet` that the fault may hit, `[from, to)`; `None`: there is none.
pub fn range(corrupt: &Corrupt, packet: &Packet) -> Option<(u32, u32)> {
    let len = if corrupt.headers { packet.wire } else { packet.payload };
    let (from, to) = (corrupt.offset.0, corrupt.offset.1.min(len));
    (from < to).then_some((from, to))
}

/// What to flip in a packet that is hit, within a range that is not empty.
pub fn corruption(corrupt: &Corrupt, range: (u32, u32), draws: &Draws) -> Corruption {
    let available = 8 * u64::from(range.1 - range.0);
    Corruption {
        bits: u64::from(corrupt.bits).min(available) as u32,
        valid: corrupt.valid,
        range,
        headers: corrupt.headers,
        draw: draws.wide(Use::Bits),
    }
}

/// The bits to flip: all different, all within the range, counted from the start of the payload
/// (with `headers`, of the IP packet). Bit n is in byte n / 8, mask `0x80 >> (n % 8)`.
///
/// A range of fewer bits than are asked for gives all of them.
pub fn bits(corruption: &Corruption) -> Bits {
    let (from, to) = corruption.range;
    let count = 8 * u64::from(to.saturating_sub(from));
    // Two halves of equal width that together number at least `count`.
    let width = 64 - count.saturating_sub(1).leading_zeros();
    Bits {
        base: 8 * u64::from(from),
        count,
        half: width.div_ceil(2).max(1),
        draw: corruption.draw,
        next: 0,
        left: u64::from(corruption.bits).min(count),
    }
}

/// See [`bits`]. A keyed permutation of the range, read from its beginning: different bits without
/// remembering those that were chosen.
#[derive(Debug, Clone)]
pub struct Bits {
    base: u64,
    count: u64,
    half: u32,
    draw: u64,
    next: u64,
    left: u64,
}

/// Four rounds are enough for large blocks (Luby and Rackoff 1988), but a range may have eight bits.
/// Measured over 4 million keys: with 4 rounds pairs of its bits are far from even, with 10 still
/// visibly so, with 12 nothing is left of it.
const ROUNDS: u64 = 12;

impl Bits {
    fn permuted(&self, n: u64) -> u64 {
        // Cycle walking (Black and Rogaway 2002): what falls outside is permuted again. The domain
        // is less than four times the range, so four steps are expected at most.
        let mut n = self.feistel(n);
        while n >= self.count {
            n = self.feistel(n);
        }
        n
    }

    fn feistel(&self, n: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (n >> self.half, n & mask);
        for round in 0..ROUNDS {
            // Halves are narrower than 32 bits, so the number of the round stands apart.
            let noise = mix(self.draw ^ (round << 32) ^ right);
            (left, right) = (right, left ^ (noise & mask));
        }
        left << self.half | right
    }
}

impl Iterator for Bits {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let n = self.next;
        self.next += 1;
        Some(self.base + self.permuted(n))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}
