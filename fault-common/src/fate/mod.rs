//! The fate of one wire packet under a stack of faults: the whole of `decide`.
//!
//! A stack is a pipeline: each fault sees what the one before it let through, at the time at
//! which it let it through. So a delay behind a rate is a bottleneck followed by a long wire,
//! and what an earlier fault has lost later ones never see (and do not count). What each model
//! does, and how they meet, stands in docs/models.md.
//!
//! Pure: nothing here asks a clock or keeps state of its own. Everything random is drawn from
//! (seed, rule, flow, connection, stream position, attempt), so two runs with one seed fault the
//! same bytes of the same streams.

mod corrupt;
mod decide;
mod delay;
mod draws;
mod limit;
mod loss;
mod model;
mod pulse;
mod rate;
mod replay;
#[cfg(test)]
mod tests;
mod when;

pub use corrupt::{Bits, bits};
pub use decide::{MAX_STACK, decide};

pub use model::{
    Burst, Corrupt, Delay, Distribution, Duplicate, GilbertElliott, Limit, Loss, Markov, Model,
    Pulse, Rate, Reorder, Replay, Then,
};
pub use when::{Segment, When};

/// What keys the draws of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Index of the flow in the plan.
    pub flow: u32,
    /// Which socket of the flow it is (nth of its selector).
    pub nth: u32,
}

/// One packet as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When it reached the fault: CLOCK_MONOTONIC, ns.
    pub now: u64,
    /// Stream position of its first payload byte; with [`crate::decide::UNPLACED`] if it has
    /// none (a pure acknowledgement, a datagram).
    pub pos: u64,
    /// How often a packet at this position has been judged before; of unplaced ones: how many.
    pub attempt: u32,
    /// IP bytes.
    pub wire: u32,
    /// Payload bytes of TCP or UDP.
    pub payload: u32,
    /// TCP flags byte, 0 for UDP.
    pub flags: u8,
    /// Whether it is TCP.
    pub tcp: bool,
    /// Whether bytes of it were seen before in this direction.
    pub retransmission: bool,
}

/// One fault, ready to be applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Index into the plan's list of rules.
    pub id: u32,
    /// Which packets it means; the others pass it by and are not counted.
    pub when: When,
    /// On and off times; `None`: always on.
    pub pulse: Option<Pulse>,
    /// What it does.
    pub model: Model,
}

/// Tables that models name by index.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables<'a> {
    /// Delay distributions: the quantiles (equally spaced, ascending) of a distribution with mean 0 and
    /// standard deviation 1, times [`Distribution::SCALE`].
    pub distributions: &'a [&'a [i16]],
    /// Delivery opportunities of a recorded link: ns from the start, ascending, one wire packet
    /// of [`Replay::MTU`] bytes each.
    pub deliveries: &'a [&'a [u64]],
    /// Recorded delay and loss.
    pub samples: &'a [&'a [Sample]],
}

/// One line of a delay and loss trace: holds from `at` to the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// ns from the start.
    pub at: u64,
    /// One-way delay, ns.
    pub delay: u64,
    /// Probability of loss, in units of 2^-32.
    pub loss: u64,
}

/// What a fault remembers of one connection and direction. Starts as `default()` when the fault is
/// armed. What the fields mean beyond `seen` is the model's own business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Packets that it has judged (those that [`When`] and [`Pulse`] let it see).
    pub seen: u64,
    /// State of a Markov chain, packets left of a burst, ...: as the model says.
    pub chain: u32,
    /// The last draw (correlation), or the latest arrival (queues; ns).
    pub last: u64,
    /// When the last packet left (keep_order; a link that is busy until then). ns.
    pub until: u64,
    /// Number of a delivery opportunity, a fraction of a ns, or payload bytes so far.
    pub cursor: u64,
    /// When this connection first met the fault; the start of traces. ns.
    pub since: u64,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Why it goes no further.
    pub end: Option<End>,
    /// Index (in the stack) of the fault that ended it; 0 without an `end`.
    pub by: u32,
    /// When it goes on: CLOCK_MONOTONIC, ns; never before it came.
    pub release: u64,
    /// Copies that follow it.
    pub copies: u32,
    /// Bits to flip.
    pub corrupt: Option<Corruption>,
    /// Held back so that later packets of the flow overtake it.
    pub hold: Option<Hold>,
    /// Mark it "congestion experienced".
    pub mark_ce: bool,
    /// Payload bytes that still pass, and no FIN (a limit lies within it); `None`: all. With
    /// [`Then::Reset`] the first packet that is wholly beyond is the one that resets.
    pub keep: Option<u32>,
    /// Bit i: fault i of the stack judged it.
    pub judged: u32,
    /// Bit i: fault i acted on it: it was not quite the same packet at the same time afterwards.
    pub acted: u32,
}

impl Fate {
    /// It goes on at once and as it is.
    pub const fn untouched(now: u64) -> Self {
        Self {
            end: None,
            by: 0,
            release: now,
            copies: 0,
            corrupt: None,
            hold: None,
            mark_ce: false,
            keep: None,
            judged: 0,
            acted: 0,
        }
    }
}

/// Why a packet goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Lost in the network.
    Lost,
    /// No room in the queue of a bottleneck.
    QueueFull,
    /// Refused with an answer; the number is the plan's kind of answer.
    Rejected(u8),
    /// Beyond the last byte of a limit that ends in silence.
    Cut,
    /// The limit is reached, and both ends are to be reset.
    Reset,
}

/// Bits of a packet to flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    /// How many different ones.
    pub bits: u32,
    /// Whether the checksum is mended, so that the application sees them.
    pub valid: bool,
    /// Bytes `[from, to)` among which they are chosen, never empty. Of the payload; with `headers`
    /// of the IP packet. See [`bits`].
    pub range: (u32, u32),
    /// Whether headers may be hit.
    pub headers: bool,
    /// Where the choice starts from.
    pub draw: u64,
}

/// A packet held back to be overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Later packets of the flow that pass first.
    pub gap: u32,
    /// When it goes on even so: CLOCK_MONOTONIC, ns. Counted from [`Fate::release`]; it is
    /// held from then on.
    pub until: u64,
}
