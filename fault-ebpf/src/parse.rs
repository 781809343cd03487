//! Bytes to facts. Whatever is not understood for certain is `None`, and passes.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use fault_common::event::tcp;
use fault_common::table::{Addr, Tuple, v4};

use crate::ctx::Skb;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
pub const IPPROTO_TCP: u8 = 6;
pub const IPPROTO_UDP: u8 = 17;
/// Protocol of sockets that send ready IP packets (raw(7)); also their "port" (inet_create).
pub const IPPROTO_RAW: u8 = 255;

/// IPv6 extension headers that are walked: as many as RFC 8200, 4.1 has before TCP, ESP aside.
const MAX_EXT: usize = 6;

/// What a packet says about itself. Lives in a per-CPU map: the stack has 512 bytes for the
/// whole call chain. TC programs run with softirqs off, so one packet a CPU has it at a time.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Facts {
    /// Source and destination as they stand in the packet.
    pub tuple: Tuple,
    /// Sequence number of the first payload byte (a SYN's own number skipped). UDP has none: 0,
    /// or what `datagram::place` gives a datagram on its way out.
    pub seq: u32,
    pub ack: u32,
    /// Where the transport header begins.
    pub l4: u32,
    /// Bytes of the transport header.
    pub header: u32,
    /// TCP receive window as it stands in the header, 0 for UDP.
    pub window: u16,
    /// TCP flags, 0 for UDP.
    pub flags: u8,
    /// Payload bytes, of all segments.
    pub payload: u32,
    /// IP bytes as on the wire: headers once per segment.
    pub wire_bytes: u64,
    pub segs: u32,
    /// For [`crate::judge`].
    pub scratch: u32,
    /// What its decision was made from, for the audit: see `fault_common::event::Event::ret`.
    pub judged: u32,
    /// Its position in the stream.
    pub pos: u32,
    /// The attempt, or the number of wire packets before it.
    pub draw: u32,
}

/// Ports of a packet, read the cheap way.
pub enum Ports {
    /// Source and destination, host order.
    Known(u32, u32),
    /// Neither TCP nor UDP.
    Other,
    /// Options, extension headers, VLAN, or not in the linear part: parse it properly.
    Unclear,
}

/// Direct packet access for the plain cases; no helper call.
#[inline(always)]
pub fn ports(skb: Skb, l2: u32) -> Ports {
    let l4 = match skb.protocol() {
        ETH_P_IP => {
            let Some(head) = skb.direct::<[u8; 10]>(l2) else { return Ports::Unclear };
            let fragment = (head[6] & 0x1f) | head[7];
            if head[0] != 0x45 || fragment != 0 {
                return Ports::Unclear;
            }
            if head[9] != IPPROTO_TCP && head[9] != IPPROTO_UDP {
                return Ports::Other;
            }
            l2 + 20
        }
        ETH_P_IPV6 => {
            let Some(next) = skb.direct::<u8>(l2 + 6) else { return Ports::Unclear };
            if next != IPPROTO_TCP && next != IPPROTO_UDP {
                return Ports::Unclear;
            }
            l2 + 40
        }
        ETH_P_8021Q | ETH_P_8021AD => return Ports::Unclear,
        _ => return Ports::Other,
    };
    match skb.direct::<[u8; 4]>(l4) {
        Some(p) => Ports::Known(
            u16::from_be_bytes([p[0], p[1]]) as u32,
            u16::from_be_bytes([p[2], p[3]]) as u32,
        ),
        None => Ports::Unclear,
    }
}

/// Whether a packet that begins with its IP header can be UDP; tells TCP for certain.
#[inline(always)]
pub fn may_be_udp(skb: Skb) -> bool {
    let at = match skb.protocol() {
        ETH_P_IP => 9,
        ETH_P_IPV6 => 6,
        _ => return false,
    };
    skb.direct::<u8>(at) != Some(IPPROTO_TCP)
}

