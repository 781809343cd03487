//! The random numbers of one rule for one packet: one stream of draws for each use.

use super::{Key, Packet};
use crate::rng;
use crate::rule::P_ALWAYS;

/// What a draw is for. Two uses of one rule must not share their draws: a chain that changed
/// state exactly when it loses would not be the model that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Whether this packet is hit. The key itself: [`crate::decide`] draws the same.
    Hit = 0,
    /// Whether a chain changes its state.
    Transition = 1,
    /// How long.
    Delay = 2,
    /// Which bits.
    Bits = 3,
}

/// The draws of one rule for one packet.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    key: u64,
    pos: u64,
    attempt: u32,
}

impl Draws {
    #[inline]
    pub fn new(key: &Key, rule: u32, packet: &Packet) -> Self {
        Self {
            key: rng::key(key.seed, rule, key.flow, key.nth),
            pos: packet.pos,
            attempt: packet.attempt,
        }
    }

    /// Whether an event of probability `p` / 2^32 happens.
    #[inline]
    pub fn chance(&self, purpose: Use, p: u64) -> bool {
        p >= P_ALWAYS || (p > 0 && u64::from(self.bits(purpose)) < p)
    }

    /// 32 random bits.
    #[inline]
    pub fn bits(&self, purpose: Use) -> u32 {
        rng::draw(self.key_of(purpose), self.pos, self.attempt)
    }

    /// 64 random bits.
    #[inline]
    pub fn wide(&self, purpose: Use) -> u64 {
        rng::draw64(self.key_of(purpose), self.pos, self.attempt)
    }

    #[inline]
    fn key_of(&self, purpose: Use) -> u64 {
        match purpose {
            Use::Hit => self.key,
            other => rng::sub(self.key, other as u64),
        }
    }
}
