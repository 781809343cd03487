//! Exact counters. They are per CPU and never depend on the event stream.

/// Counters of one socket in one direction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCounters {
    /// Packets as on the wire (a super-packet of 45 segments counts 45).
    pub packets: u64,
    /// IP bytes as on the wire.
    pub bytes: u64,
    /// Of `packets`: lost by a rule.
    pub dropped: u64,
    /// Events about this socket that found the ring full.
    pub lost_events: u64,
    /// CLOCK_MONOTONIC ns of the first such event.
    pub lost_first: u64,
    /// And of the last.
    pub lost_last: u64,
    /// Of `packets`: held by a rule (fq).
    pub delayed: u64,
    /// Of `packets`: lost because the line had no room (fq).
    pub overflowed: u64,
}

impl SlotCounters {
    /// Adds the counters of another CPU.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.dropped += other.dropped;
        self.delayed += other.delayed;
        self.overflowed += other.overflowed;
        if other.lost_events > 0 {
            let none_yet = self.lost_events == 0;
            self.lost_first =
                if none_yet { other.lost_first } else { self.lost_first.min(other.lost_first) };
            self.lost_last = self.lost_last.max(other.lost_last);
            self.lost_events += other.lost_events;
        }
    }
}

/// Counters of one rule.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleCounters {
    /// Wire packets it judged.
    pub matched: u64,
    /// Of those: acted on.
    pub acted: u64,
    /// Super-packets that it judged as a whole although it means single packets.
    pub whole: u64,
}

/// Index of a global counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Global {
    /// Events handed to the ring buffer.
    EventsRecorded = 0,
    /// Events that found it full.
    EventsLost = 1,
    /// Packets of a selected flow that passed because the controller's lease had run out.
    LeaseExpired = 2,
    /// Sockets that found the table of sockets or counters full; they are not observed.
    SocketsFull = 3,
    /// Packets of a known socket that could not be parsed; they passed.
    Unparsed = 4,
    /// Packets of a known socket, in all (matched = acted + passed).
    Matched = 5,
    /// Packets on which a rule acted.
    Acted = 6,
    /// Packets (of the stack, not of the wire) handed to the delay line.
    Handed = 7,
    /// Packets that should have gone through the delay line and went past it, for it was gone.
    LineGone = 8,
    /// Packets whose window could not be rewritten, and passed as they were.
    Unstalled = 9,
    /// Faulted packets whose bytes found the ring of captures full.
    CaptureLost = 10,
    /// Faulted packets beyond those whose bytes are kept.
    CaptureBeyond = 11,
    /// Children of attached processes that found the table of processes full; they are not observed.
    ProcessesFull = 12,
}

/// Number of [`Global`] counters.
pub const GLOBALS: u32 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_cpus_keeps_the_first_and_the_last_loss() {
        let mut sum = SlotCounters { packets: 1, ..SlotCounters::default() };
        sum.add(&SlotCounters { lost_events: 2, lost_first: 50, lost_last: 90, ..sum });
        sum.add(&SlotCounters { lost_events: 1, lost_first: 40, lost_last: 60, ..sum });
        assert_eq!((sum.packets, sum.lost_events, sum.lost_first, sum.lost_last), (4, 3, 40, 90));
    }
}