/// Where the transport header is.
struct L3 {
    proto: u8,
    l4: u32,
    /// End of the datagram (link layer padding excluded).
    end: u32,
    start: u32,
}

#[map]
static FACTS: PerCpuArray<Facts> = PerCpuArray::with_max_entries(1, 0);

/// Parses a packet whose link layer header has `l2` bytes.
#[inline(always)]
pub fn parse(skb: Skb, l2: u32) -> Option<&'static mut Facts> {
    // SAFETY: this CPU's value, and this packet's alone (see `Facts`).
    let facts = unsafe { &mut *FACTS.get_ptr_mut(0)? };
    if parse_into(skb, l2, facts) == 0 { None } else { Some(facts) }
}

/// A function of its own for its stack frame and so that the verifier walks it apart.
/// Returns 1 if the packet was understood.
#[inline(never)]
pub fn parse_into(skb: Skb, l2: u32, facts: &mut Facts) -> u32 {
    match network(skb, l2, facts).and_then(|l3| transport(skb, &l3, facts)) {
        Some(()) => 1,
        None => 0,
    }
}

#[inline(always)]
fn network(skb: Skb, l2: u32, facts: &mut Facts) -> Option<L3> {
    let (ethertype, start) = ethertype(skb, l2)?;
    match ethertype {
        ETH_P_IP => ipv4(skb, start, facts),
        ETH_P_IPV6 => ipv6(skb, start, facts),
        _ => None,
    }
}

/// Skips up to two VLAN tags that stand in the packet itself.
#[inline(always)]
fn ethertype(skb: Skb, l2: u32) -> Option<(u16, u32)> {
    let mut proto = skb.protocol();
    let mut at = l2;
    for _ in 0..2 {
        if proto != ETH_P_8021Q && proto != ETH_P_8021AD {
            break;
        }
        let tag = skb.load::<4>(at)?;
        proto = u16::from_be_bytes([tag[2], tag[3]]);
        at += 4;
    }
    Some((proto, at))
}

#[inline(always)]
fn ipv4(skb: Skb, start: u32, facts: &mut Facts) -> Option<L3> {
    let h = skb.load::<20>(start)?;
    let ihl = (h[0] & 0x0f) as u32 * 4;
    let later_fragment = (h[6] & 0x1f) | h[7] != 0;
    if h[0] >> 4 != 4 || ihl < 20 || later_fragment {
        return None;
    }
    facts.tuple.saddr = v4(u32::from_ne_bytes([h[12], h[13], h[14], h[15]]));
    facts.tuple.daddr = v4(u32::from_ne_bytes([h[16], h[17], h[18], h[19]]));
    Some(L3 {
        proto: h[9],
        l4: start + ihl,
        end: end(skb, start, u16::from_be_bytes([h[2], h[3]]) as u32),
        start,
    })
}

/// End of the datagram. A length of 0 is BIG TCP; then, and for a length beyond the packet,
/// the packet's own length holds.
#[inline(always)]
fn end(skb: Skb, start: u32, total: u32) -> u32 {
    let len = skb.len();
    if total == 0 || start + total > len { len } else { start + total }
}

#[inline(always)]
fn ipv6(skb: Skb, start: u32, facts: &mut Facts) -> Option<L3> {
    let h = skb.load::<8>(start)?;
    if h[0] >> 4 != 6 {
        return None;
    }
    facts.tuple.saddr = addr6(skb, start + 8)?;
    facts.tuple.daddr = addr6(skb, start + 24)?;
    let payload = u16::from_be_bytes([h[4], h[5]]) as u32;
    let total = if payload == 0 { 0 } else { payload + 40 };
    let (proto, l4) = extensions(skb, h[6], start + 40)?;
    Some(L3 { proto, l4, end: end(skb, start, total), start })
}

#[inline(always)]
fn addr6(skb: Skb, at: u32) -> Option<Addr> {
    let b = skb.load::<16>(at)?;
    let word = |i: usize| u32::from_ne_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
    Some([word(0), word(4), word(8), word(12)])
}

