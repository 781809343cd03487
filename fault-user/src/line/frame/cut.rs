//! Frame to pieces: whole, some of its wire packets, a part of its byte stream.

use std::ops::Range;

use super::checksum::adjust;
use super::network::{JUMBO, SHORTEST};
use super::parsed::{Frame, pseudo};
use super::piece::Piece;
use super::read::{long, put_long, put_word, word};
use super::refused::Refused;
use super::segment::flags;
use super::transport::{CWR, Layout, Protocol, SYN, URG, signed};

/// IPv4 identification, header checksum and total length.
const ID: usize = 4;
const HEADER_CHECK: usize = 10;
const TOTAL_LENGTH: usize = 2;
/// IPv6 payload length, and the header that it does not count.
const PAYLOAD_LENGTH: usize = 4;
const IPV6_HEADER: usize = 40;
/// The largest length that an IP header can say.
const OVERSIZE: usize = 0xffff;

impl Frame {
    /// The frame as it came, with this tag. Padding behind an understood packet is left out.
    pub fn whole(&self, tag: u16) -> Piece {
        let (split, vnet) = match (self.layout, self.network) {
            (Ok(layout), _) => {
                (layout.payload_at, self.vnet.returned().with_headers(layout.payload_at))
            }
            (Err(_), Some(network)) => (network.transport_at, self.vnet.returned()),
            (Err(_), None) => (SHORTEST, self.vnet.returned()),
        };
        let end = if self.layout.is_ok() { self.end } else { self.bytes.len() };
        let mut piece = Piece {
            head: self.bytes[..split].to_vec(),
            body: self.bytes.slice(split..end),
            network: self.network,
            layout: self.layout,
        };
        vnet.write(&mut piece.head);
        piece.set_tag(tag);
        piece
    }

    /// The wire packets `from..to` as one frame: a super-packet if they are several.
    ///
    /// # Errors
    /// [`Refused::Range`]. A frame that cannot be taken apart has one segment, itself.
    pub fn run(&self, from: u32, to: u32, tag: u16) -> Result<Piece, Refused> {
        let of = self.segments();
        if from >= to || to > of {
            return Err(Refused::Range { from: from as usize, to: to as usize, of: of as usize });
        }
        match self.layout {
            Ok(layout) if (from, to) != (0, of) => {
                Ok(self.cut(&layout, self.bytes_of(from, to), tag))
            }
            _ => Ok(self.whole(tag)),
        }
    }

    /// The payload bytes `from..to` as one frame, with the sequence number and the flags that
    /// they have in the stream. The two sides of one cut have IPv4 identifications of their own;
    /// several cuts within one wire packet share one (harmless with DF: RFC 6864, 4.1). The whole
    /// range is the [whole](Frame::whole) frame, also if it is empty. A SYN is something without
    /// its payload, too (RFC 7413).
    ///
    /// # Errors
    /// [`Refused::Range`] if the range is otherwise empty or too far, [`Refused::Datagram`],
    /// [`Refused::Syn`], [`Refused::Signed`], [`Refused::Damaged`], and what
    /// [`Frame::only_whole`] says.
    pub fn part(&self, from: usize, to: usize, tag: u16) -> Result<Piece, Refused> {
        let layout = self.layout?;
        let of = self.payload().len();
        if (from, to) == (0, of) {
            return Ok(self.whole(tag));
        }
        let syn = layout.protocol == Protocol::Tcp && self.bytes[layout.flags_at()] & SYN != 0;
        let bare_syn = syn && (from, to) == (0, 0);
        if (from >= to && !bare_syn) || to > of {
            return Err(Refused::Range { from, to, of });
        }
        if layout.protocol == Protocol::Udp {
            return Err(Refused::Datagram);
        }
        if from > 0 && syn {
            return Err(Refused::Syn);
        }
        if signed(&self.bytes[layout.transport_at() + 20..layout.payload_at]) {
            return Err(Refused::Signed);
        }
        if self.damaged() {
            return Err(Refused::Damaged);
        }
        Ok(self.cut(&layout, from..to, tag))
    }

