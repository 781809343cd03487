//! What the line has done, in numbers. Packets as on the wire.

use std::collections::BTreeMap;

use fault_common::rule::Direction;
use hdrhistogram::{CreationError, Histogram};

use crate::capture::Packet;

/// Of one socket in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketTally {
    /// Ended by a fault.
    pub dropped: u64,
    /// Held by a fault.
    pub delayed: u64,
    /// Bits of them flipped.
    pub corrupted: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Held back to be overtaken.
    pub reordered: u64,
    /// Marked "congestion experienced".
    pub marked: u64,
    /// Not marked, for they were not ECN capable.
    pub unmarkable: u64,
    /// Lost by the line itself: more was to be held than may be, or a frame was not taken back.
    pub overflowed: u64,
}

/// Of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleTally {
    /// Packets that it judged.
    pub matched: u64,
    /// Those that it acted on.
    pub acted: u64,
    /// Those that went no further for it.
    pub ended: u64,
}

/// What is counted of packets, at some moment.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By slot and direction.
    pub sockets: BTreeMap<(u32, Direction), SocketTally>,
    /// By rule id.
    pub rules: BTreeMap<u32, RuleTally>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Tally {
    /// By slot and direction.
    pub sockets: BTreeMap<(u32, Direction), SocketTally>,
    /// By rule id.
    pub rules: BTreeMap<u32, RuleTally>,
    /// How much later than planned delayed packets went on, ns.
    pub lateness: Histogram<u64>,
    /// Events told.
    pub events: u64,
    /// Packets of the stack that found the device's queue full, and were lost.
    pub missed: u64,
    /// Most bytes held at a time.
    pub most_held: u64,
    /// Packets of the stack that came out before their time.
    pub early: u64,
    /// Packets of the stack that were still held at the end, and lost with the line.
    pub left: u64,
    /// Packets that faults touched.
    pub captured: Vec<Packet>,
    /// How many more there were than are kept.
    pub captured_beyond: u64,
}

/// Three digits of a time in ns are more than the clock is worth.
const DIGITS: u8 = 3;
/// Whatever is later than a minute counts as a minute.
const LONGEST: u64 = 60_000_000_000;

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// The histogram does not like its bounds.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self {
            sockets: BTreeMap::new(),
            rules: BTreeMap::new(),
            lateness: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
            events: 0,
            missed: 0,
            most_held: 0,
            early: 0,
            left: 0,
            captured: Vec::new(),
            captured_beyond: 0,
        })
    }

    /// What there is of packets until now.
    pub fn counts(&self) -> Counts {
        Counts { sockets: self.sockets.clone(), rules: self.rules.clone() }
    }

    /// Notes how late a packet went on, ns.
    pub fn late(&mut self, by: u64) {
        self.lateness.saturating_record(by.max(1));
    }
}
