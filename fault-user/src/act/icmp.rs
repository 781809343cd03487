//! ICMP and ICMPv6 "destination unreachable", as a firewall's REJECT answers. Pure functions.

use std::net::{IpAddr, SocketAddr};

use etherparse::TcpHeader;

use super::segment::{ip, unfit};
use super::{ActError, Connection, Protocol};

/// An ICMP error is at most this long, IP header included (RFC 1812, 4.3.2.3).
const V4_LONGEST: usize = 576;
/// And an ICMPv6 one, the minimal MTU (RFC 4443, 2.4 (c)).
const V6_LONGEST: usize = 1280;
/// Bytes of IPv4 header and ICMP header.
const V4_HEADERS: usize = 20 + 8;
/// Bytes of IPv6 header and ICMPv6 header.
const V6_HEADERS: usize = 40 + 8;

/// Why a destination cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Nobody listens: ECONNREFUSED.
    Port,
    /// No such host: EHOSTUNREACH.
    Host,
    /// No route: ENETUNREACH.
    Net,
    /// Forbidden: EHOSTUNREACH with IPv4, EACCES with IPv6.
    Admin,
}

impl Unreachable {
    /// ICMP type and code (RFC 792, RFC 1812) or, for IPv6, ICMPv6 ones (RFC 4443, 3.1).
    pub fn type_and_code(self, ipv6: bool) -> (u8, u8) {
        match (ipv6, self) {
            (false, Self::Net) => (3, 0),
            (false, Self::Host) => (3, 1),
            (false, Self::Port) => (3, 3),
            (false, Self::Admin) => (3, 13),
            (true, Self::Net) => (1, 0),
            (true, Self::Admin) => (1, 1),
            (true, Self::Host) => (1, 3),
            (true, Self::Port) => (1, 4),
        }
    }
}

/// An ICMP or ICMPv6 error that quotes the beginning of `quote`, an IP packet from `to`.
///
/// # Errors
/// The addresses are of different families.
pub fn error_packet(
    from: IpAddr,
    to: IpAddr,
    (kind, code): (u8, u8),
    quote: &[u8],
) -> Result<Vec<u8>, ActError> {
    let ip = ip(SocketAddr::new(from, 0), SocketAddr::new(to, 0))?;
    let mut packet = Vec::new();
    let room = if to.is_ipv4() { V4_LONGEST - V4_HEADERS } else { V6_LONGEST - V6_HEADERS };
    let quote = &quote[..quote.len().min(room)];
    // Bytes 5 to 8 are unused in this kind of error.
    let built = if to.is_ipv4() {
        ip.icmpv4_raw(kind, code, [0; 4]).write(&mut packet, quote)
    } else {
        ip.icmpv6_raw(kind, code, [0; 4]).write(&mut packet, quote)
    };
    built.map_err(unfit)?;
    Ok(packet)
}

impl Connection {
    /// A packet of the local socket to quote, rebuilt from what is on record: a TCP stack
    /// believes an error only if the quoted sequence number is one that is not acknowledged
    /// (RFC 5927, 4.1), or the next.
    ///
    /// # Errors
    /// TCP of which nothing sent is on record; addresses of different families.
    pub fn quote(&self) -> Result<Vec<u8>, ActError> {
        let ip = ip(self.local, self.remote)?;
        let (sport, dport) = (self.local.port(), self.remote.port());
        let mut packet = Vec::new();
        let written = match self.protocol {
            Protocol::Udp => ip.udp(sport, dport).write(&mut packet, &[]),
            Protocol::Tcp => {
                let unknown = || self.no_numbers("an ICMP error");
                let last = self.sent.ok_or_else(unknown)?;
                // Of a SYN its own number, as in the packet; else the next one, which is valid
                // whatever has been acknowledged since.
                let syn = !last.has_ack;
                let seq = last.end_seq.wrapping_sub(syn.into());
                let mut header = TcpHeader::new(sport, dport, seq, last.window);
                (header.syn, header.ack) = (syn, last.has_ack);
                header.acknowledgment_number = last.ack;
                ip.tcp_header(header).write(&mut packet, &[])
            }
        };
        written.map_err(unfit)?;
        Ok(packet)
    }
}

#[cfg(test)]
#[path = "icmp_tests.rs"]
mod tests;
