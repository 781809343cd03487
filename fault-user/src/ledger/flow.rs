//! One socket's whole story on the byte ranges of its send stream.
//!
//! Offset 0 is the first payload byte after the SYN; where nobody could tell it of a socket that was open already, the
//! first byte on record. All times are CLOCK_MONOTONIC nanoseconds.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use std::net::SocketAddr;
use std::ops::Range;

use super::stream::{RangeIndex, RangeSet, Unwrapper};

/// What is known of one socket. Built by [`super::build::build`].
#[derive(Debug, Clone)]
pub struct FlowRecord {
    pub cookie: u64,
    /// App index of the plan.
    pub app: u32,
    /// Flow index of the plan; `None`: a bystander of that app.
    pub flow: Option<u32>,
    /// Index of its counters.
    pub slot: u32,
    /// Which connection to its remote it is, from 1, if its opening was seen.
    pub nth: Option<u32>,
    /// Connection attempts of the socket, likewise.
    pub attempt: Option<u32>,
    /// 0 if no event carried it.
    pub pid: u32,
    /// IP protocol number.
    pub proto: u8,
    /// Came from accept.
    pub passive: bool,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// Sequence number of offset 0.
    pub seq_base: u32,
    /// Of a socket that was open before: where its stream stood.
    pub found: Option<Found>,
    /// The first event of any kind.
    pub first_seen: u64,
    pub opened: Option<u64>,
    pub bound: Option<u64>,
    pub established: Option<u64>,
    pub closed: Option<u64>,
    /// Send calls in order of their return.
    pub sends: Vec<SendCall>,
    /// Bytes of send calls that are not in `sends`: another app's, or judged and let go.
    pub(crate) elsewhere: RangeSet,
    /// Data packets, and any packet that was dropped, in order of time.
    pub tx: Vec<TxCopy>,
    /// Accepted cumulative acknowledgements; both fields rise strictly.
    pub acks: Vec<Ack>,
    /// Dropped packets that were bound for it, in order of time.
    pub lost_rx: Vec<LostRx>,
    /// total_retrans as TCP counts it.
    pub retransmits: u32,
    /// Smallest round trip of the handshake, or of bytes that were sent once, ns.
    pub min_rtt: Option<u64>,
    pub(super) tx_index: RangeIndex,
}

/// A socket that was open before the run, as it was when it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Whether the offsets are those of the connection.
    pub placed: bool,
    /// Bytes written until then: no send of the run has them.
    pub written: i64,
    /// Of those, sent.
    pub sent: i64,
    /// Of those, acknowledged.
    pub acked: i64,
}

/// A send call that returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendCall {
    /// When it returned.
    pub ts: u64,
    pub tid: u32,
    /// Where the bytes are that it put into the stream; empty at the stream's end if it failed.
    pub range: Range<i64>,
    /// How many bytes the app wrote: as long as the range, if that is exact.
    pub written: u64,
    /// Whether no other send's bytes are in the range.
    pub exact: bool,
    /// Whether the kernel did not tell where it begins: it may stand further back ([`super::interleaved`]).
    pub(crate) loose: bool,
    /// The app that called, if the socket is another's.
    pub sender: Option<u32>,
    /// errno of a call that failed.
    pub error: Option<i32>,
}

impl SendCall {
    /// Bytes written.
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether it wrote nothing.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }
}

/// One copy of some bytes on its way out (or a dropped packet without payload: empty range).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxCopy {
    pub ts: u64,
    pub range: Range<i64>,
    pub dropped: bool,
    /// Of a dropped one: by its receiver, for its checksum.
    pub discarded: bool,
    pub rule: Option<u32>,
    /// Packets on the wire.
    pub segs: u16,
}

impl TxCopy {
    /// How many of its wire packets carry a byte of `range`.
    pub fn segs_in(&self, range: &Range<i64>) -> u64 {
        let (from, to) = (self.range.start.max(range.start), self.range.end.min(range.end));
        if from >= to {
            return 0;
        }
        let segs = i64::from(self.segs.max(1));
        // All segments of a super-packet but the last are equally long.
        let size = ((self.range.end - self.range.start + segs - 1) / segs).max(1);
        let first = (from - self.range.start) / size;
        let last = (to - 1 - self.range.start) / size;
        (last - first + 1) as u64
    }
}

/// The peer's TCP has every byte before `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    pub ts: u64,
    pub upto: i64,
    /// The rule that touched the packet which brought it.
    pub rule: Option<u32>,
}

/// A packet for the socket that a fault lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRx {
    pub ts: u64,
    /// What it would have acknowledged.
    pub ack: Option<i64>,
    /// By this host's stack, for its checksum.
    pub discarded: bool,
    pub rule: Option<u32>,
    /// Packets on the wire.
    pub segs: u16,
}

impl FlowRecord {
    /// The copies that carry a byte of `range`, in order of time.
    pub fn copies_of(&self, range: &Range<i64>) -> impl Iterator<Item = &TxCopy> {
        self.tx_index.meeting(range).into_iter().map(|i| &self.tx[i])
    }

    /// When the byte before `end` (and with it all earlier ones) was first acknowledged.
    pub fn acked_at(&self, end: i64) -> Option<u64> {
        if end <= self.acked_before() {
            return Some(self.first_seen);
        }
        let at = self.acks.partition_point(|a| a.upto < end);
        self.acks.get(at).map(|a| a.ts)
    }

    /// The stream offset of a sequence number that a packet of that time names.
    pub fn offset_near(&self, seq: u32, ts: u64) -> i64 {
        let sent = self.tx.partition_point(|c| c.ts <= ts);
        let mut unwrapper = Unwrapper::new(self.seq_base);
        unwrapper.advance(self.una_at(ts));
        if let Some(copy) = sent.checked_sub(1).and_then(|i| self.tx.get(i)) {
            unwrapper.advance(copy.range.end);
        }
        unwrapper.offset(seq)
    }

    /// First byte that was not acknowledged at that time.
    pub fn una_at(&self, ts: u64) -> i64 {
        let n = self.acks.partition_point(|a| a.ts <= ts);
        if n == 0 { self.acked_before() } else { self.acks[n - 1].upto }
    }

    /// What was acknowledged before the first event.
    pub fn acked_before(&self) -> i64 {
        self.found.map_or(0, |found| found.acked)
    }

    /// First byte that was never acknowledged.
    pub fn una(&self) -> i64 {
        self.acks.last().map_or_else(|| self.acked_before(), |a| a.upto)
    }

    /// The bytes of `range` of which at least one copy was let through.
    pub fn passed(&self, range: &Range<i64>) -> RangeSet {
        let mut set = RangeSet::new();
        self.copies_of(range).filter(|c| !c.dropped).for_each(|c| set.insert(c.range.clone()));
        set
    }

    /// Dropped packets for the socket between two moments (inclusive).
    pub fn lost_rx_between(&self, from: u64, to: u64) -> &[LostRx] {
        let a = self.lost_rx.partition_point(|r| r.ts < from);
        let b = self.lost_rx.partition_point(|r| r.ts <= to);
        &self.lost_rx[a..b.max(a)]
    }
}
