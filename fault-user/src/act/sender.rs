//! Raw sockets: packets with headers of our own making.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn,
    SockaddrIn6, sendmsg, setsockopt, socket, sockopt,
};

use super::icmp::{Unreachable, error_packet};
use super::segment::Segment;
use super::{ActError, Connection};

/// What raw sockets ask for (raw(7)).
const RAW: &str = "CAP_NET_RAW";

/// Sends ready IP packets from the network namespace it was opened in. To a local address they
/// go over `lo`, whatever their source, and are taken without reverse path filter or martian
/// check: the route that the kernel chose stays with them.
#[derive(Debug)]
pub struct RawSender {
    v4: OwnedFd,
    /// `None` in a kernel without IPv6 (`ipv6.disable=1`).
    v6: Option<OwnedFd>,
}

impl RawSender {
    /// Opens the sockets. `mark` is the SO_MARK of all packets, for policy routing: to go the way
    /// of an app that marks its own.
    ///
    /// # Errors
    /// No privilege: CAP_NET_RAW, with a mark also CAP_NET_ADMIN.
    pub fn open(mark: Option<u32>) -> Result<Self, ActError> {
        let v4 = open(AddressFamily::Inet, mark)?;
        let v6 = match open(AddressFamily::Inet6, mark) {
            Ok(socket) => Some(socket),
            Err(ActError::System { source, .. })
                if source.raw_os_error() == Some(libc::EAFNOSUPPORT) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { v4, v6 })
    }

    /// Cookies of its sockets, by which the packet programs tell its packets from an app's.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn cookies(&self) -> Result<Vec<u64>, ActError> {
        let all = std::iter::once(&self.v4).chain(&self.v6);
        let system = || ActError::system("ask for a socket's cookie", RAW);
        all.map(|socket| cookie(socket).map_err(system())).collect()
    }

    /// Sends a reset to the local socket, as if from the peer; more than one if there is doubt
    /// about the sequence number. What was sent.
    ///
    /// The socket's next call fails with ECONNRESET, in SYN_SENT with ECONNREFUSED; the peer
    /// learns nothing. Connections with TCP-MD5 or TCP-AO ignore it: they want a signature.
    ///
    /// # Errors
    /// Too little is on record, or the kernel refuses the packet.
    pub fn reset_local(&self, connection: &Connection) -> Result<Vec<Segment>, ActError> {
        self.send(connection.resets_to_local()?, connection.ifindex)
    }

    /// Sends a reset to the peer, as if from the local socket, which learns nothing until it
    /// sends. What was sent.
    ///
    /// # Errors
    /// Too little is on record, or the kernel refuses the packet.
    pub fn reset_peer(&self, connection: &Connection) -> Result<Vec<Segment>, ActError> {
        self.send(connection.resets_to_peer()?, connection.ifindex)
    }

    /// Tells the peer the window that the local socket believes it has told: the end of a stall.
    /// Without it the peer waits for its next probe, up to two minutes. What was sent.
    ///
    /// # Errors
    /// Too little is on record, or the kernel refuses the packet.
    pub fn open_window_to_peer(&self, connection: &Connection) -> Result<Segment, ActError> {
        self.send_segment(connection.window_to_peer()?, connection.ifindex)
    }

    /// The same for the local socket, as if from the peer.
    ///
    /// # Errors
    /// Too little is on record, or the kernel refuses the packet.
    pub fn open_window_to_local(&self, connection: &Connection) -> Result<Segment, ActError> {
        self.send_segment(connection.window_to_local()?, connection.ifindex)
    }

    /// Answers the last packet of the local socket with an ICMP error, as a firewall before the
    /// peer's host would: from the peer's address.
    ///
    /// # Errors
    /// Too little is on record, or the kernel refuses the packet.
    pub fn unreachable(&self, connection: &Connection, why: Unreachable) -> Result<(), ActError> {
        let quote = connection.quote()?;
        let (from, to) = (connection.remote.ip(), connection.local.ip());
        let packet = error_packet(from, to, why.type_and_code(to.is_ipv6()), &quote)?;
        self.send_ip(&packet, connection.ifindex)
    }

    /// Sends an ICMP error of this type and code that quotes the beginning of `quote`, an IP
    /// packet that came from `to`.
    ///
    /// # Errors
    /// The addresses are of different families, or the kernel refuses the packet.
    pub fn send_icmp(
        &self,
        to: IpAddr,
        from: IpAddr,
        type_and_code: (u8, u8),
        quote: &[u8],
    ) -> Result<(), ActError> {
        self.send_ip(&error_packet(from, to, type_and_code, quote)?, 0)
    }

    /// Sends a segment as it is. `ifindex` is the interface to route by, 0 for any.
    ///
    /// # Errors
    /// Its addresses are of different families, or the kernel refuses the packet.
    pub fn send_segment(&self, segment: Segment, ifindex: u32) -> Result<Segment, ActError> {
        self.send_ip(&segment.packet()?, ifindex)?;
        Ok(segment)
    }

    /// Sends a ready IP packet to the destination in its header. It is not fragmented: longer
    /// than the MTU of the route is EMSGSIZE. `ifindex` is the interface to route by, 0 for any;
    /// link-local destinations need one.
    ///
    /// # Errors
    /// Not an IP packet, no route, or the kernel refuses it.
    pub fn send_ip(&self, packet: &[u8], ifindex: u32) -> Result<(), ActError> {
        match destination(packet)? {
            IpAddr::V4(ip) => {
                let to = SockaddrIn::from(SocketAddrV4::new(ip, 0));
                // The kernel wants the interface as an int here and as an unsigned below.
                let index = libc::in_pktinfo {
                    ipi_ifindex: ifindex.cast_signed(),
                    ipi_spec_dst: libc::in_addr { s_addr: 0 },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let by = ControlMessage::Ipv4PacketInfo(&index);
                put(&self.v4, packet, route(&by, ifindex), &to)
            }
            IpAddr::V6(ip) => {
                let socket = self.v6.as_ref().ok_or(ActError::Missing {
                    feature: "IPv6",
                    remedy: "Boot it without ipv6.disable=1",
                })?;
                let to = SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0));
                let index = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: [0; 16] },
                    ipi6_ifindex: ifindex,
                };
                let by = ControlMessage::Ipv6PacketInfo(&index);
                put(socket, packet, route(&by, ifindex), &to)
            }
        }
    }

    fn send(&self, segments: Vec<Segment>, ifindex: u32) -> Result<Vec<Segment>, ActError> {
        segments.into_iter().map(|segment| self.send_segment(segment, ifindex)).collect()
    }
}