    /// A proper part of the payload behind headers that say so, its checksum PARTIAL.
    fn cut(&self, layout: &Layout, range: Range<usize>, tag: u16) -> Piece {
        let first = range.start == 0;
        let last = range.end == self.payload().len();
        let size = self.gso_size().unwrap_or(range.end).max(1);
        let at = layout.payload_at;
        let mut piece = Piece {
            head: self.bytes[..at].to_vec(),
            body: self.bytes.slice(at + range.start..at + range.end),
            network: self.network,
            layout: Ok(*layout),
        };
        piece.set_tag(tag);
        let layout = piece.fit_network(*layout, range.start.div_ceil(size) as u16);
        match layout.protocol {
            Protocol::Tcp => piece.fit_tcp(&layout, range.start as u32, first, last),
            Protocol::Udp => {
                let len = piece.head.len() - layout.transport_at() + piece.body.len();
                put_word(&mut piece.head, layout.transport_at() + 4, len as u16);
            }
        }
        piece.fit_offload(&layout, range.len() > size, self.unchecked(&layout));
        piece
    }
}

impl Piece {
    /// Lengths, identification and header checksum. The jumbo option goes when it has become
    /// wrong, and with it offsets change.
    fn fit_network(&mut self, mut layout: Layout, packets_before: u16) -> Layout {
        let at = layout.network.at;
        let mut len = self.len() - at - if layout.network.v6 { IPV6_HEADER } else { 0 };
        if layout.network.jumbo && len - JUMBO <= OVERSIZE {
            let option = at + IPV6_HEADER;
            self.head[at + 6] = self.head[option];
            self.head.drain(option..option + JUMBO);
            layout.network.jumbo = false;
            layout.network.transport_at -= JUMBO;
            layout.payload_at -= JUMBO;
            len -= JUMBO;
        } else if layout.network.jumbo {
            put_long(&mut self.head, at + IPV6_HEADER + 4, len as u32);
        }
        self.network = Some(layout.network);
        self.layout = Ok(layout);
        // BIG TCP says 0, and its super-packet is as long as it is.
        let said = if len > OVERSIZE { 0 } else { len as u16 };
        if layout.network.v6 {
            put_word(&mut self.head, at + PAYLOAD_LENGTH, said);
        } else {
            let id = word(&self.head, at + ID).wrapping_add(packets_before);
            self.set_ipv4(at, TOTAL_LENGTH, said);
            self.set_ipv4(at, ID, id);
        }
        layout
    }

    /// Changes a word of an IPv4 header and its checksum with it.
    pub(super) fn set_ipv4(&mut self, at: usize, field: usize, value: u16) {
        let old = word(&self.head, at + field);
        let check = word(&self.head, at + HEADER_CHECK);
        put_word(&mut self.head, at + field, value);
        put_word(&mut self.head, at + HEADER_CHECK, adjust(check, old, value));
    }

    fn fit_tcp(&mut self, layout: &Layout, skipped: u32, first: bool, last: bool) {
        let at = layout.transport_at();
        let seq = long(&self.head, at + 4).wrapping_add(skipped);
        put_long(&mut self.head, at + 4, seq);
        let mut kept = flags(self.head[layout.flags_at()], first, last);
        // The urgent pointer counts from this packet's sequence number.
        let urgent = u32::from(word(&self.head, at + 18));
        if kept & URG != 0 && skipped > 0 {
            let left = urgent.saturating_sub(skipped) as u16;
            put_word(&mut self.head, at + 18, left);
            if left == 0 {
                kept &= !URG;
            }
        }
        self.head[layout.flags_at()] = kept;
    }

    fn fit_offload(&mut self, layout: &Layout, several: bool, unchecked: bool) {
        let mut vnet = self.vnet().of_piece(layout.transport_at(), layout.field(), unchecked);
        if layout.protocol == Protocol::Tcp && self.head[layout.flags_at()] & CWR == 0 {
            vnet = vnet.without_ecn();
        }
        vnet = if several { vnet.with_headers(layout.payload_at) } else { vnet.single() };
        vnet.write(&mut self.head);
        if !unchecked {
            let len = self.head.len() - layout.transport_at() + self.body.len();
            let pseudo = pseudo(&self.head, layout, len);
            put_word(&mut self.head, layout.check_at(), pseudo);
        }
    }
}
