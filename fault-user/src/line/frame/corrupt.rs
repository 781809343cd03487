//! Flipped bits, with a checksum that hides them or one that gives them away.

use bytes::{Bytes, BytesMut};

use super::checksum::{adjust, sum};
use super::piece::Piece;
use super::read::{put_word, word};
use super::refused::Refused;
use super::transport::Layout;

/// Whether the receiver's stack can notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Checksums follow the flipped bits: the receiver's application sees them.
    Valid,
    /// Checksums are those of the packet before: the receiver's stack discards it. UDP without a
    /// checksum gets one first, and flips that would cancel out in the sum break a bit of the
    /// checksum field as well.
    Bad,
}

/// Where a byte is from the IP header on, and whose checksum covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// IPv4's header checksum, and the transport's if it is an address.
    Ipv4 { address: bool },
    /// The pseudo-header only.
    Ipv6Address,
    /// IPv6 fields that no checksum covers, and extension headers.
    Nothing,
    /// Transport header and payload.
    Transport,
    /// A checksum itself.
    Field,
}

const IPV4_CHECK: usize = 10;

impl Piece {
    /// Flips bits of the payload. Bit 0 is the most significant bit of the first byte, as RFCs
    /// number them. Of a super-packet all segments can be hit, if the checksum is to be valid.
    ///
    /// # Errors
    /// [`Refused::Range`], [`Refused::BitTwice`], [`Refused::ManySegments`] with
    /// [`Checksum::Bad`], and what [`Frame::only_whole`](super::Frame::only_whole) says. Nothing
    /// has been flipped then.
    pub fn flip_bits(&mut self, bits: &[u32], checksum: Checksum) -> Result<(), Refused> {
        let layout = self.layout?;
        distinct(bits, self.body.len() * 8)?;
        match checksum {
            Checksum::Valid => self.flip_payload(&layout, bits),
            Checksum::Bad => {
                self.single()?;
                self.complete(&layout);
                self.flip_payload_only(bits);
                self.ensure_bad(&layout);
            }
        }
        Ok(())
    }

    /// Flips bits of the whole packet, headers included. Bit 0 is the most significant bit of the
    /// IP header's first byte. Of one wire packet only; its checksum is completed.
    ///
    /// [`Checksum::Valid`] is about checksums as the headers lay the packet out before the
    /// flips. A receiver may still discard the packet for what its headers then say.
    ///
    /// # Errors
    /// As [`Piece::flip_bits`], [`Refused::ManySegments`] with both kinds of checksum, and
    /// [`Refused::ChecksumField`] with [`Checksum::Valid`].
    pub fn flip_bits_at(&mut self, bits: &[u32], checksum: Checksum) -> Result<(), Refused> {
        let layout = self.single()?;
        let ip = layout.network.at;
        distinct(bits, (self.len() - ip) * 8)?;
        let field = |bit: &&u32| cover(&layout, ip + **bit as usize / 8) == Cover::Field;
        if let (Checksum::Valid, Some(bit)) = (checksum, bits.iter().find(field)) {
            return Err(Refused::ChecksumField(*bit));
        }
        match checksum {
            Checksum::Valid => self.full_checksum()?,
            Checksum::Bad => self.complete(&layout),
        }
        let payload = ((layout.payload_at - ip) * 8) as u32;
        let (body, head): (Vec<u32>, Vec<u32>) = bits.iter().partition(|bit| **bit >= payload);
        let body: Vec<u32> = body.iter().map(|bit| bit - payload).collect();
        match checksum {
            Checksum::Valid => {
                self.flip_payload(&layout, &body);
                head.iter().for_each(|bit| self.flip_header(&layout, *bit));
            }
            Checksum::Bad => {
                self.flip_payload_only(&body);
                head.iter().for_each(|bit| self.flip_head_only(ip, *bit));
                self.ensure_bad(&layout);
            }
        }
        Ok(())
    }