/// A socket of protocol IPPROTO_RAW: it only sends, and its packets come with an IP header
/// (inet_create and inet6_create set `hdrincl` for it).
fn open(family: AddressFamily, mark: Option<u32>) -> Result<OwnedFd, ActError> {
    // Not blocking: the caller is the controller's loop, and one packet always fits.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Raw, flags, SockProtocol::Raw)
        .map_err(io::Error::from)
        .map_err(ActError::system("open a raw socket", RAW))?;
    if let Some(mark) = mark {
        setsockopt(&socket, sockopt::Mark, &mark)
            .map_err(io::Error::from)
            .map_err(ActError::system("mark a raw socket", "CAP_NET_ADMIN"))?;
    }
    Ok(socket)
}

fn cookie(socket: &OwnedFd) -> io::Result<u64> {
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: SO_COOKIE writes 8 bytes into a buffer of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// The control message only if there is an interface to say.
fn route<'a>(by: &'a ControlMessage<'a>, ifindex: u32) -> &'a [ControlMessage<'a>] {
    if ifindex == 0 { &[] } else { std::slice::from_ref(by) }
}

fn put<S: nix::sys::socket::SockaddrLike>(
    socket: impl AsFd,
    packet: &[u8],
    by: &[ControlMessage<'_>],
    to: &S,
) -> Result<(), ActError> {
    let fd = socket.as_fd().as_raw_fd();
    let sent = sendmsg(fd, &[IoSlice::new(packet)], by, MsgFlags::empty(), Some(to));
    // Raw sockets send all or nothing.
    sent.map(drop).map_err(io::Error::from).map_err(ActError::system("send a raw packet", RAW))
}

/// The destination in an IP header.
fn destination(packet: &[u8]) -> Result<IpAddr, ActError> {
    let (headers, _) = etherparse::IpHeaders::from_slice(packet).map_err(super::segment::unfit)?;
    Ok(match headers {
        etherparse::IpHeaders::Ipv4(header, _) => IpAddr::from(header.destination),
        etherparse::IpHeaders::Ipv6(header, _) => IpAddr::from(header.destination),
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn the_destination_is_in_the_header() {
        let between = |from: &str, to: &str| {
            let (source, destination): (SocketAddr, SocketAddr) =
                (from.parse().unwrap(), to.parse().unwrap());
            let segment = Segment {
                source,
                destination,
                seq: 1,
                ack: None,
                window: 0,
                reset: true,
                timestamps: None,
            };
            super::destination(&segment.packet().unwrap()).unwrap().to_string()
        };
        assert_eq!(between("10.0.0.1:1", "10.0.0.2:2"), "10.0.0.2");
        assert_eq!(between("[fd77::1]:1", "[fd77::2]:2"), "fd77::2");
    }

    #[test]
    fn what_is_no_ip_packet_is_refused() {
        for bytes in [&[][..], &[0x45; 5], &[0x15; 40]] {
            assert!(matches!(destination(bytes), Err(ActError::Packet { .. })), "{bytes:02x?}");
        }
    }
}
