//! One connection in one direction, as the line knows it: where its packets stand in the stream,
//! and what its faults remember.

use std::collections::HashMap;
use std::sync::Arc;

use fault_common::decide::UNPLACED;
use fault_common::event::{NO_FLOW, tcp};
use fault_common::fate::{Fate, Fault, Key, Model, Packet, State};
use fault_common::line::Handed;

use super::attempts::Attempts;
use super::frame::{Frame, Segment};
use super::judge::Run;
use super::overtaking::{Gaps, HeldBack};
use super::release::Farewell;

/// A connection in one direction.
#[derive(Debug)]
pub struct Conn {
    /// The faults of its last packet.
    pub stack: Arc<[Fault]>,
    /// What each of them remembers; parallel to `stack`.
    pub states: Vec<State>,
    /// Of rules that are not in `stack` (any more).
    set_aside: HashMap<u32, State>,
    /// Stream position after the last new byte.
    end: Option<u64>,
    /// Flow that it was last said to be.
    pub flow: u32,
    /// Sequence number of the first byte, as last told.
    base: u32,
    attempts: Attempts,
    /// Packets of the stack that came in.
    pub accepted: u64,
    /// Tag and time of the last one.
    last: Option<(u16, u64)>,
    /// What had been accepted and handed over when fewer came than were handed over.
    pub suspect: Option<(u64, u64)>,
    /// Parcels that have not gone on.
    pub outstanding: u64,
    /// No packet goes on before this: what it was under earlier rules must not be overtaken.
    pub floor: u64,
    /// When the last of its parcels goes on.
    pub last_due: u64,
    /// Number of the next of its parcels.
    pub next_order: u64,
    /// Waiting to be overtaken, in the order in which they came.
    pub held_back: Vec<HeldBack>,
    pub gaps: Gaps,
    /// Acknowledgement of the last told packet (ingress).
    pub last_ack: Option<u32>,
    /// When it was last seen.
    pub seen: u64,
    /// The limit was reached.
    pub reset: bool,
    /// The reset that follows from it, until it is asked for.
    pub farewell: Option<Farewell>,
}

impl Default for Conn {
    fn default() -> Self {
        Self {
            stack: Arc::new([]),
            states: Vec::new(),
            set_aside: HashMap::new(),
            end: None,
            flow: NO_FLOW,
            base: 0,
            attempts: Attempts::default(),
            accepted: 0,
            last: None,
            suspect: None,
            outstanding: 0,
            floor: 0,
            last_due: 0,
            next_order: 0,
            held_back: Vec::new(),
            gaps: Gaps::default(),
            last_ack: None,
            seen: 0,
            reset: false,
            farewell: None,
        }
    }
}

impl Conn {
    /// Puts these faults in the place of those before. A fault that stays keeps what it knows.
    pub fn adopt(&mut self, stack: &Arc<[Fault]>) {
        if Arc::ptr_eq(&self.stack, stack) {
            return;
        }
        for (fault, state) in self.stack.iter().zip(self.states.drain(..)) {
            self.set_aside.insert(fault.id, state);
        }
        self.states =
            stack.iter().map(|f| self.set_aside.remove(&f.id).unwrap_or_default()).collect();
        self.stack = Arc::clone(stack);
        self.floor = self.floor.max(self.last_due);
    }

    /// Takes note of a frame. Where the kernel has cut up a packet (UDP before Linux 6.2, BIG
    /// TCP), several frames have the tag and the time of one packet that was handed over.
    pub fn arrived(&mut self, handed: &Handed, frame: &Frame) {
        let this = Some((frame.tag(), handed.ts));
        if this != self.last {
            self.accepted += 1;
            self.last = this;
        }
        self.flow = handed.flow;
        self.seen = handed.ts;
        if self.base != handed.base {
            // The same socket has connected again.
            (self.base, self.end, self.last_ack, self.reset) = (handed.base, None, None, false);
            self.farewell = None;
        }
    }

    /// Sequence number after the last byte that the limit which ended a packet lets through.
    pub fn end_of_limit(&self, fate: &Fate) -> u32 {
        let limit = self.stack.get(fate.by as usize).map(|fault| fault.model);
        let bytes = if let Some(Model::Limit(limit)) = limit { limit.bytes } else { 0 };
        self.base.wrapping_add(bytes as u32)
    }

    /// A frame that no fault means goes on whole. Where the stream stands is remembered for
    /// faults to come.
    pub fn unjudged(&mut self, handed: &Handed, frame: &Frame) -> Run {
        let to = frame.segments();
        if let (Some(first), Some(last)) = (frame.segment(0), frame.segment(to - 1)) {
            let payload = first.payload.start..last.payload.end;
            self.packet(handed, &Segment { payload, ..first }, frame.tcp().is_some());
        }
        let fate = Fate::untouched(handed.ts.max(self.floor));
        self.last_due = self.last_due.max(fate.release);
        self.gaps.pass(to, fate.release);
        Run { from: 0, to, fate }
    }

    /// What a decision has to know of a wire packet. A frame that cannot be taken apart (a first
    /// fragment, an unknown offload) is one packet, and has no more than its size.
    pub fn wire_packet(&mut self, handed: &Handed, frame: &Frame, index: u32) -> Packet {
        match frame.segment(index) {
            Some(segment) => self.packet(handed, &segment, frame.tcp().is_some()),
            None => Packet {
                now: handed.ts,
                pos: UNPLACED,
                attempt: self.attempts.count((0, false)),
                wire: handed.wire_bytes,
                payload: handed.payload,
                flags: 0,
                tcp: false,
                retransmission: false,
            },
        }
    }

