//! A packet that a fault touched.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use fault_common::rule::Direction;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    Lost,
    /// It went on with its window closed.
    Stalled,
    /// It went on later.
    Held,
    /// It went on, and its receiver's stack throws it away for its checksum.
    Spoilt,
    /// It went on, later or changed or more than once.
    Changed,
}

impl Did {
    /// The word of the packet comment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stalled => "window closed",
            Self::Held => "held",
            Self::Spoilt => "spoilt",
            Self::Changed => "went on",
        }
    }
}

/// One packet of the stack, or some wire packets of a super-packet that met the same fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// Socket cookie.
    pub cookie: u64,
    pub ifindex: u32,
    pub direction: Direction,
    /// Ids of the rules that acted.
    pub rules: Vec<u32>,
    pub did: Did,
    /// Wire packets that it stands for.
    pub segs: u32,
    /// IP protocol number.
    pub proto: u8,
    /// Sequence number of the first payload byte; of a datagram its place among those of its flow.
    pub seq: u32,
    /// Payload bytes.
    pub payload: u32,
    /// Acknowledgement number, if it has one.
    pub ack: Option<u32>,
    /// Bytes that it had.
    pub len: u32,
    /// The bytes begin with the IP header, there is none of Ethernet.
    pub bare: bool,
    /// The first of its bytes.
    pub bytes: Vec<u8>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet.
    pub snaplen: u32,
    /// Packets that were lost, and again as many that were touched otherwise: a delay must not leave no
    /// room for losses.
    pub max: u32,
}

/// Packets, no more than the limits allow.
#[derive(Debug, Clone)]
pub struct Kept {
    limits: Limits,
    lost: u32,
    others: u32,
    pub packets: Vec<Packet>,
    /// How many more there were.
    pub beyond: u64,
}

impl Kept {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, lost: 0, others: 0, packets: Vec::new(), beyond: 0 }
    }

    /// Whether one more can be kept; counts it if not.
    pub fn has_room(&mut self, did: Did) -> bool {
        let room = *self.so_far(did) < self.limits.max;
        self.beyond += u64::from(!room);
        room
    }

    /// Keeps one, for which there has to be room; `packet` makes it, with so many bytes at most.
    pub fn keep(&mut self, did: Did, packet: impl FnOnce(usize) -> Packet) {
        *self.so_far(did) += 1;
        self.packets.push(packet(self.limits.snaplen as usize));
    }

    fn so_far(&mut self, did: Did) -> &mut u32 {
        if did == Did::Lost { &mut self.lost } else { &mut self.others }
    }

    /// Takes all in that others have kept, in order of time.
    pub fn gather(limits: Limits, parts: impl IntoIterator<Item = Packet>) -> Self {
        let mut packets: Vec<Packet> = parts.into_iter().collect();
        packets.sort_by_key(|p| p.ts);
        let mut all = Self::new(limits);
        for packet in packets {
            if all.has_room(packet.did) {
                all.keep(packet.did, |_| packet);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(ts: u64, did: Did) -> Packet {
        Packet {
            ts,
            cookie: 1,
            ifindex: 1,
            direction: Direction::Egress,
            rules: vec![0],
            did,
            segs: 1,
            proto: 6,
            seq: 0,
            payload: 0,
            ack: None,
            len: 0,
            bare: false,
            bytes: Vec::new(),
        }
    }

    #[test]
    fn the_first_of_each_kind_are_kept_and_the_others_counted() {
        let mixed =
            [(5, Did::Held), (1, Did::Lost), (3, Did::Lost), (2, Did::Lost), (4, Did::Held)];
        let all = mixed.map(|(ts, did)| packet(ts, did));
        let kept = Kept::gather(Limits { snaplen: 64, max: 2 }, all);
        let times: Vec<u64> = kept.packets.iter().map(|p| p.ts).collect();
        assert_eq!((times, kept.beyond), (vec![1, 2, 4, 5], 1));
    }
}
