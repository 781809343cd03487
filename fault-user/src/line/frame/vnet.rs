//! The virtio_net_hdr before each frame (linux/virtio_net.h, Virtio 1.3 section 5.1.6).

/// Its bytes; the TAP's default, without num_buffers.
pub(super) const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// Numbers are in the host's order: so a TAP has them without TUNSETVNETLE or TUNSETVNETBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Vnet {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

/// What is to be segmented, as `gso_type` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gso {
    None,
    Tcp4,
    Tcp6,
    Udp,
    /// Tunnels, UFO, bits of a later kernel.
    Other,
}

impl Vnet {
    /// Of a frame whose length has been checked.
    pub fn read(frame: &[u8]) -> Self {
        let number = |at: usize| u16::from_ne_bytes([frame[at], frame[at + 1]]);
        Self {
            flags: frame[0],
            gso_type: frame[1],
            hdr_len: number(2),
            gso_size: number(4),
            csum_start: number(6),
            csum_offset: number(8),
        }
    }

    pub fn write(self, frame: &mut [u8]) {
        let Self { flags, gso_type, hdr_len, gso_size, csum_start, csum_offset } = self;
        frame[0] = flags;
        frame[1] = gso_type;
        for (at, number) in [(2, hdr_len), (4, gso_size), (6, csum_start), (8, csum_offset)] {
            frame[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        }
    }

    /// The checksum field holds the pseudo-header's sum only.
    pub fn partial(self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }

    /// Something is left to be done before this is a wire packet.
    pub fn offloaded(self) -> bool {
        self.partial() || self.gso() != Gso::None
    }

    pub fn gso(self) -> Gso {
        match (self.gso_type & !GSO_ECN, self.gso_type & GSO_ECN != 0) {
            (GSO_NONE, false) => Gso::None,
            (GSO_TCPV4, _) => Gso::Tcp4,
            (GSO_TCPV6, _) => Gso::Tcp6,
            (GSO_UDP_L4, false) => Gso::Udp,
            _ => Gso::Other,
        }
    }

    /// Payload bytes of a wire packet; meaningless without GSO.
    pub fn gso_size(self) -> u16 {
        self.gso_size
    }

    /// Offset of the header that the checksum is in, and of its field in it. From the frame's
    /// beginning, this header included.
    pub fn checksum_at(self) -> (usize, usize) {
        (usize::from(self.csum_start) + LEN, usize::from(self.csum_offset))
    }

    /// What may be written back: DATA_VALID is a word of the kernel to its reader, and other flags
    /// are not ours to repeat.
    pub fn returned(self) -> Self {
        Self { flags: self.flags & NEEDS_CSUM, ..self }
    }

    /// With the header length that segmentation goes by; the kernel hands out what is linear in
    /// its own buffer, which can be anything. Without GSO as it is.
    pub fn with_headers(self, payload_at: usize) -> Self {
        match self.gso() {
            Gso::None => self,
            _ => Self { hdr_len: (payload_at - LEN) as u16, ..self },
        }
    }

    /// Of a piece of this frame: PARTIAL unless it has no checksum at all.
    pub fn of_piece(self, transport_at: usize, field: usize, none: bool) -> Self {
        let (flags, csum_start, csum_offset) = match none {
            true => (0, 0, 0),
            false => (NEEDS_CSUM, (transport_at - LEN) as u16, field as u16),
        };
        Self { flags, csum_start, csum_offset, ..self }
    }

    /// One wire packet.
    pub fn single(self) -> Self {
        Self { gso_type: GSO_NONE, gso_size: 0, hdr_len: 0, ..self }
    }

    /// CWR has gone from the header: nothing to treat specially in segmentation.
    pub fn without_ecn(self) -> Self {
        Self { gso_type: self.gso_type & !GSO_ECN, ..self }
    }
}
