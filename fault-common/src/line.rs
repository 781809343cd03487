//! The delay line's border: what the packet programs say of a packet that they hand to the line,
//! and what the line says of one that it gives back. Both stand in memory that kernel and line
//! share; the packet itself carries only the index, as a VLAN tag.
//!
//! There are two lines. The TAP's other end is a thread that decides and sends on ([`Handed`],
//! [`Back`]). The other is a qdisc: the programs decide, and fq waits ([`Waiting`], [`wait`]).

use crate::event::Event;

/// Packets between the programs and the line that can be told apart: a VLAN tag has 16 bits.
/// The TAP's queue is far shorter, so an entry is read before it is written again; with fq a tag
/// is taken until its packet has come back.
pub const TAGS: u32 = 1 << 16;

/// A packet on its way into the line. 80 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handed {
    /// When it reached the hook: CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// Slot of the socket.
    pub slot: u32,
    /// Flow index.
    pub flow: u32,
    /// App index.
    pub app: u32,
    /// Which connection of its selector.
    pub nth: u32,
    /// Sequence number of the first payload byte of its direction. UDP: minus the datagram's place
    /// among the bytes of its flow, so that the place is number (0) minus base there, too.
    pub base: u32,
    /// Interface that it comes from and goes back to.
    pub ifindex: u32,
    /// skb->mark, which the way through the TAP would lose.
    pub mark: u32,
    /// skb->tc_index, likewise: in which directions it was judged.
    pub tc_index: u32,
    /// skb->priority, likewise.
    pub priority: u32,
    /// total_retrans of its socket.
    pub retrans: u32,
    /// [`crate::rule::Direction`] as a number.
    pub dir: u32,
    /// Which of the two banks of rules was live.
    pub bank: u32,
    /// Wire packets that it stands for.
    pub segs: u32,
    /// Its IP bytes as on the wire.
    pub wire_bytes: u32,
    /// Payload bytes.
    pub payload: u32,
    /// High half of the stream position of its first byte; the low one is its sequence number minus `base`.
    pub above: u32,
}

/// A packet on its way back. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Back {
    /// Interface that it goes to; 0: nowhere, the tag was never given out.
    pub ifindex: u32,
    /// [`crate::rule::Direction`] as a number: out of the interface, or up from it.
    pub dir: u32,
    /// skb->mark to restore.
    pub mark: u32,
    /// skb->tc_index to restore.
    pub tc_index: u32,
    /// skb->priority to restore.
    pub priority: u32,
    /// Padding, zero.
    pub _pad: u32,
}

/// A packet that waits in fq. 120 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When it goes on: CLOCK_MONOTONIC, ns; 0: nothing has this tag.
    pub due: u64,
    /// What is told of it, and whose it is.
    pub event: Event,
    /// 1: `event` is told when it goes on (ingress); 0: it has been told, or need not be.
    pub untold: u32,
    /// Its bytes, in the count of what is held.
    pub bytes: u32,
    /// Where it goes.
    pub back: Back,
}

/// How many packets of a connection and direction went into the line, and how many it is done
/// with. While they differ, packets that no fault holds go the same way, or they would overtake.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transit {
    /// Counted up by the packet programs.
    pub handed: u64,
    /// Set by the line (TAP) or counted up by the programs (fq): given back, lost, or lost on the
    /// way (the TAP's queue was full).
    pub done: u64,
    /// When the last of them is due (fq; 0 with the TAP). CLOCK_MONOTONIC, ns.
    pub last_due: u64,
    /// No packet goes on before this: what it was under earlier rules must not be overtaken (fq).
    pub floor: u64,
    /// Epoch of the rules that the last packet met (fq).
    pub epoch: u64,
    /// When the last of them came out (fq): on a busy machine long after it was due.
    pub last_out: u64,
}

impl Transit {
    /// A packet that is so long overdue does not come any more, ns.
    pub const OVERDUE: u64 = 10_000_000_000;
    /// So long after the last one was due and came out it may still be on its way to where it
    /// was bound for: in the backlog of a CPU (netif_rx), ns.
    const MARGIN: u64 = 1_000_000;

    /// Whether a packet that comes at `now` could overtake others that are in fq. `done` is read
    /// by the caller: others count it up.
    #[inline(always)]
    pub const fn is_taken(&self, done: u64, now: u64) -> bool {
        let margin = if self.handed == done { Self::MARGIN } else { Self::OVERDUE };
        let out = self.last_out > self.last_due;
        now < if out { self.last_out } else { self.last_due } + margin
    }

