//! Ring-buffer bytes, checked and typed.
//!
//! The kernel side writes plain numbers; a record is looked at field by field, so that a number
//! no enum knows becomes a [`DecodeError`] that names it and never an invalid value.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use std::net::{IpAddr, Ipv6Addr};

use fault_common::event::{self, Kind, tcp};
use fault_common::rule::Direction;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a plain event record.
pub const EVENT_LEN: usize = size_of::<event::Event>();
/// Bytes of a record that carries addresses.
pub const SOCKET_EVENT_LEN: usize = size_of::<event::SocketEvent>();

/// One event, as every later stage sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// Socket cookie; identifies the socket for the whole run.
    pub cookie: u64,
    /// Process of the caller; 0 where the context is not the app's.
    pub pid: u32,
    /// Thread of the caller; likewise.
    pub tid: u32,
    /// App index of the plan.
    pub app: u32,
    /// Flow index of the plan; `None`: no `[[flow]]` selects the socket.
    pub flow: Option<u32>,
    /// Index of the socket's counters.
    pub slot: u32,
    /// IP protocol number.
    pub proto: u8,
    /// Whether the socket came from accept.
    pub passive: bool,
    /// Local port.
    pub lport: u16,
    /// Remote port.
    pub rport: u16,
    /// total_retrans of the socket as TCP counts it (packets sent, closing).
    pub retrans: u32,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What an [`Entry`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Labelled in its connect, before the SYN. `later` are conditions of the selectors that the controller is
    /// to ask (`fault_common::condition`).
    Opened {
        nth: u32,
        attempt: u32,
        #[serde(default, skip_serializing_if = "is_zero")]
        later: u32,
        local: IpAddr,
        remote: IpAddr,
    },
    /// The local port is known, the SYN not yet sent.
    Bound { local: IpAddr, remote: IpAddr },
    /// The handshake is complete.
    Established { accepted: bool, local: IpAddr, remote: IpAddr },
    /// It was open before the run, and is watched from now on.
    Found {
        accepted: bool,
        local: IpAddr,
        remote: IpAddr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<Standing>,
    },
    /// What it said first has given it its flow.
    Named { nth: u32 },
    /// Reached TCP_CLOSE.
    Closed { snd_una: u32, snd_nxt: u32 },
    /// A packet left the socket.
    Tx(Packet),
    /// A packet came for the socket.
    Rx(Packet),
    /// A send call returned `ret` (bytes or -errno); its last byte ends at `end_seq`, or before it without
    /// `start_seq`, which is where TCP put its first. With it is told what had happened to the socket before.
    Send {
        ret: i32,
        end_seq: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_seq: Option<u32>,
        /// kTLS or the like: the stream has other bytes than the call.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        layered: bool,
        /// The app that called, if it is not the one whose socket it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<Sent>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acked: Option<Acked>,
    },
    /// A text that a selector waits for was written.
    Marker { selector: u32 },
    /// More sockets matched a selector than it allows.
    Overflow { selector: u32 },
    /// An app sent over an MPTCP socket, of which nothing else is on record.
    Multipath,
}

/// Where the stream of a socket stood when it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Sequence number of the first payload byte of the connection.
    pub first: u32,
    /// Bytes that the app had written since.
    pub written: u64,
    /// How many of them the peer had not acknowledged.
    pub unacked: u32,
    /// How many of those had never been sent.
    pub unsent: u32,
}

/// Packets with new bytes, one behind the other, that no fault touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// How long before `ts` the first left, ns.
    pub before_ns: u32,
    /// Sequence number of the first byte.
    pub seq: u32,
    /// Payload bytes.
    pub len: u32,
    /// Packets on the wire, at least 1.
    pub segs: u16,
}

/// An acknowledgement that no fault touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// How long before `ts` it came, ns.
    pub before_ns: u32,
    /// Its number.
    pub ack: u32,
}

/// A packet as the TC program judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Whether a fault lost it, on its way or at its receiver.
    pub dropped: bool,
    /// It reached the receiver, whose stack discards it for its checksum; `dropped` is set, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discarded: bool,
    /// The rule that did, or (if it was not lost) that did something else to it.
    pub rule: Option<u32>,
    /// How long it was in the delay line, us.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held_us: u32,
    /// What the rules at the hook decided from, if they judged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// TCP flags byte.
    pub flags: u8,
    /// Packets on the wire that it stands for, at least 1.
    pub segs: u16,
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// Payload bytes.
    pub len: u32,
    /// Acknowledgement number, if the ACK flag is set.
    pub ack: u32,
    /// Interface index.
    pub ifindex: u32,
}