    /// With a complete checksum that follows.
    fn flip_payload(&mut self, layout: &Layout, bits: &[u32]) {
        for bit in bits {
            let byte = *bit as usize / 8;
            // Earlier bits of the same byte have been flipped in the sum, not yet in the body: the
            // difference that one bit makes depends on that bit alone.
            let (old, new) = difference(self.body[byte], *bit, byte);
            self.follow(layout, old, new);
        }
        self.flip_payload_only(bits);
    }

    fn flip_payload_only(&mut self, bits: &[u32]) {
        if bits.is_empty() {
            return;
        }
        // A copy: other pieces share these bytes.
        let mut body = BytesMut::from(&self.body[..]);
        for bit in bits {
            body[*bit as usize / 8] ^= mask(*bit);
        }
        self.body = Bytes::from(body);
    }

    fn flip_header(&mut self, layout: &Layout, bit: u32) {
        let ip = layout.network.at;
        let at = ip + bit as usize / 8;
        let (old, new) = difference(self.head[at], bit, at - ip);
        match cover(layout, at) {
            Cover::Ipv4 { address } => {
                let check = word(&self.head, ip + IPV4_CHECK);
                put_word(&mut self.head, ip + IPV4_CHECK, adjust(check, old, new));
                if address {
                    self.follow(layout, old, new);
                }
            }
            Cover::Ipv6Address | Cover::Transport => self.follow(layout, old, new),
            Cover::Nothing | Cover::Field => {}
        }
        self.flip_head_only(ip, bit);
    }

    fn flip_head_only(&mut self, ip: usize, bit: u32) {
        self.head[ip + bit as usize / 8] ^= mask(bit);
    }

    /// Flips can cancel out in a sum, hit what no sum covers, or turn a UDP checksum into "none":
    /// then one more bit of the transport checksum goes.
    fn ensure_bad(&mut self, layout: &Layout) {
        if self.unchecked(layout) {
            // Of a UDP checksum of which all bits were flipped.
            put_word(&mut self.head, layout.check_at(), 1);
        }
        let network = &layout.network;
        let header = &self.head[network.at..network.transport_at];
        let header_good = network.v6 || sum(header, 0) == 0xffff;
        if header_good && self.transport_sum(layout) == 0xffff {
            let check = word(&self.head, layout.check_at());
            let broken = if check == 1 { 3 } else { check ^ 1 };
            put_word(&mut self.head, layout.check_at(), broken);
        }
    }
}

fn cover(layout: &Layout, at: usize) -> Cover {
    let network = &layout.network;
    let within = |start: usize, len: usize| (start..start + len).contains(&at);
    let address = within(network.source_at(), network.address_len())
        || within(network.destination_at, network.address_len());
    if within(layout.check_at(), 2) || (!network.v6 && within(network.at + IPV4_CHECK, 2)) {
        Cover::Field
    } else if at >= layout.transport_at() {
        Cover::Transport
    } else if !network.v6 {
        Cover::Ipv4 { address }
    } else if address {
        Cover::Ipv6Address
    } else {
        Cover::Nothing
    }
}

/// The word that a bit is in before and after its flip, all other bits taken as 0: what the sum
/// changes by.
fn difference(byte: u8, bit: u32, offset: usize) -> (u16, u16) {
    let shift = if offset.is_multiple_of(2) { 8 } else { 0 };
    let flipped = u16::from(mask(bit)) << shift;
    if byte & mask(bit) != 0 { (flipped, 0) } else { (0, flipped) }
}

fn mask(bit: u32) -> u8 {
    0x80 >> (bit % 8)
}

fn distinct(bits: &[u32], of: usize) -> Result<(), Refused> {
    let mut sorted = bits.to_vec();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Refused::BitTwice(twice[0]));
    }
    match sorted.last() {
        Some(&last) if last as usize >= of => {
            Err(Refused::Range { from: last as usize, to: last as usize + 1, of })
        }
        _ => Ok(()),
    }
}
