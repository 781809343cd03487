//! What packet sockets at both ends of the cable see, and what follows from it.

use std::collections::BTreeMap;

use crate::support::Lab;
use crate::support::capture::Capture;
use crate::support::netns::CABLE;

const ETH_HEADER: usize = 14;
const RST: u8 = 1 << 2;
const SYN: u8 = 1 << 1;

/// A TCP packet over IPv4.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    at_ms: f64,
    source: u16,
    destination: u16,
    seq: u32,
    payload: u32,
    flags: u8,
}

/// Captures of what arrives at each end. A packet socket sees it before the programs at ingress do, and after those at
/// the other end's egress.
pub struct Wires {
    far: Capture<Packet>,
    near: Capture<Packet>,
}

/// All that arrived.
pub struct Seen {
    /// From the clients.
    pub out: Vec<Packet>,
    /// From the server.
    pub back: Vec<Packet>,
}

impl Wires {
    pub fn start(lab: &Lab) -> Self {
        let far = lab.far.as_ref().expect("a pair");
        Self { far: Capture::on(far, CABLE, packet), near: Capture::on(&lab.near, CABLE, packet) }
    }

    pub fn finish(self) -> Seen {
        Seen { out: self.far.finish(), back: self.near.finish() }
    }
}

impl Seen {
    fn of(packets: &[Packet], port: u16) -> Vec<Packet> {
        packets.iter().copied().filter(|p| [p.source, p.destination].contains(&port)).collect()
    }

    /// Each byte of this client's connection came once, in order and without a gap, in both directions, and there was
    /// no reset: as if nobody had been there.
    pub fn untouched(&self, port: u16) {
        let mut all = 0;
        for packets in [&self.out, &self.back] {
            let packets = Self::of(packets, port);
            assert!(packets.iter().all(|p| p.flags & RST == 0), "a reset of {port}: {packets:?}");
            let data: Vec<&Packet> = packets.iter().filter(|p| p.payload > 0).collect();
            all += data.len();
            for pair in data.windows(2) {
                let next = pair[0].seq.wrapping_add(pair[0].payload);
                assert_eq!(pair[1].seq, next, "of port {port}: {:?} then {:?}", pair[0], pair[1]);
            }
        }
        assert!(all > 4, "hardly anything of {port}: {:?}", self.out);
    }

    /// The longest time without a packet from this client, in ms.
    pub fn silence(&self, port: u16) -> f64 {
        longest(&Self::of(&self.out, port))
    }

    /// How many packets with payload came more than once, from the client and from the server.
    pub fn repeated(&self, port: u16) -> (usize, usize) {
        let repeated = |packets: &[Packet]| {
            let mut times = BTreeMap::<u32, usize>::new();
            let of_port = Self::of(packets, port);
            of_port
                .iter()
                .filter(|p| p.payload > 0)
                .for_each(|p| *times.entry(p.seq).or_default() += 1);
            times.values().filter(|n| **n > 1).count()
        };
        (repeated(&self.out), repeated(&self.back))
    }

    /// Whether a handshake of this client came through.
    pub fn opened(&self, port: u16) -> bool {
        Self::of(&self.out, port).iter().any(|p| p.flags & SYN != 0)
    }
}

fn longest(packets: &[Packet]) -> f64 {
    packets.windows(2).map(|w| w[1].at_ms - w[0].at_ms).fold(0.0, f64::max)
}

fn packet(frame: &[u8], at_ms: f64) -> Option<Packet> {
    let be16 = |b: &[u8], at: usize| Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?));
    let ip = frame.get(ETH_HEADER..)?;
    if be16(frame, 12)? != 0x0800 || *ip.get(9)? != 6 {
        return None;
    }
    let header = usize::from(ip[0] & 15) * 4;
    let tcp = ip.get(header..)?;
    let offset = usize::from(tcp.get(12)? >> 4) * 4;
    let payload = usize::from(be16(ip, 2)?).checked_sub(header + offset)?;
    Some(Packet {
        at_ms,
        source: be16(tcp, 0)?,
        destination: be16(tcp, 2)?,
        seq: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        payload: payload as u32,
        flags: *tcp.get(13)?,
    })
}

/// Nothing is sent again because a busy machine is late with an answer (a tail loss probe comes after some 10 ms), so
/// that what is sent again has been lost.
pub fn patient(lab: &Lab) {
    for namespace in [&lab.near].into_iter().chain(&lab.far) {
        let set = || std::fs::write("/proc/sys/net/ipv4/tcp_early_retrans", "0");
        namespace.within(set).expect("root may set it");
    }
}
