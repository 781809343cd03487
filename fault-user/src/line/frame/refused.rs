//! What cannot be done with a frame, and what to do instead.

/// Bytes that the line's TAP cannot have given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAFrame {
    /// Shorter than the headers that every frame has.
    #[error(
        "a frame of {len} bytes is shorter than a virtio_net_hdr and a tagged Ethernet header ({needed}): open the TAP with IFF_VNET_HDR and IFF_NO_PI and a header of 10 bytes"
    )]
    Short {
        /// Its length.
        len: usize,
        /// The shortest possible one.
        needed: usize,
    },
    /// Without the line's tag, so nobody handed it over.
    #[error(
        "a frame without the line's VLAN tag (ethertype {ethertype:#06x}): a packet of somebody else on the line's device; discard it"
    )]
    Untagged {
        /// What stands in the tag's place.
        ethertype: u16,
    },
}

/// An operation that this frame or piece does not allow. Nothing has been changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No TCP or UDP in it that could be read.
    #[error("the packet is neither TCP nor UDP in the clear: pass, hold or drop it whole")]
    Protocol,
    /// A piece of a datagram: its checksum is about bytes that are in other packets.
    #[error("the packet is an IP fragment: pass, hold or drop it whole")]
    Fragment,
    /// Lengths that contradict each other.
    #[error("the packet's lengths contradict each other: pass, hold or drop it whole")]
    Malformed,
    /// The offload state is not about the outer TCP or UDP header.
    #[error(
        "the packet's offload state belongs to an inner header or to another protocol: pass, hold or drop it whole"
    )]
    Offload,
    /// Outside of what the frame has.
    #[error("{from}..{to} is empty or outside of 0..{of}: ask the frame for its size first")]
    Range {
        /// Start, in segments, bytes or bits as asked.
        from: usize,
        /// End, exclusive.
        to: usize,
        /// What there is.
        of: usize,
    },
    /// UDP cannot be cut within a datagram.
    #[error("a UDP datagram cannot be cut: take whole segments")]
    Datagram,
    /// What follows a SYN's first data byte is no packet of its own.
    #[error("data of a SYN cannot go without the SYN: begin the cut at byte 0")]
    Syn,
    /// TCP-MD5 or TCP-AO.
    #[error("the packet is signed (RFC 2385 or RFC 5925): take whole segments")]
    Signed,
    /// Its complete checksum is wrong already; a new one would make it good.
    #[error("the packet's checksum is wrong already: pass it whole, its receiver discards it")]
    Damaged,
    /// One header stands for several wire packets.
    #[error("the piece is {0} wire packets with one header: cut out the one that is meant")]
    ManySegments(u32),
    /// The same bit twice is no flip.
    #[error("bit {0} is given twice: give each bit once")]
    BitTwice(u32),
    /// A checksum field cannot be flipped and right.
    #[error("bit {0} is in a checksum field: leave it out, or ask for a bad checksum")]
    ChecksumField(u32),
    /// For TCP only.
    #[error("the packet is not TCP: ask for its protocol first")]
    NotTcp,
}
