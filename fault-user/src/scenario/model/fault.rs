//! What is done to packets and connections, in the user's units.
//!
//! Probabilities are above 0.0 and at most 1.0 unless it says otherwise.

use std::time::Duration;

use fault_common::fate::Sample;
pub use fault_common::fate::{Segment, Then, When};

/// What one entry of `faults` does.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    Drop(Loss),
    Delay(Delay),
    Rate(Rate),
    Trace(Trace),
    Corrupt(Corrupt),
    Duplicate(Duplicate),
    Reorder(Reorder),
    /// RST to that side.
    Reset(Side),
    /// The local stack destroys the socket.
    Abort,
    Reject(Reject),
    /// Zero receive window.
    Stall,
    Limit(Limit),
    /// Probability of an ECN congestion mark.
    MarkCe(f64),
}

/// Which packets are lost.
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Each with this probability.
    Random(f64),
    /// Every Nth packet (the Nth, the 2Nth, ...), N >= 1.
    Every(u64),
    /// These packets, counted from 1 from the moment of arming; sorted, at most 32.
    Nth(Vec<u64>),
    /// The first N packets, N >= 1.
    First(u64),
    /// With probability `p` a packet starts a burst of `len` lost packets, `len` >= 2.
    Burst { p: f64, len: u32 },
    /// A good and a bad state; `p` good to bad (above 0), `r` bad to good (0 to 1), `good` and
    /// `bad` the loss in each (0 to 1, not both 0).
    GilbertElliott { p: f64, r: f64, good: f64, bad: f64 },
    /// netem's `loss state`; each 0 to 1, `p13 + p14` above 0 and at most 1, `p31 + p32` at most 1.
    Markov { p13: f64, p31: f64, p32: f64, p23: f64, p14: f64 },
}

/// Held for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    /// At most 10 minutes.
    pub mean: Duration,
    /// How delays scatter; `None`: not at all.
    pub jitter: Option<Jitter>,
    /// No packet overtakes the one before it. Always so without jitter.
    pub keep_order: bool,
}

/// How delays scatter.
#[derive(Debug, Clone, PartialEq)]
pub struct Jitter {
    /// Half the width of `Uniform`, standard deviation of the others; above 0, at most 10 minutes.
    pub spread: Duration,
    pub shape: Shape,
    /// Share of the last draw in the next one, 0 to 1.
    pub correlation: f64,
}

/// The shape of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Uniform,
    Normal,
    Pareto,
    ParetoNormal,
    /// A table of quantiles, as iproute2's `.dist` files hold them.
    Table {
        /// The file, as the scenario names it.
        file: String,
        values: Vec<i16>,
    },
}

/// A bottleneck link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second of IP packets.
    pub bits_per_s: u64,
    /// Bytes that may wait; at least 1500.
    pub queue: u64,
}

impl Rate {
    /// Queue of a link that names none: 64 KiB.
    pub const QUEUE: u64 = 64 << 10;
}

/// A recorded link.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// As the scenario names it.
    pub file: String,
    pub replay: Replay,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    /// mahimahi: when a packet of up to 1504 bytes may leave (ns from the start, ascending), and
    /// the bytes that may wait.
    Mahimahi { deliveries: Vec<u64>, queue: u64 },
    /// Delay and loss over time; begins again after `period` (zero: one sample, which holds for
    /// ever).
    Csv { samples: Vec<Sample>, period: Duration },
}

/// Bits are flipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corrupt {
    pub p: f64,
    /// Different bits for each packet that is hit, at least 1.
    pub bits: u32,
    /// The checksum is mended, so that the application sees them.
    pub valid: bool,
    /// Bytes `[from, to)` that may be hit; `None`: all.
    pub offset: Option<(u32, u32)>,
    /// Offsets count from the IP header, and headers may be hit.
    pub headers: bool,
}

/// The packet comes more than once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duplicate {
    pub p: f64,
    /// Besides the packet itself, at least 1.
    pub copies: u32,
}

/// The packet is overtaken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reorder {
    pub p: f64,
    /// Later packets that pass first, at least 1.
    pub gap: u32,
    /// It waits no longer than this; above 0, at most 10 minutes.
    pub delay: Duration,
}

impl Reorder {
    /// `gap` by default.
    pub const GAP: u32 = 3;
    /// `delay` by default.
    pub const DELAY: Duration = Duration::from_millis(50);
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Local,
    Peer,
    Both,
}

/// How a firewall answers what it rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reject {
    /// RST.
    Reset = 0,
    /// ICMP and ICMPv6 unreachable: port.
    Port = 1,
    /// Host (ICMPv6: address).
    Host = 2,
    /// Network (ICMPv6: no route).
    Net = 3,
    /// Administratively prohibited.
    Admin = 4,
}

impl Reject {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Reset, Self::Port, Self::Host, Self::Net, Self::Admin];

    /// The number that stands for it in a plan.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What a number of a plan stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Fine up to a byte of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Payload bytes that pass in each direction of the fault, at least 1.
    pub bytes: u64,
    pub then: Then,
}

/// On for a time, off for a time, from the moment of arming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Above 0.
    pub on: Duration,
    /// Above 0.
    pub off: Duration,
}