    /// When a packet goes on that meets the rules of `epoch` at `now`, and that they hold for
    /// `held` ns. Under the same rules the longer held is overtaken by the shorter.
    #[inline(always)]
    pub fn release(&mut self, epoch: u64, now: u64, held: u64) -> u64 {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.floor = self.last_due;
        }
        let due = now + held;
        let due = if due < self.floor { self.floor } else { due };
        if self.last_due < due {
            self.last_due = due;
        }
        due
    }
}

/// What fq's line counts, in one array of words.
pub mod wait {
    /// Bytes that wait now.
    pub const HELD: u32 = 0;
    /// Packets (of the stack) that wait now.
    pub const WAITING: u32 = 1;
    /// Most bytes that waited at a time.
    pub const MOST_HELD: u32 = 2;
    /// Packets that came back before they were due. Never, or fq is not what it was.
    pub const EARLY: u32 = 3;
    /// Packets that never came back.
    pub const LOST: u32 = 4;
    /// Most that one was late, ns.
    pub const LATEST: u32 = 5;
    /// The first bucket of how late they were.
    pub const BUCKETS: u32 = 8;
    /// Words in all.
    pub const WORDS: u32 = BUCKETS + 512;

    /// Bucket of a time: eight to a power of two, so that its width is an eighth of it at most.
    #[inline(always)]
    pub const fn bucket(ns: u64) -> u32 {
        if ns < 8 {
            return ns as u32;
        }
        let power = msb(ns);
        (power - 2) * 8 + ((ns >> (power - 3)) & 7) as u32
    }

    /// Number of the highest bit that is set; BPF has no instruction for it.
    #[inline(always)]
    const fn msb(ns: u64) -> u32 {
        let (mut v, mut power) = (ns, 0);
        let mut step = 32;
        while step > 0 {
            if v >> step != 0 {
                v >>= step;
                power += step;
            }
            step /= 2;
        }
        power
    }

    /// The longest time in a bucket.
    pub const fn longest(bucket: u32) -> u64 {
        if bucket < 8 {
            return bucket as u64;
        }
        let width = 1_u64 << (bucket / 8 - 1);
        (8 + (bucket % 8) as u64) * width + (width - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(ns: u64) {
        let bucket = wait::bucket(ns);
        assert!(wait::BUCKETS + bucket < wait::WORDS, "{ns}");
        assert!(ns <= wait::longest(bucket), "{ns}");
        assert!(bucket == 0 || ns > wait::longest(bucket - 1), "{ns}");
        assert!(wait::longest(bucket) - ns <= ns / 8, "{ns}");
    }

    proptest! {
        #[test]
        fn a_time_is_in_its_bucket_and_in_no_other(ns: u64, small in 0u64..1000) {
            fits(ns);
            fits(small);
        }
    }

    #[test]
    fn the_line_is_taken_until_the_last_one_is_out_of_it() {
        let mut transit = Transit { handed: 1, ..Transit::default() };
        transit.release(1, 5_000_000_000, 100_000_000);
        assert!(transit.is_taken(0, 5_100_000_000));
        assert!(transit.is_taken(0, 5_200_000_000));
        assert!(!transit.is_taken(0, 5_100_000_000 + Transit::OVERDUE));
        assert!(transit.is_taken(1, 5_100_900_000));
        assert!(!transit.is_taken(1, 5_101_000_000));
        transit.last_out = 5_130_000_000;
        assert!(transit.is_taken(1, 5_130_900_000), "it came out late");
        assert!(!transit.is_taken(1, 5_131_000_000));
        assert!(!Transit::default().is_taken(0, 5_000_000_000));
    }

    #[test]
    fn what_comes_under_new_rules_does_not_overtake() {
        let mut transit = Transit::default();
        assert_eq!(transit.release(1, 1000, 500), 1500);
        // Meant by no rule of the same stack: that it overtakes is what the scenario says.
        assert_eq!(transit.release(1, 1100, 0), 1100);
        assert_eq!(transit.release(2, 1200, 0), 1500);
        assert_eq!(transit.release(2, 1300, 100), 1500);
        assert_eq!(transit.release(2, 1600, 100), 1700);
        assert_eq!(transit.release(3, 1650, 20), 1700);
    }
}
