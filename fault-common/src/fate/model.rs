//! What a fault does, as numbers: probabilities in units of 2^-32, times in ns.

use crate::rule::NTH_LEN;

/// A fault's model.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "no_std has no Box, and a stack is a few faults")]
pub enum Model {
    Loss(Loss),
    Delay(Delay),
    Rate(Rate),
    Replay(Replay),
    Corrupt(Corrupt),
    Duplicate(Duplicate),
    Reorder(Reorder),
    /// Probability of an ECN congestion mark.
    MarkCe(u64),
    /// Every packet is refused; the number is the plan's kind of answer.
    Reject(u8),
    Limit(Limit),
}

/// Which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "no_std has no Box, and a stack is a few faults")]
pub enum Loss {
    /// Each with this probability.
    Random(u64),
    /// The Nth, the 2Nth, ...
    Every(u64),
    /// The first N.
    First(u64),
    /// These, counted from 1, sorted; the number says how many entries are used.
    Nth([u64; NTH_LEN], u32),
    Burst(Burst),
    GilbertElliott(GilbertElliott),
    Markov(Markov),
}

/// With probability `p` a packet starts a burst: it and the packets after it, `len` in all, are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    pub p: u64,
    pub len: u32,
}

/// Gilbert 1960, Elliott 1963: a good and a bad state, each with a loss probability of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GilbertElliott {
    /// Good to bad, per packet.
    pub p: u64,
    /// Bad to good.
    pub r: u64,
    /// Loss in the good state.
    pub good: u64,
    /// Loss in the bad state.
    pub bad: u64,
}

/// The four states of netem's `loss state` (Salsano et al. 2012): 1 received, 2 received within
/// a burst, 3 lost within a burst, 4 lost alone within a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markov {
    pub p13: u64,
    pub p31: u64,
    pub p32: u64,
    pub p23: u64,
    pub p14: u64,
}

/// Held for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay {
    /// ns.
    pub mean: u64,
    /// Half the width of `Uniform`, standard deviation of a table. ns.
    pub jitter: u64,
    pub distribution: Distribution,
    /// Share of the last draw in the next one, in units of 2^-32.
    pub correlation: u64,
    /// Whether a packet waits for the one before it.
    pub keep_order: bool,
}

/// How delays scatter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Not at all.
    Constant,
    Uniform,
    /// Index into [`super::Tables::distributions`].
    Table(u32),
}

impl Distribution {
    /// Scale of the tables' values (that of iproute2's tables).
    pub const SCALE: i64 = 8192;
}

/// A bottleneck link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second of IP packets.
    pub bits_per_s: u64,
    /// Bytes that may wait for the link, with what is left of the packet under way; what finds
    /// less room than it needs is lost, unless the link is idle.
    pub queue: u64,
}

/// A recorded link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// mahimahi's delivery opportunities: index into [`super::Tables::deliveries`], bytes that
    /// may wait. Starts again when it is over.
    Deliveries { table: u32, queue: u64 },
    /// Delay and loss over time: index into [`super::Tables::samples`]. Starts again when it is over, after
    /// `period` ns; 0: never, the last line holds on.
    Samples { table: u32, period: u64 },
}

impl Replay {
    /// Bytes that one delivery opportunity carries (mahimahi's `PACKET_SIZE`).
    pub const MTU: u32 = 1504;
    /// Bytes that a packet has there besides its IP bytes: mahimahi counts the header of its
    /// TUN device (struct tun_pi), so one IP packet of 1500 bytes fills an opportunity.
    pub const OVERHEAD: u32 = 4;
}

/// Payload bits are flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt {
    pub p: u64,
    /// Different bits per packet hit, at least 1.
    pub bits: u32,
    /// The checksum is mended: the application sees it. Otherwise the receiver's stack discards it.
    pub valid: bool,
    /// Bytes `[from, to)` that may be hit; `to` = `u32::MAX`: to the end.
    pub offset: (u32, u32),
    /// Offsets count from the IP header, and headers may be hit.
    pub headers: bool,
}

/// The packet comes more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    pub p: u64,
    /// Copies besides the packet itself, at least 1.
    pub copies: u32,
}

/// The packet is overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reorder {
    pub p: u64,
    /// Later packets that pass first, at least 1.
    pub gap: u32,
    /// It waits no longer than this. ns.
    pub delay: u64,
}

/// Fine up to a byte of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Payload bytes that pass.
    pub bytes: u64,
    pub then: Then,
}

/// What a limit does when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The bytes beyond it are lost.
    Drop,
    /// Both ends are reset.
    Reset,
}

/// On for a time, off for a time, from the moment of arming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// ns, at least 1.
    pub on: u64,
    /// ns.
    pub off: u64,
    /// CLOCK_MONOTONIC ns of the arming.
    pub armed: u64,
}
