//! One frame to be written: header bytes of its own and a part of the shared payload.

use std::io::IoSlice;

use bytes::Bytes;

use super::checksum::sum;
use super::network::{self, Network};
use super::parsed::pseudo;
use super::read::{put_word, word};
use super::refused::Refused;
use super::segment::wire_packets;
use super::transport::{Layout, Protocol};
use super::vnet::{self, Gso, Vnet};

/// A frame that is ready to be written to the TAP with one `writev` of [`Piece::slices`].
#[derive(Debug, Clone)]
pub struct Piece {
    /// All headers; of a frame that cannot be taken apart, as far as they are known.
    pub(super) head: Vec<u8>,
    /// The payload and nothing else; of a frame that cannot be taken apart, the rest.
    pub(super) body: Bytes,
    pub(super) network: Option<Network>,
    pub(super) layout: Result<Layout, Refused>,
}

impl Piece {
    /// What to write, in this order.
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(&self.head), IoSlice::new(&self.body)]
    }

    /// Bytes to write, the virtio_net_hdr included.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Never: a piece has headers at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// TCP or UDP payload; of a frame that cannot be taken apart, what is behind its known headers.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Packets that this will be on the wire.
    pub fn wire_packets(&self) -> u32 {
        let gso = self.layout.is_ok() && self.vnet().gso() != Gso::None;
        wire_packets(self.body.len(), gso.then(|| usize::from(self.vnet().gso_size())))
    }

    /// The packet from its IP header on, as a copy: what a capture or a raw socket wants. `None`
    /// if it is not IP.
    pub fn ip_packet(&self) -> Option<Vec<u8>> {
        let at = self.network?.at;
        Some([&self.head[at..], &self.body[..]].concat())
    }

    /// Its first bytes from the Ethernet header on, without the line's own tag, and how many it has.
    pub fn captured(&self, most: usize) -> (Vec<u8>, u32) {
        let [addresses, rest] =
            [&self.head[vnet::LEN..network::TAG], &self.head[network::ETHERTYPE..]];
        let parts = [addresses, rest, &self.body[..]];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(len.min(most));
        for part in parts {
            bytes.extend_from_slice(&part[..part.len().min(most - bytes.len())]);
        }
        (bytes, len as u32)
    }

    /// Completes a PARTIAL checksum, as a network card does. UDP without a checksum stays so.
    ///
    /// # Errors
    /// [`Refused::ManySegments`] and what [`Frame::only_whole`](super::Frame::only_whole) says.
    pub fn full_checksum(&mut self) -> Result<(), Refused> {
        let layout = self.single()?;
        if self.unchecked(&layout) {
            self.finish_offload();
            return Ok(());
        }
        self.complete(&layout);
        Ok(())
    }

    /// The layout of a piece that is one wire packet.
    pub(super) fn single(&self) -> Result<Layout, Refused> {
        let layout = self.layout?;
        match self.wire_packets() {
            1 => Ok(layout),
            many => Err(Refused::ManySegments(many)),
        }
    }

    pub(super) fn vnet(&self) -> Vnet {
        Vnet::read(&self.head)
    }

    /// The checksum field stands for the wire packet as it is: neither PARTIAL nor computed anew
    /// by segmentation.
    pub(super) fn is_complete(&self) -> bool {
        !self.vnet().offloaded()
    }

    /// UDP without a checksum.
    pub(super) fn unchecked(&self, layout: &Layout) -> bool {
        layout.protocol == Protocol::Udp
            && !self.vnet().partial()
            && word(&self.head, layout.check_at()) == 0
    }

    /// Sum of the whole transport part and its pseudo-header: 0xffff if a complete checksum is
    /// right.
    pub(super) fn transport_sum(&self, layout: &Layout) -> u16 {
        // Headers are an even number of bytes, so the body starts on a word.
        let len = self.head.len() - layout.transport_at() + self.body.len();
        let headers = sum(&self.head[layout.transport_at()..], pseudo(&self.head, layout, len));
        sum(&self.body, headers)
    }

    /// A complete checksum, whatever there was; a wrong complete one is left as it is.
    pub(super) fn complete(&mut self, layout: &Layout) {
        if !self.is_complete() || self.unchecked(layout) {
            put_word(&mut self.head, layout.check_at(), 0);
            let check = !self.transport_sum(layout);
            // A computed 0 is sent as its other representation: 0 means no checksum (RFC 768).
            let check = if check == 0 && layout.protocol == Protocol::Udp { 0xffff } else { check };
            put_word(&mut self.head, layout.check_at(), check);
        }
        self.finish_offload();
    }

    fn finish_offload(&mut self) {
        Vnet::default().write(&mut self.head);
    }

    /// A small payload moves into memory of its own, for a piece that waits: it would keep that
    /// of all the frames that were read with it.
    pub fn leave_neighbours(&mut self) {
        const SMALL: usize = 16 << 10;
        if self.body.len() < SMALL {
            self.body = Bytes::copy_from_slice(&self.body);
        }
    }

    pub fn set_tag(&mut self, tag: u16) {
        put_word(&mut self.head, network::TCI, tag);
    }
}