/// What a decision was made from, besides the packet itself and the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Which rules were armed; see [`super::store::Armed`].
    pub epoch: u32,
    /// Which socket of its flow it is.
    pub nth: u32,
    /// Position in the stream of its first byte.
    pub pos: u32,
    /// How often a packet at this position had been lost before; of rules that count, how many wire
    /// packets they had judged before.
    pub draw: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Packet {
    /// One without anything.
    const UNTOUCHED: Self = Self {
        dropped: false,
        discarded: false,
        rule: None,
        held_us: 0,
        judged: None,
        flags: 0,
        segs: 1,
        seq: 0,
        len: 0,
        ack: 0,
        ifindex: 0,
    };

    /// Whether all of these TCP flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// Why a record cannot be an event. All of these mean that the eBPF object and this program do not
/// belong to the same build.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter or longer than records of its kind are.
    #[error(
        "event record of {got} bytes where {want} are due: rebuild, the eBPF object is of another version"
    )]
    Size { got: usize, want: usize },
    /// No such kind.
    #[error("event of unknown kind {0}: rebuild, the eBPF object is of another version")]
    Kind(u8),
    /// No such verdict.
    #[error(
        "packet event with unknown verdict {0}: rebuild, the eBPF object is of another version"
    )]
    Verdict(u8),
    /// No such direction, or not the one that its kind stands for.
    #[error(
        "packet event with impossible direction {0}: rebuild, the eBPF object is of another version"
    )]
    Direction(u8),
    /// A packet is at least one packet on the wire.
    #[error("packet event with {0} segments: rebuild, the eBPF object is of another version")]
    Segments(u16),
}

impl Entry {
    /// Decodes one ring-buffer record.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the number which cannot be.
    pub fn decode(raw: &[u8]) -> Result<Self, DecodeError> {
        if raw.len() < EVENT_LEN {
            return Err(DecodeError::Size { got: raw.len(), want: EVENT_LEN });
        }
        let r = Record(raw);
        let kind_no = r.u8(24);
        let kind = Kind::from_u8(kind_no).ok_or(DecodeError::Kind(kind_no))?;
        let want = match kind {
            Kind::Opened | Kind::Bound | Kind::Established | Kind::Found => SOCKET_EVENT_LEN,
            _ => EVENT_LEN,
        };
        if raw.len() != want {
            return Err(DecodeError::Size { got: raw.len(), want });
        }
        // Of a packet something else stands there.
        let packet = matches!(kind, Kind::Tx | Kind::Rx);
        let pid_tgid = if packet { 0 } else { r.u64(16) };
        Ok(Self {
            ts: r.u64(0),
            cookie: r.u64(8),
            pid: (pid_tgid >> 32) as u32,
            tid: pid_tgid as u32,
            app: r.u32(40),
            flow: index(r.u32(36), event::NO_FLOW),
            slot: r.u32(32),
            proto: r.u8(28),
            passive: r.u8(29) & 1 != 0,
            lport: r.u16(72),
            rport: r.u16(74),
            // Of a send something else stands there.
            retrans: if matches!(kind, Kind::Send) { 0 } else { r.u32(64) },
            what: what(kind, r)?,
        })
    }

    /// What it tells, one by one: itself, and what came with it as if it had been told by itself.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        let (own, sent, acked) = match self.what {
            What::Send { ret, end_seq, start_seq, layered, sender, sent, acked } => {
                let (none, nothing) = (None, None);
                let own = What::Send {
                    sent: none,
                    acked: nothing,
                    ret,
                    end_seq,
                    start_seq,
                    layered,
                    sender,
                };
                (own, sent, acked)
            }
            other => (other, None, None),
        };
        let before = |ns: u32, what| Self {
            ts: self.ts.saturating_sub(ns.into()),
            pid: 0,
            tid: 0,
            what,
            ..*self
        };
        let sent = sent.map(|s| before(s.before_ns, What::Tx(s.packet())));
        let acked = acked.map(|a| before(a.before_ns, What::Rx(a.packet())));
        std::iter::once(Self { what: own, ..*self }).chain(sent).chain(acked)
    }
}

impl Sent {
    fn packet(self) -> Packet {
        Packet { seq: self.seq, len: self.len, segs: self.segs, ..Packet::UNTOUCHED }
    }
}

impl Acked {
    fn packet(self) -> Packet {
        Packet { ack: self.ack, flags: tcp::ACK, ..Packet::UNTOUCHED }
    }
}

fn index(v: u32, none: u32) -> Option<u32> {
    (v != none).then_some(v)
}

fn what(kind: Kind, r: Record) -> Result<What, DecodeError> {
    Ok(match kind {
        Kind::Opened => What::Opened {
            nth: r.u32(52),
            attempt: r.u32(68),
            later: r.u32(48),
            local: r.ip(80),
            remote: r.ip(96),
        },
        Kind::Bound => What::Bound { local: r.ip(80), remote: r.ip(96) },
        Kind::Established => {
            What::Established { accepted: r.u8(26) == 1, local: r.ip(80), remote: r.ip(96) }
        }
        Kind::Found => What::Found {
            accepted: r.u8(26) == 1,
            local: r.ip(80),
            remote: r.ip(96),
            stream: (r.u8(25) == 1).then(|| Standing {
                first: r.u32(48),
                written: u64::from(r.u32(52)) | u64::from(r.u32(60)) << 32,
                unacked: r.u32(56),
                unsent: r.u32(68),
            }),
        },
        Kind::Named => What::Named { nth: r.u32(52) },
        Kind::Closed => What::Closed { snd_una: r.u32(56), snd_nxt: r.u32(48) },
        Kind::Tx => What::Tx(packet(r, Direction::Egress)?),
        Kind::Rx => What::Rx(packet(r, Direction::Ingress)?),
        Kind::Send => send(r)?,
        Kind::Marker => What::Marker { selector: r.u32(68) },
        Kind::Multipath => What::Multipath,
        Kind::Overflow => What::Overflow { selector: r.u32(68) },
    })
}