/// Walks hop-by-hop (0), routing (43), destination (60), fragment (44) and AH (51) headers to
/// TCP or UDP.
#[inline(always)]
fn extensions(skb: Skb, mut next: u8, mut at: u32) -> Option<(u8, u32)> {
    // Once more than there may be headers: the last round finds what they lead to.
    for _ in 0..=MAX_EXT {
        let len = match next {
            IPPROTO_TCP | IPPROTO_UDP => return Some((next, at)),
            0 | 43 | 60 => {
                let h = skb.load::<2>(at)?;
                next = h[0];
                (h[1] as u32 + 1) * 8
            }
            44 => {
                let h = skb.load::<8>(at)?;
                if u16::from_be_bytes([h[2], h[3]]) & 0xfff8 != 0 {
                    return None; // a later fragment has no ports
                }
                next = h[0];
                8
            }
            51 => {
                let h = skb.load::<2>(at)?;
                next = h[0];
                (h[1] as u32 + 2) * 4
            }
            _ => return None,
        };
        at += len;
    }
    None
}

#[inline(always)]
fn transport(skb: Skb, l3: &L3, facts: &mut Facts) -> Option<()> {
    facts.tuple.proto = l3.proto as u32;
    facts.segs = skb.segs();
    let header = match l3.proto {
        IPPROTO_TCP => {
            let h = skb.load::<16>(l3.l4)?;
            facts.ports(&[h[0], h[1], h[2], h[3]]);
            facts.flags = h[13];
            facts.window = u16::from_be_bytes([h[14], h[15]]);
            facts.seq = u32::from_be_bytes([h[4], h[5], h[6], h[7]])
                .wrapping_add((h[13] & tcp::SYN != 0) as u32);
            facts.ack = u32::from_be_bytes([h[8], h[9], h[10], h[11]]);
            let words = (h[12] >> 4) as u32;
            if words < 5 {
                return None;
            }
            words * 4
        }
        IPPROTO_UDP => {
            let h = skb.load::<8>(l3.l4)?;
            facts.ports(&[h[0], h[1], h[2], h[3]]);
            (facts.flags, facts.seq, facts.ack, facts.window) = (0, 0, 0, 0);
            8
        }
        _ => return None,
    };
    let data = l3.l4 + header;
    // No stack takes a header that the datagram does not hold whole.
    if data > l3.end {
        return None;
    }
    (facts.l4, facts.header) = (l3.l4, header);
    let headers = data - l3.start;
    facts.payload = l3.end - data;
    facts.wire_bytes = (l3.end - l3.start) as u64 + (facts.segs - 1) as u64 * headers as u64;
    Some(())
}

impl Facts {
    /// To be filled in.
    pub const NONE: Self = Self {
        tuple: Tuple { saddr: [0; 4], daddr: [0; 4], sport: 0, dport: 0, proto: 0 },
        seq: 0,
        ack: 0,
        l4: 0,
        header: 0,
        window: 0,
        flags: 0,
        payload: 0,
        wire_bytes: 0,
        segs: 0,
        scratch: 0,
        judged: 0,
        pos: 0,
        draw: 0,
    };

    #[inline(always)]
    fn ports(&mut self, p: &[u8; 4]) {
        self.tuple.sport = u16::from_be_bytes([p[0], p[1]]);
        self.tuple.dport = u16::from_be_bytes([p[2], p[3]]);
    }

    /// A SYN that opens a connection (not a SYN-ACK).
    #[inline(always)]
    pub fn is_first_syn(&self) -> bool {
        self.is_tcp() && self.flags & (tcp::SYN | tcp::ACK) == tcp::SYN
    }

    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.tuple.proto == IPPROTO_TCP as u32
    }

    /// Whether it carries bytes of a stream, and so has a position of its own.
    #[inline(always)]
    pub fn has_place(&self) -> bool {
        self.is_tcp() && self.payload > 0
    }
}
