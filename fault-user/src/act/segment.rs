//! TCP segments that flowfault sends in the name of one end of a connection: resets, and
//! acknowledgements that tell a window. Pure functions; nothing is sent here.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, PacketBuilder, PacketBuilderStep, TcpHeader, TcpOptionElement};

use super::{ActError, Connection, LastSegment, Protocol};

/// Default TTL and hop limit of Linux (net.ipv4.ip_default_ttl).
const HOPS: u8 = 64;

/// A segment without payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// In whose name it is sent.
    pub source: SocketAddr,
    /// Who gets it.
    pub destination: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; `None` leaves the flag out.
    pub ack: Option<u32>,
    /// Window, before scaling.
    pub window: u16,
    /// Whether it is a reset.
    pub reset: bool,
    /// Value and echo of the timestamp option.
    pub timestamps: Option<(u32, u32)>,
}

impl Segment {
    /// The IP packet, with all checksums.
    ///
    /// # Errors
    /// The addresses are of different families.
    pub fn packet(&self) -> Result<Vec<u8>, ActError> {
        let (from, to) = (self.source, self.destination);
        let mut header = TcpHeader::new(from.port(), to.port(), self.seq, self.window);
        header.rst = self.reset;
        header.ack = self.ack.is_some();
        header.acknowledgment_number = self.ack.unwrap_or(0);
        if let Some((value, echo)) = self.timestamps {
            use TcpOptionElement::{Noop, Timestamp};
            // Twelve bytes, aligned as every stack sends them (RFC 7323, appendix A).
            header.set_options(&[Noop, Noop, Timestamp(value, echo)]).map_err(unfit)?;
        }
        let mut packet = Vec::new();
        ip(from, to)?.tcp_header(header).write(&mut packet, &[]).map_err(unfit)?;
        Ok(packet)
    }
}

/// An IP header from one address to another.
pub(super) fn ip(
    from: SocketAddr,
    to: SocketAddr,
) -> Result<PacketBuilderStep<etherparse::IpHeaders>, ActError> {
    use etherparse::{IpHeaders, Ipv4Header, Ipv6FlowLabel, Ipv6Header};
    // The builder fills in the protocol and the length.
    let headers = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header::new(0, HOPS, IpNumber::TCP, from.octets(), to.octets());
            IpHeaders::Ipv4(header.map_err(unfit)?, Default::default())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                flow_label: Ipv6FlowLabel::ZERO,
                hop_limit: HOPS,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => return Err(ActError::Families { local: from, remote: to }),
    };
    Ok(PacketBuilder::ip(headers))
}

/// An error of the packet library.
pub(super) fn unfit(error: impl std::fmt::Display) -> ActError {
    ActError::Packet { reason: error.to_string() }
}

impl Connection {
    /// Resets for the local socket, as if from the peer. A stack takes a reset only at exactly
    /// the sequence number that it expects next (RFC 5961, 3.2); anything else is answered or
    /// ignored. What that is lies between what the socket has acknowledged and the end of what
    /// it was sent, so there is one reset for each of the two.
    ///
    /// They acknowledge all that was sent: a socket in SYN_SENT takes a reset only with an
    /// acknowledgement of its SYN (RFC 9293, 3.10.7.3), and then at any sequence number.
    ///
    /// # Errors
    /// Not TCP, or nothing is known of either number.
    pub fn resets_to_local(&self) -> Result<Vec<Segment>, ActError> {
        let mut expected = numbers(acked(self.sent), end(self.received));
        let syn_sent = self.received.is_none() && self.sent.is_some_and(|s| !s.has_ack);
        if syn_sent {
            expected.push(0);
        }
        let ack = end(self.sent).or(acked(self.received));
        let reset = |seq| self.by_remote(Segment { seq, ack, ..RESET });
        self.some(expected.into_iter().map(reset).collect(), "a reset of the local socket")
    }

    /// Resets for the peer, as if from the local socket: the same with the ends exchanged.
    ///
    /// # Errors
    /// Not TCP, or nothing is known of either number.
    pub fn resets_to_peer(&self) -> Result<Vec<Segment>, ActError> {
        let expected = numbers(end(self.sent), acked(self.received));
        let ack = acked(self.sent).or(end(self.received));
        let reset = |seq| self.by_local(Segment { seq, ack, ..RESET });
        self.some(expected.into_iter().map(reset).collect(), "a reset of the peer")
    }

    /// The local socket's last acknowledgement once more, for a peer that was told another
    /// window. The window is the one that the socket believes to have told, so the peer may rely
    /// on it.
    ///
    /// # Errors
    /// Not TCP, or no acknowledgement of the socket is on record.
    pub fn window_to_peer(&self) -> Result<Segment, ActError> {
        const WHAT: &str = "a window update for the peer";
        Ok(self.by_local(update(self.known(self.sent, WHAT)?)))
    }

    /// The peer's last acknowledgement once more, for a local socket that was told another window.
    ///
    /// # Errors
    /// Not TCP, or no acknowledgement of the peer is on record.
    pub fn window_to_local(&self) -> Result<Segment, ActError> {
        const WHAT: &str = "a window update for the local socket";
        Ok(self.by_remote(update(self.known(self.received, WHAT)?)))
    }

    fn known(&self, of: Option<LastSegment>, what: &'static str) -> Result<LastSegment, ActError> {
        of.filter(|s| s.has_ack && self.protocol == Protocol::Tcp)
            .ok_or_else(|| self.no_numbers(what))
    }

    fn some(&self, segments: Vec<Segment>, what: &'static str) -> Result<Vec<Segment>, ActError> {
        if segments.is_empty() || self.protocol != Protocol::Tcp {
            return Err(self.no_numbers(what));
        }
        Ok(segments)
    }

    pub(super) fn no_numbers(&self, what: &'static str) -> ActError {
        ActError::NoNumbers { what, local: self.local, remote: self.remote }
    }

    fn by_local(&self, segment: Segment) -> Segment {
        Segment { source: self.local, destination: self.remote, ..segment }
    }

    fn by_remote(&self, segment: Segment) -> Segment {
        Segment { source: self.remote, destination: self.local, ..segment }
    }
}

/// Nowhere, for addresses that are filled in.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// A reset needs no timestamps: stacks take it also if it fails their check (RFC 7323, 5.2).
const RESET: Segment = Segment {
    source: NOWHERE,
    destination: NOWHERE,
    seq: 0,
    ack: None,
    window: 0,
    reset: true,
    timestamps: None,
};

fn update(last: LastSegment) -> Segment {
    Segment {
        seq: last.end_seq,
        ack: Some(last.ack),
        window: last.window,
        timestamps: last.timestamps,
        reset: false,
        ..RESET
    }
}

fn acked(segment: Option<LastSegment>) -> Option<u32> {
    segment.filter(|s| s.has_ack).map(|s| s.ack)
}

fn end(segment: Option<LastSegment>) -> Option<u32> {
    segment.map(|s| s.end_seq)
}

/// The known ones, each once.
fn numbers(first: Option<u32>, second: Option<u32>) -> Vec<u32> {
    let mut all: Vec<u32> = first.into_iter().chain(second).collect();
    all.dedup();
    all
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
