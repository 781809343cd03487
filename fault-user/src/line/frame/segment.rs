//! The wire packets of a frame.

use std::ops::Range;

use super::network::JUMBO;
use super::parsed::Frame;
use super::transport::{CWR, FIN, Layout, PSH, SYN};

/// One wire packet of a frame, as segmentation will make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its part of the frame's payload, bytes.
    pub payload: Range<usize>,
    /// TCP: the sequence number in its header. UDP: 0.
    pub seq: u32,
    /// TCP: the flags in its header: CWR on the first segment only, FIN and PSH on the last only
    /// (as tcp_gso_segment() of the kernel has it). UDP: 0.
    pub flags: u8,
    /// IP bytes on the wire.
    pub ip_len: u32,
}

impl Frame {
    /// Wire packets in this frame: 1 if it is no super-packet or cannot be taken apart.
    pub fn segments(&self) -> u32 {
        wire_packets(self.payload().len(), self.gso_size())
    }

    /// The wire packet number `index`, from 0. `None` past the last one, and of a frame that cannot
    /// be taken apart ([`Frame::only_whole`]).
    pub fn segment(&self, index: u32) -> Option<Segment> {
        let layout = self.layout.ok()?;
        let count = self.segments();
        if index >= count {
            return None;
        }
        let payload = self.bytes_of(index, index + 1);
        let headers = layout.payload_at - layout.network.at - layout.jumbo_len();
        let tcp = self.tcp();
        Some(Segment {
            seq: tcp.map_or(0, |t| t.seq.wrapping_add(payload.start as u32)),
            flags: tcp.map_or(0, |t| flags(t.flags, index == 0, index + 1 == count)),
            ip_len: (headers + payload.len()) as u32,
            payload,
        })
    }

    /// The payload bytes of the segments `from..to`.
    pub(super) fn bytes_of(&self, from: u32, to: u32) -> Range<usize> {
        let len = self.payload().len();
        let size = self.gso_size().unwrap_or(len);
        let at = |index: u32| (index as usize * size).min(len);
        at(from)..at(to)
    }
}

impl Layout {
    /// Bytes of the jumbo option's header, which wire packets of an ordinary size must not have
    /// (RFC 2675, 3).
    pub fn jumbo_len(&self) -> usize {
        if self.network.jumbo { JUMBO } else { 0 }
    }
}

/// Packets that so much payload makes.
pub(super) fn wire_packets(payload: usize, gso_size: Option<usize>) -> u32 {
    match gso_size {
        Some(size) => payload.div_ceil(size).max(1) as u32,
        None => 1,
    }
}

/// TCP flags of a part of a packet that had `flags`.
pub(super) fn flags(flags: u8, first: bool, last: bool) -> u8 {
    let mut kept = flags;
    if !first {
        kept &= !CWR;
    }
    if !last {
        kept &= !(FIN | PSH);
    }
    kept
}

/// Sequence numbers that a packet takes beside its payload.
pub(super) fn phantom_bytes(flags: u8) -> u32 {
    u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0)
}
