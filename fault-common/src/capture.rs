//! The first bytes of packets that a fault touched, on their way to `dropped.pcapng`. They have a ring
//! of their own: payload must never crowd out events.

/// The most bytes of a packet that the programs copy. Userspace gets them by way of a per-CPU map, whose
/// values have 32 KiB at most (PCPU_MIN_UNIT_SIZE).
pub const SNAPLEN_MAX: u32 = 16 << 10;

/// What became of a packet: it was lost.
pub const DID_DROP: u32 = 0;
/// What became of a packet: its window was closed (`stall`), and it went on.
pub const DID_STALL: u32 = 1;
/// What became of a packet: fq holds it (`delay`).
pub const DID_HOLD: u32 = 2;

/// What stands before the bytes. 64 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// Slot of the socket.
    pub slot: u32,
    /// Rule id.
    pub rule: u32,
    /// One of the `DID_*` numbers.
    pub did: u32,
    /// Bytes of the packet at the hook, of which only the first may follow.
    pub len: u32,
    /// Wire packets that it stands for.
    pub segs: u32,
    /// Sequence number of the first payload byte, as in an event.
    pub seq: u32,
    /// Payload bytes.
    pub payload: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Interface index.
    pub ifindex: u32,
    /// [`crate::rule::Direction`] as a number.
    pub dir: u8,
    /// 1: the bytes begin with the IP header, there is none of Ethernet.
    pub bare: u8,
    /// TCP flags byte.
    pub flags: u8,
    /// IP protocol number.
    pub proto: u8,
    /// Padding, zero.
    pub _pad: u64,
}
