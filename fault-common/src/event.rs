//! Events that the programs put into the ring buffer.
//!
//! One ring for all kinds keeps one global order of submission; a record is an [`Event`], or a
//! [`SocketEvent`] for the kinds that say so. Kinds and verdicts cross the border as numbers and are turned
//! into enums by checked conversions only.

/// A socket was labelled in its connect (before the SYN). `aux` = attempt, `len` = nth of the
/// flow's selector, `seq` = conditions of selectors that the controller is to ask.
pub const KIND_OPENED: u8 = 1;
/// The local port is known, the SYN not yet sent (TCP_CONNECT_CB). Addresses as in `Opened`.
pub const KIND_BOUND: u8 = 2;
/// The handshake is complete. `flags` = 1 for an accepted socket.
pub const KIND_ESTABLISHED: u8 = 3;
/// The socket reached TCP_CLOSE. `retrans` = its total_retrans, `ack` = snd_una, `seq` = snd_nxt.
pub const KIND_CLOSED: u8 = 4;
/// A packet of a known socket at TC egress; of TCP also a run of packets that no fault touched
/// ([`crate::quiet`]): `ts` is then the first one's.
pub const KIND_TX: u8 = 5;
/// A packet for a known socket at TC ingress, or the last of several that only acknowledged.
pub const KIND_RX: u8 = 6;
/// A send call returned: `ret` bytes or -errno; `seq` = write_seq afterwards (end of its bytes), with the flag
/// [`SEND_PLACED`] the end of its own. `verdict` = 1 + the app that called, if it is not the socket's own. The other
/// [`Event::flags`] say what else it tells of the socket: [`WITH_RUN`], [`WITH_ACK`].
pub const KIND_SEND: u8 = 7;
/// [`Event::flags`] of a send: a run of packets had left `aux` ns before: `len` bytes at `ifindex` (a sequence number),
/// `segs` wire packets.
pub const WITH_RUN: u8 = 1 << 0;
/// [`Event::flags`] of a send: the acknowledgement `ack` had come `retrans` ns before.
pub const WITH_ACK: u8 = 1 << 1;
/// An `opened_after` text was seen inside the app's write; `aux` = selector.
pub const KIND_MARKER: u8 = 8;
/// More sockets match a flow than its `max_flows`; nothing was labelled. `aux` = selector.
pub const KIND_OVERFLOW: u8 = 9;
/// A socket that was open before the run was taken in. Addresses as in `Bound`, `flags` as in `Established`.
/// With `verdict` = 1 it is known where its stream stood: `seq` = sequence number of the first payload byte of the
/// connection, `len` and `ret` = low and high half of the bytes written, `ack` = unacknowledged, `aux` = unsent ones.
pub const KIND_FOUND: u8 = 10;
/// What a socket said first has given it its flow. `len` = nth of the flow's selector.
pub const KIND_NAMED: u8 = 11;
/// An app sent over an MPTCP socket (`lport`) that has a known socket below it. Of no socket: `cookie` is 0.
pub const KIND_MULTIPATH: u8 = 12;

/// TCP told under its lock where the call's bytes stand.
pub const SEND_PLACED: u8 = 1 << 2;
/// Something between the app and TCP changes what is sent, as kTLS does (an upper layer protocol).
pub const SEND_LAYERED: u8 = 1 << 3;

/// The packet went on untouched.
pub const VERDICT_PASS: u8 = 0;
/// The packet was lost in the (pretended) network.
pub const VERDICT_DROP: u8 = 1;
/// The packet goes on, but its receiver's stack will discard it: its checksum is wrong.
pub const VERDICT_DISCARDED: u8 = 2;

/// `rule` of an event that no rule caused.
pub const NO_RULE: u32 = u32::MAX;
/// `flow` of a socket of a known app that no `[[flow]]` selects.
pub const NO_FLOW: u32 = u32::MAX;