    fn packet(&mut self, handed: &Handed, segment: &Segment, is_tcp: bool) -> Packet {
        let syn = segment.flags & tcp::SYN != 0;
        let seq = segment.seq.wrapping_add(u32::from(syn));
        let payload = segment.payload.len() as u32;
        let placed = is_tcp && payload > 0;
        let pos = self.position(seq.wrapping_sub(handed.base), handed.above);
        let again = placed && self.end.is_some_and(|end| pos < end);
        let attempt = if again || !placed { self.attempt(seq, placed) } else { 0 };
        if placed {
            let end = pos + u64::from(payload);
            self.end = Some(self.end.map_or(end, |e| e.max(end)));
        }
        Packet {
            now: handed.ts,
            pos: if placed { pos } else { (pos & u64::from(u32::MAX)) | UNPLACED },
            attempt,
            wire: segment.ip_len,
            payload,
            flags: segment.flags,
            tcp: is_tcp,
            retransmission: again,
        }
    }

    /// The position in a stream of any length that these low 32 bits mean: the one next to the
    /// newest byte.
    fn position(&self, low: u32, above: u32) -> u64 {
        // Without a byte before it the programs have to say it, but not of one before the first of the stream (a negative
        // position).
        let above = if above <= u32::MAX / 2 { u64::from(above) << 32 } else { 0 };
        let Some(end) = self.end else { return above | u64::from(low) };
        let ahead = low.wrapping_sub(end as u32).cast_signed();
        end.checked_add_signed(i64::from(ahead)).unwrap_or_else(|| u64::from(low))
    }

    /// How often it came before. Bytes that come again came once without being counted.
    fn attempt(&mut self, seq: u32, placed: bool) -> u32 {
        self.attempts.count((seq, placed)).wrapping_add(u32::from(placed))
    }
}

/// What keys the draws of the connection.
pub fn key(seed: u64, handed: &Handed) -> Key {
    Key { seed, flow: handed.flow, nth: handed.nth }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, len: usize, flags: u8) -> Segment {
        Segment { payload: 0..len, seq, flags, ip_len: len as u32 + 40 }
    }

    fn handed() -> Handed {
        Handed { base: 1001, ..Handed::default() }
    }

    #[test]
    fn bytes_that_come_again_are_retransmissions_and_count() {
        let mut conn = Conn::default();
        let mut ask = |seq, len| {
            let p = conn.packet(&handed(), &segment(seq, len, tcp::ACK), true);
            (p.pos, p.attempt, p.retransmission)
        };
        assert_eq!(ask(1001, 100), (0, 0, false));
        assert_eq!(ask(1101, 100), (100, 0, false));
        assert_eq!(ask(1001, 100), (0, 1, true));
        assert_eq!(ask(1001, 100), (0, 2, true));
        assert_eq!(ask(1051, 200), (50, 1, true));
        assert_eq!(ask(1251, 50), (250, 0, false));
    }

    #[test]
    fn what_has_no_bytes_has_no_place_and_counts_apart() {
        let mut conn = Conn::default();
        let syn = conn.packet(&handed(), &segment(1000, 0, tcp::SYN), true);
        assert_eq!((syn.pos, syn.attempt, syn.retransmission), (UNPLACED, 0, false));
        let ack = |conn: &mut Conn| conn.packet(&handed(), &segment(1001, 0, tcp::ACK), true);
        assert_eq!(ack(&mut conn).attempt, 1);
        assert_eq!(ack(&mut conn).attempt, 2);
        let data = conn.packet(&handed(), &segment(1001, 10, tcp::ACK), true);
        assert_eq!((data.pos, data.attempt), (0, 0));
    }

    #[test]
    fn positions_go_on_beyond_four_gibibytes() {
        let mut conn = Conn::default();
        let mut pos = 0u64;
        let step = 1u32 << 30;
        for _ in 0..9 {
            let seq = 1001u32.wrapping_add(pos as u32);
            let p = conn.packet(&handed(), &segment(seq, step as usize, tcp::ACK), true);
            assert_eq!((p.pos, p.retransmission), (pos, false));
            pos += u64::from(step);
        }
        let again =
            conn.packet(&handed(), &segment(1001u32.wrapping_add((pos - 5) as u32), 5, 0), true);
        assert_eq!((again.pos, again.retransmission), (pos - 5, true));
    }

    #[test]
    fn a_fault_that_stays_keeps_what_it_knows() {
        use fault_common::fate::{Loss, Model, When};
        let fault = |id| Fault {
            id,
            when: When::default(),
            pulse: None,
            model: Model::Loss(Loss::First(1)),
        };
        let (a, b): (Arc<[Fault]>, Arc<[Fault]>) =
            (Arc::new([fault(1)]), Arc::new([fault(2), fault(1)]));
        let mut conn = Conn::default();
        conn.adopt(&a);
        conn.states[0].seen = 7;
        conn.last_due = 50;
        conn.adopt(&b);
        assert_eq!((conn.states[0].seen, conn.states[1].seen, conn.floor), (0, 7, 50));
    }
}
