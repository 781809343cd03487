//! What need not be told packet by packet: of a socket on which no fault is armed, runs of new bytes and
//! acknowledgements that follow each other closely. Kept in the kernel until something is told of the socket anyway,
//! or until keeping more would cost precision. Everything here is arithmetic, so that it can be tested without a kernel.

/// What is kept together spans at most this, ns: how far a time of it may be off.
pub const SPAN: u64 = 500_000;
/// Wire packets of a run: they are counted in 16 bits.
const MOST_SEGS: u32 = u16::MAX as u32;
/// Numbers that are ahead by less are later ones. A quarter of the range, because LLVM makes wrong code of comparisons
/// that come down to the top bit.
const AHEAD: u32 = 1 << 30;

/// [`Quiet::flags`]: `end` is known.
const HAS_END: u32 = 1 << 0;
/// [`Quiet::flags`]: there is an acknowledgement that has not been told.
const HAS_ACK: u32 = 1 << 1;

/// What is to become of a packet that could be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Kept,
    /// What was kept before has to be told first; then [`Quiet::begin_run`] or [`Quiet::begin_ack`] keeps it.
    Full,
    /// It is told by itself.
    Told,
}

/// What has not been told of a socket. One per slot; all zeroes is none.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quiet {
    /// Not 0: a program is at work on it, and others tell of their packets as they are.
    pub busy: u64,
    /// Key of the socket.
    pub cookie: u64,
    /// When the first packet of the run left, CLOCK_MONOTONIC ns.
    pub sent_at: u64,
    /// When the newest acknowledgement came.
    pub acked_at: u64,
    /// When the oldest came that has not been told.
    pub acked_since: u64,
    /// When one that left nothing in flight was told by itself.
    pub told_at: u64,
    /// Sequence number of the run's first byte.
    pub seq: u32,
    /// Its bytes; 0: there is none.
    pub len: u32,
    /// Its wire packets.
    pub segs: u32,
    /// Sequence number after the highest byte that was sent.
    pub end: u32,
    /// The newest acknowledgement number.
    pub ack: u32,
    /// Bits of this file.
    pub flags: u32,
}

/// Whether `a` comes after `b`, or is it.
#[inline(always)]
const fn from(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < AHEAD
}

impl Quiet {
    /// A packet with `len` bytes at `seq` leaves, and no fault touches it.
    #[inline(always)]
    pub fn run(&mut self, now: u64, seq: u32, len: u32, segs: u32) -> Keep {
        // Bytes that were sent before are told by themselves: they are retransmissions.
        if self.flags & HAS_END != 0 && !from(seq, self.end) {
            return Keep::Told;
        }
        self.reach(seq, len);
        if self.len == 0 {
            self.begin_run(now, seq, len, segs);
            return Keep::Kept;
        }
        let follows = self.seq.wrapping_add(self.len) == seq;
        let fits = self.segs + segs <= MOST_SEGS && self.len < AHEAD;
        if follows && fits && now.wrapping_sub(self.sent_at) < SPAN {
            self.len += len;
            self.segs += segs;
            return Keep::Kept;
        }
        Keep::Full
    }

    /// Begins a run with this packet; the one before was told.
    #[inline(always)]
    pub fn begin_run(&mut self, now: u64, seq: u32, len: u32, segs: u32) {
        (self.sent_at, self.seq, self.len, self.segs) = (now, seq, len, segs);
    }

    /// A packet that is told by itself has these bytes.
    #[inline(always)]
    pub fn reach(&mut self, seq: u32, len: u32) {
        let end = seq.wrapping_add(len);
        if self.flags & HAS_END == 0 || from(end, self.end) {
            self.end = end;
            self.flags |= HAS_END;
        }
    }

    /// The connection begins: nothing was sent before `seq`.
    #[inline(always)]
    pub fn restart(&mut self, seq: u32) {
        self.end = seq;
        self.flags |= HAS_END;
    }

    /// An acknowledgement comes that differs from the one before, and no fault touches it.
    #[inline(always)]
    pub fn acknowledged(&mut self, now: u64, ack: u32) -> Keep {
        let waiting = self.has_ack();
        if waiting && !from(ack, self.ack) {
            return Keep::Told;
        }
        // With nothing in flight it may be the last for long. What comes after it so often that these are many is told
        // with the sends.
        let all = self.flags & HAS_END == 0 || from(ack, self.end);
        if all && now.wrapping_sub(self.told_at) >= SPAN {
            self.told_at = now;
            // It says what those before it say, unless they are too long ago.
            if waiting && now.wrapping_sub(self.acked_since) < SPAN {
                self.clear_ack();
            }
            return Keep::Told;
        }
        if waiting && now.wrapping_sub(self.acked_since) >= SPAN {
            return Keep::Full;
        }
        if !waiting {
            self.acked_since = now;
        }
        (self.acked_at, self.ack) = (now, ack);
        self.flags |= HAS_ACK;
        Keep::Kept
    }

    /// Keeps this acknowledgement; the one before was told.
    #[inline(always)]
    pub fn begin_ack(&mut self, now: u64, ack: u32) {
        (self.acked_since, self.acked_at, self.ack) = (now, now, ack);
        self.flags |= HAS_ACK;
    }

    /// Whether an acknowledgement has not been told.
    #[inline(always)]
    pub const fn has_ack(&self) -> bool {
        self.flags & HAS_ACK != 0
    }

    /// Whether a run has not been told.
    #[inline(always)]
    pub const fn has_run(&self) -> bool {
        self.len != 0
    }

    /// The run was told.
    #[inline(always)]
    pub fn clear_run(&mut self) {
        self.len = 0;
    }

    /// The acknowledgement was told.
    #[inline(always)]
    pub fn clear_ack(&mut self) {
        self.flags &= !HAS_ACK;
    }
}

#[cfg(test)]
#[path = "quiet_tests.rs"]
mod tests;