fn send(r: Record) -> Result<What, DecodeError> {
    let with = r.u8(26);
    let sent = (with & event::WITH_RUN != 0).then(|| Sent {
        before_ns: r.u32(68),
        seq: r.u32(76),
        len: r.u32(52),
        segs: r.u16(30),
    });
    if sent.is_some_and(|s| s.segs == 0) {
        return Err(DecodeError::Segments(0));
    }
    let acked =
        (with & event::WITH_ACK != 0).then(|| Acked { before_ns: r.u32(64), ack: r.u32(56) });
    Ok(What::Send {
        ret: r.u32(60) as i32,
        end_seq: r.u32(48),
        start_seq: (with & event::SEND_PLACED != 0).then(|| r.u32(44)),
        layered: with & event::SEND_LAYERED != 0,
        sender: u32::from(r.u8(25)).checked_sub(1),
        sent,
        acked,
    })
}

fn packet(r: Record, want: Direction) -> Result<Packet, DecodeError> {
    let (dropped, discarded) = match r.u8(25) {
        event::VERDICT_PASS => (false, false),
        event::VERDICT_DROP => (true, false),
        event::VERDICT_DISCARDED => (true, true),
        other => return Err(DecodeError::Verdict(other)),
    };
    if Direction::from_u8(r.u8(27)) != Some(want) {
        return Err(DecodeError::Direction(r.u8(27)));
    }
    let segs = r.u16(30);
    if segs == 0 {
        return Err(DecodeError::Segments(segs));
    }
    Ok(Packet {
        dropped,
        discarded,
        held_us: r.u32(68),
        judged: judged(r),
        rule: index(r.u32(44), event::NO_RULE),
        flags: r.u8(26),
        segs,
        seq: r.u32(48),
        len: r.u32(52),
        ack: r.u32(56),
        ifindex: r.u32(76),
    })
}

fn judged(r: Record) -> Option<Judged> {
    let (both, drawn) = (r.u32(60), r.u64(16));
    (both != 0).then_some(Judged {
        epoch: both >> event::EPOCH_SHIFT,
        nth: both & event::NTH_MAX,
        pos: (drawn >> 32) as u32,
        draw: drawn as u32,
    })
}

/// A record whose length was checked against the largest offset that its kind reads.
#[derive(Clone, Copy)]
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn bytes<const N: usize>(self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.0[at..at + N]);
        out
    }
    fn u8(self, at: usize) -> u8 {
        self.0[at]
    }
    fn u16(self, at: usize) -> u16 {
        u16::from_ne_bytes(self.bytes(at))
    }
    fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at))
    }
    fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(at))
    }
    /// The words stand in network order, so their memory is the address itself.
    fn ip(self, at: usize) -> IpAddr {
        Ipv6Addr::from(self.bytes::<16>(at)).to_canonical()
    }
}

// The offsets above are those of the shared structs, or this does not compile.
const _: () = {
    use event::{Event, SocketEvent};
    use std::mem::offset_of;
    assert!(EVENT_LEN == 80 && SOCKET_EVENT_LEN == 112);
    assert!(offset_of!(Event, ts) == 0 && offset_of!(Event, cookie) == 8);
    assert!(offset_of!(Event, pid_tgid) == 16 && offset_of!(Event, kind) == 24);
    assert!(offset_of!(Event, verdict) == 25 && offset_of!(Event, flags) == 26);
    assert!(offset_of!(Event, dir) == 27 && offset_of!(Event, proto) == 28);
    assert!(offset_of!(Event, passive) == 29 && offset_of!(Event, segs) == 30);
    assert!(offset_of!(Event, slot) == 32 && offset_of!(Event, flow) == 36);
    assert!(offset_of!(Event, app) == 40 && offset_of!(Event, rule) == 44);
    assert!(offset_of!(Event, seq) == 48 && offset_of!(Event, len) == 52);
    assert!(offset_of!(Event, ack) == 56 && offset_of!(Event, ret) == 60);
    assert!(offset_of!(Event, retrans) == 64 && offset_of!(Event, aux) == 68);
    assert!(offset_of!(Event, lport) == 72 && offset_of!(Event, rport) == 74);
    assert!(offset_of!(Event, ifindex) == 76);
    assert!(offset_of!(SocketEvent, laddr) == 80 && offset_of!(SocketEvent, raddr) == 96);
};

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
