//! Each model against its definition, its closed formulas and a second way to compute it.
//!
//! Statistical bounds are five standard deviations, computed from n and p: a right
//! implementation misses one once in 1.7 million. Seeds are fixed, so a test that passes always passes.

mod corrupt;
mod delay;
mod limit;
mod loss;
mod markov;
mod pipeline;
mod rate;
mod replay;
mod when;

use super::*;
use crate::event::tcp;
use crate::rule::P_ALWAYS;

pub const KEY: Key = Key { seed: 7, flow: 0, nth: 2 };
pub const MS: u64 = 1_000_000;
/// Payload of a full segment, and its IP bytes.
pub const MSS: u32 = 1448;
pub const FULL: u32 = 1500;

pub fn p32(p: f64) -> u64 {
    (p * P_ALWAYS as f64).round() as u64
}

pub fn fault(model: Model) -> Fault {
    Fault { id: 3, when: When::default(), pulse: None, model }
}

pub fn loss(loss: Loss) -> Fault {
    fault(Model::Loss(loss))
}

/// Full data segment number `n` of a stream, one a ms.
pub fn segment(n: u64) -> Packet {
    Packet {
        now: n * MS,
        pos: n * u64::from(MSS),
        attempt: 0,
        wire: FULL,
        payload: MSS,
        flags: tcp::ACK,
        tcp: true,
        retransmission: false,
    }
}

pub fn datagram(n: u64, payload: u32) -> Packet {
    Packet {
        pos: crate::decide::UNPLACED,
        attempt: n as u32,
        wire: payload + 28,
        payload,
        flags: 0,
        tcp: false,
        ..segment(n)
    }
}

/// A stack with its states.
pub struct Line<'a> {
    pub stack: Vec<Fault>,
    pub tables: Tables<'a>,
    pub key: Key,
    pub states: Vec<State>,
}

impl<'a> Line<'a> {
    pub fn new(stack: impl Into<Vec<Fault>>) -> Self {
        Self::with(stack, Tables::default())
    }

    pub fn with(stack: impl Into<Vec<Fault>>, tables: Tables<'a>) -> Self {
        let stack = stack.into();
        let states = vec![State::default(); stack.len()];
        Self { stack, tables, key: KEY, states }
    }

    pub fn judge(&mut self, packet: &Packet) -> Fate {
        decide(&self.stack, &self.tables, &self.key, packet, &mut self.states)
    }

    /// The fates of the first `n` segments of a stream.
    pub fn segments(&mut self, n: u64) -> Vec<Fate> {
        (0..n).map(|i| self.judge(&segment(i))).collect()
    }

    /// Which of them are lost.
    pub fn losses(&mut self, n: u64) -> Vec<bool> {
        self.segments(n).iter().map(|fate| fate.end.is_some()).collect()
    }
}

/// `hits` of `n` independent trials agree with `p`: sd = sqrt(n p (1 - p)).
#[track_caller]
pub fn assert_binomial(hits: usize, n: usize, p: f64) {
    let n = n as f64;
    assert_within(hits as f64, n * p, (n * p * (1.0 - p)).sqrt());
}

#[track_caller]
pub fn assert_within(found: f64, expected: f64, sd: f64) {
    assert!((found - expected).abs() <= 5.0 * sd, "{found}, expected {expected} +- 5 x {sd}");
}
