//! What a capture at the receiver's interface says of a TCP stream.

use super::packet::Packet;

/// A stream as its receiver's interface saw it. Positions count from the first payload byte.
#[derive(Debug, Default)]
pub struct Stream {
    /// Payload bytes up to the highest one seen.
    pub length: u64,
    /// What was missing when later bytes came, in order.
    pub holes: Vec<(u64, u64)>,
    /// Bytes that filled holes, and that had come before.
    pub filled: u64,
    pub again: u64,
}

impl Stream {
    /// Reads the packets of one direction. `base`: the number of its first payload byte.
    pub fn of<'a>(packets: impl IntoIterator<Item = &'a Packet>, base: u32) -> Self {
        let (mut stream, mut missing) = (Self::default(), Missing::default());
        for packet in packets {
            // Streams here are shorter than 2 GiB.
            if packet.payload > 0 {
                let at = u64::from(packet.seq.wrapping_sub(base));
                stream.take(at, at + u64::from(packet.payload), &mut missing);
            }
        }
        stream
    }

    fn take(&mut self, from: u64, to: u64, missing: &mut Missing) {
        if from > self.length {
            self.holes.push((self.length, from));
            missing.add(self.length, from);
        }
        let new = to.saturating_sub(self.length.max(from));
        let filled = missing.fill(from, to);
        self.filled += filled;
        self.again += (to - from) - new - filled;
        self.length = self.length.max(to);
    }

    /// How many wire packets of `mss` bytes a hole is.
    pub fn packets_of(hole: (u64, u64), mss: u32) -> u64 {
        (hole.1 - hole.0).div_ceil(u64::from(mss))
    }
}

/// Wire packets that these are.
pub fn wire_packets(packets: &[&Packet]) -> u64 {
    packets.iter().map(|p| p.wire_packets()).sum()
}

/// Finds for each packet that came out the one that it was when it went in. Both are of one
/// connection and direction, and a packet may come out in pieces; but in its order, or it panics.
pub fn in_order<'a>(
    went_in: &[&'a Packet],
    came_out: &[&'a Packet],
) -> Vec<(&'a Packet, &'a Packet)> {
    // Place in `went_in`, and payload bytes of that one that have come out.
    let (mut at, mut done) = (0, 0u32);
    let pair = |out: &&'a Packet| loop {
        let inside: &&Packet =
            went_in.get(at).unwrap_or_else(|| panic!("out of order, or never sent: {out:?}"));
        let from = out.seq.wrapping_sub(inside.seq);
        let end = u64::from(from) + u64::from(out.payload);
        let alike = (inside.payload == 0) == (out.payload == 0);
        if alike && from >= done && end <= u64::from(inside.payload) {
            done = end as u32;
            if done == inside.payload {
                (at, done) = (at + 1, 0);
            }
            return (*inside, *out);
        }
        (at, done) = (at + 1, 0);
    };
    came_out.iter().map(pair).collect()
}

/// Ranges that have not come yet.
#[derive(Debug, Default)]
struct Missing(Vec<(u64, u64)>);

impl Missing {
    fn add(&mut self, from: u64, to: u64) {
        self.0.push((from, to));
    }

    /// Takes a range away; how many bytes of it were missing.
    fn fill(&mut self, from: u64, to: u64) -> u64 {
        let mut filled = 0;
        let mut left = Vec::with_capacity(self.0.len() + 1);
        for (a, b) in self.0.drain(..) {
            let (start, end) = (a.max(from), b.min(to));
            if start >= end {
                left.push((a, b));
                continue;
            }
            filled += end - start;
            left.extend([(a, start), (end, b)].into_iter().filter(|(a, b)| a < b));
        }
        self.0 = left;
        filled
    }
}
