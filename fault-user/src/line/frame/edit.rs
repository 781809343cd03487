//! Changes of header fields that leave the packet right: congestion marks, TCP windows.

use super::checksum::adjust;
use super::piece::Piece;
use super::read::{put_word, word};
use super::refused::Refused;
use super::transport::{Layout, Protocol};

/// The ECN field (RFC 3168, 5).
const ECN: u8 = 0b11;
const CE: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
/// Where the TCP header has its window.
const WINDOW: usize = 14;

/// What became of a congestion mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeMark {
    /// The packet now says Congestion Experienced.
    Marked,
    /// It did already.
    AlreadyCe,
    /// Its sender does not take part in ECN, or it is not IP: a router must not mark it.
    NotEct,
}

impl Piece {
    /// Marks the packet as a congested router does; all wire packets of a super-packet.
    pub fn mark_ce(&mut self) -> CeMark {
        let Some(network) = self.network else { return CeMark::NotEct };
        let at = network.at;
        // IPv4's second byte is the traffic class; IPv6 has it 4 bits into the header.
        let shift = if network.v6 { 4 } else { 0 };
        match self.head[at + 1] >> shift & ECN {
            NOT_ECT => CeMark::NotEct,
            CE => CeMark::AlreadyCe,
            _ => {
                let marked = word(&self.head, at) | u16::from(CE) << shift;
                match network.v6 {
                    true => put_word(&mut self.head, at, marked),
                    false => self.set_ipv4(at, 0, marked),
                }
                CeMark::Marked
            }
        }
    }

    /// Sets the TCP window as it stands in the header: bytes, scaled by what the SYN agreed on.
    /// A wrong checksum stays wrong.
    ///
    /// # Errors
    /// [`Refused::NotTcp`], and what [`Frame::only_whole`](super::Frame::only_whole) says.
    pub fn set_window(&mut self, window: u16) -> Result<(), Refused> {
        let layout = self.layout?;
        if layout.protocol != Protocol::Tcp {
            return Err(Refused::NotTcp);
        }
        let old = word(&self.head, layout.transport_at() + WINDOW);
        put_word(&mut self.head, layout.transport_at() + WINDOW, window);
        self.follow(&layout, old, window);
        Ok(())
    }

    /// Takes a changed word into a complete transport checksum. PARTIAL ones and those of
    /// super-packets are computed later and need nothing.
    pub(super) fn follow(&mut self, layout: &Layout, old: u16, new: u16) {
        if !self.is_complete() || self.unchecked(layout) {
            return;
        }
        let check = adjust(word(&self.head, layout.check_at()), old, new);
        let none = check == 0 && layout.protocol == Protocol::Udp;
        put_word(&mut self.head, layout.check_at(), if none { 0xffff } else { check });
    }
}