/// Where the epoch stands in `ret`, and what has room there: 15 bits, for the top one is a sign.
pub const EPOCH_SHIFT: u32 = 16;
/// The highest epoch with room in `ret`.
pub const EPOCH_MAX: u32 = 0x7fff;
/// The highest nth with room in `ret`.
pub const NTH_MAX: u32 = 0xffff;

/// One event. 80 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// tgid << 32 | tid of the caller; 0 where the context is not the app's. Of a packet whose decision is
    /// on record (`ret`): its position in the stream << 32 | how often a packet there had been lost (chance),
    /// or how many wire packets the rule had judged before (`every`, `nth`, `first`).
    pub pid_tgid: u64,
    /// One of the `KIND_*` numbers.
    pub kind: u8,
    /// One of the `VERDICT_*` numbers (packets).
    pub verdict: u8,
    /// TCP flags byte (packets), or per kind.
    pub flags: u8,
    /// [`crate::rule::Direction`] as a number (packets).
    pub dir: u8,
    /// IP protocol number.
    pub proto: u8,
    /// Bit 0: the socket was opened by accept.
    pub passive: u8,
    /// GSO segments of the packet, at least 1: how many packets it is on the wire.
    pub segs: u16,
    /// Slot of the socket: index of its counters.
    pub slot: u32,
    /// Flow index of the plan, or [`NO_FLOW`].
    pub flow: u32,
    /// App index of the plan.
    pub app: u32,
    /// Rule id, or [`NO_RULE`]. With [`VERDICT_PASS`]: it did something else to the packet.
    pub rule: u32,
    /// TCP sequence number of the first payload byte (SYN and FIN excluded), or per kind. Of a UDP
    /// datagram on its way out: the payload bytes of its flow before it.
    pub seq: u32,
    /// Payload bytes (packets).
    pub len: u32,
    /// TCP acknowledgement number (packets with ACK), or per kind.
    pub ack: u32,
    /// Per kind: bytes or -errno of a send. Of a packet that rules at the hook have judged: their epoch <<
    /// [`EPOCH_SHIFT`] | which socket of its flow it is (nth); 0: none have, or it has no room here.
    pub ret: i32,
    /// total_retrans of the socket as TCP counts it (Tx, Closed).
    pub retrans: u32,
    /// Per kind; of a packet that was in the delay line for how long, in us.
    pub aux: u32,
    /// Local port, host order.
    pub lport: u16,
    /// Remote port, host order.
    pub rport: u16,
    /// Interface index (packets).
    pub ifindex: u32,
}

/// `Opened`, `Bound`, `Established` and `Found` carry addresses as well. 112 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketEvent {
    /// The common part.
    pub ev: Event,
    /// Local address, network order, IPv4 as ::ffff:a.b.c.d; zero in `Opened` if not bound.
    pub laddr: [u32; 4],
    /// Remote address likewise.
    pub raddr: [u32; 4],
}

/// What an event is about; the checked form of [`Event::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Opened,
    Bound,
    Established,
    Closed,
    Tx,
    Rx,
    Send,
    Marker,
    Overflow,
    Found,
    Named,
    Multipath,
}

impl Kind {
    /// The kind of that number, if there is one.
    pub const fn from_u8(v: u8) -> Option<Self> {
        Some(match v {
            KIND_OPENED => Self::Opened,
            KIND_BOUND => Self::Bound,
            KIND_ESTABLISHED => Self::Established,
            KIND_CLOSED => Self::Closed,
            KIND_TX => Self::Tx,
            KIND_RX => Self::Rx,
            KIND_SEND => Self::Send,
            KIND_MARKER => Self::Marker,
            KIND_OVERFLOW => Self::Overflow,
            KIND_FOUND => Self::Found,
            KIND_NAMED => Self::Named,
            KIND_MULTIPATH => Self::Multipath,
            _ => return None,
        })
    }
}

/// TCP flag bits as they stand in byte 13 of the header.
pub mod tcp {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
}
