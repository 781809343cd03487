//! What a guard has counted.

use fault_common::rule::Direction;

use crate::report::model::Counters;

/// Exact numbers of one guard, since it was armed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// What the stream sends.
    pub egress: Way,
    /// What it receives.
    pub ingress: Way,
}

/// One direction. Packets as on the wire: a super-packet of 45 segments counts 45.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Packets that this guard's faults judged. One that an earlier fault of the stream has lost does not come here.
    pub judged: u64,
    /// Packets that they acted on.
    pub hit: u64,
    /// The stream's packets and bytes, and what was done to them by this guard and others.
    pub stream: Counters,
}

impl Counts {
    /// Packets that this guard's faults acted on, both ways.
    pub fn hits(&self) -> u64 {
        self.egress.hit + self.ingress.hit
    }

    /// One direction.
    pub fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// What has come since `then`.
    pub(super) fn since(mut self, then: &Self) -> Self {
        for (now, then) in [(&mut self.egress, &then.egress), (&mut self.ingress, &then.ingress)] {
            now.judged -= then.judged;
            now.hit -= then.hit;
            let (stream, before) = (&mut now.stream, &then.stream);
            stream.packets -= before.packets;
            stream.bytes -= before.bytes;
            stream.dropped -= before.dropped;
            stream.delayed -= before.delayed;
            stream.corrupted -= before.corrupted;
            stream.duplicated -= before.duplicated;
            stream.reordered -= before.reordered;
            stream.reset -= before.reset;
        }
        self
    }
}
