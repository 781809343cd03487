//! What a socket says of itself: who it is, and where it lives.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

use fault_common::event::NO_FLOW;
use fault_common::table::{self, Found, SOCKET_WHOLE, TAKEN_NOT, Tuple};
use nix::sys::socket::{
    AddressFamily, SockaddrLike as _, SockaddrStorage, getpeername, getsockname,
};

use super::GuardError;
use crate::act::{Connection, LastSegment, Protocol};
use crate::addr;

/// SO_NETNS_COOKIE (include/uapi/asm-generic/socket.h), Linux 5.14; libc does not have it everywhere.
const SO_NETNS_COOKIE: i32 = 71;

/// A connected TCP socket, or a UDP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// SO_COOKIE.
    pub cookie: u64,
    /// Of its network namespace.
    pub netns: u64,
    pub protocol: Protocol,
    pub local: SocketAddr,
    /// `None`: a UDP socket that is not connected.
    pub remote: Option<SocketAddr>,
    /// It takes IPv4 as well, although its address is one of IPv6.
    pub dual: bool,
}

impl Stream {
    /// Asks the socket.
    ///
    /// # Errors
    /// Neither TCP nor UDP, or not connected, or without a port.
    pub fn of(socket: &impl AsFd) -> Result<Self, GuardError> {
        let asked = |what| move |source| GuardError::Stream { what, source };
        let number: i32 =
            option(socket, libc::SO_PROTOCOL).map_err(asked("ask for the protocol"))?;
        let protocol = match number {
            libc::IPPROTO_TCP => Protocol::Tcp,
            libc::IPPROTO_UDP => Protocol::Udp,
            _ => return Err(GuardError::Protocol),
        };
        let cookie = option(socket, libc::SO_COOKIE).map_err(asked("ask for the cookie"))?;
        let netns = namespace(socket).map_err(asked("ask for the network namespace"))?;
        let fd = socket.as_fd().as_raw_fd();
        let local: SockaddrStorage =
            getsockname(fd).map_err(|e| asked("ask for the local address")(e.into()))?;
        let remote: Option<SockaddrStorage> = match getpeername(fd) {
            Err(nix::errno::Errno::ENOTCONN) if protocol == Protocol::Tcp => {
                return Err(GuardError::NotConnected);
            }
            Err(nix::errno::Errno::ENOTCONN) => None,
            other => Some(other.map_err(|e| asked("ask for the peer's address")(e.into()))?),
        };
        let local = plain(&local).ok_or(GuardError::Protocol)?;
        let remote = remote.map(|a| plain(&a).ok_or(GuardError::Protocol)).transpose()?;
        if local.port() == 0 {
            return Err(GuardError::NotBound);
        }
        let only: i32 = match local.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() && remote.is_none() => {
                option_of(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
                    .map_err(asked("ask for IPV6_V6ONLY"))?
            }
            _ => 1,
        };
        Ok(Self { cookie, netns, protocol, local, remote, dual: only == 0 })
    }

    /// For the program that takes it in. Which flow it is, is said afterwards, and can be taken back.
    pub fn found(&self) -> Found {
        let [tuple, _] = self.tuples();
        Found {
            cookie: self.cookie,
            pid_tgid: u64::from(std::process::id()) << 32,
            allowed: 0,
            laddr: tuple.daddr,
            raddr: tuple.saddr,
            lport: tuple.dport.into(),
            rport: tuple.sport.into(),
            app: 0,
            flow: NO_FLOW,
            role: 0,
            state: if self.protocol == Protocol::Udp { SOCKET_WHOLE } else { 0 },
            proto: tuple.proto,
            uid: 0,
            taken: TAKEN_NOT,
            _pad: 0,
        }
    }

    /// As packets to it say it. Twice the same, unless it has two families.
    pub fn tuples(&self) -> [Tuple; 2] {
        let words = |ip: IpAddr| match ip {
            IpAddr::V6(any) if any.is_unspecified() => [0; 4],
            ip => addr::words(ip),
        };
        let (saddr, sport) = self.remote.map_or(([0; 4], 0), |r| (words(r.ip()), r.port()));
        let tuple = |daddr| Tuple {
            saddr,
            daddr,
            sport,
            dport: self.local.port(),
            proto: match self.protocol {
                Protocol::Tcp => libc::IPPROTO_TCP as u32,
                Protocol::Udp => libc::IPPROTO_UDP as u32,
            },
        };
        let daddr = words(self.local.ip());
        [tuple(daddr), tuple(if self.dual { table::v4(0) } else { daddr })]
    }

    /// For those who speak for it; `last`: what was seen of it.
    pub fn connection(&self, last: [Option<LastSegment>; 2]) -> Connection {
        let [sent, received] = last;
        Connection {
            cookie: self.cookie,
            protocol: self.protocol,
            local: self.local,
            // Only UDP has none, and nobody speaks for that.
            remote: self.remote.unwrap_or(self.local),
            ifindex: 0,
            sent,
            received,
        }
    }
}

/// The network namespace of this thread: that of any socket that it makes.
///
/// # Errors
/// No socket can be made, or the kernel is older than 5.14.
pub fn here() -> Result<u64, GuardError> {
    // Bound to any port of loopback and never used: nothing sees it.
    let probe = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0"));
    let found = probe.and_then(|socket| namespace(&socket));
    found.map_err(GuardError::io("find out the network namespace of this thread"))
}

fn namespace(socket: &impl AsFd) -> io::Result<u64> {
    option(socket, SO_NETNS_COOKIE)
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    let found = match address.family()? {
        AddressFamily::Inet => {
            SocketAddr::from(std::net::SocketAddrV4::from(*address.as_sockaddr_in()?))
        }
        AddressFamily::Inet6 => {
            SocketAddr::from(std::net::SocketAddrV6::from(*address.as_sockaddr_in6()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(found.ip().to_canonical(), found.port()))
}

/// Options that are plain numbers.
trait Number: Default {}
impl Number for i32 {}
impl Number for u64 {}

fn option<T: Number>(socket: &impl AsFd, name: i32) -> io::Result<T> {
    option_of(socket, libc::SOL_SOCKET, name)
}

fn option_of<T: Number>(socket: &impl AsFd, level: i32, name: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a number of that size, any bytes of which are a value.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_stream_says_who_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let found = Stream::of(&client).unwrap();
        assert_eq!(
            (found.local, found.remote),
            (client.local_addr().unwrap(), Some(listener.local_addr().unwrap()))
        );
        assert!(found.cookie > 0 && found.netns == here().unwrap());
        let (accepted, _) = listener.accept().unwrap();
        let other = Stream::of(&accepted).unwrap();
        assert_ne!(other.cookie, found.cookie);
        assert_eq!(other.tuples()[0].reversed(), found.tuples()[1]);
    }

    #[test]
    fn mapped_addresses_are_those_on_the_wire() {
        let Ok(listener) = TcpListener::bind("[::]:0") else { return eprintln!("no IPv6 here") };
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(Stream::of(&accepted).unwrap().local.is_ipv4());
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Stream::of(&listener), Err(GuardError::NotConnected)));
        let (unix, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(Stream::of(&unix), Err(GuardError::Protocol)));
    }

    #[test]
    fn a_udp_socket_has_a_peer_or_none() {
        let any = UdpSocket::bind("0.0.0.0:0").unwrap();
        let found = Stream::of(&any).unwrap();
        assert_eq!((found.protocol, found.remote), (Protocol::Udp, None));
        let [tuple, other] = found.tuples();
        assert_eq!((tuple.saddr, tuple.sport, tuple.daddr), ([0; 4], 0, table::v4(0)));
        assert_eq!(tuple, other);
        any.connect("127.0.0.1:9").unwrap();
        let connected = Stream::of(&any).unwrap();
        assert_eq!(connected.remote, Some(([127, 0, 0, 1], 9).into()));
        assert_eq!(connected.cookie, found.cookie);
        let Ok(both) = UdpSocket::bind("[::]:0") else { return eprintln!("no IPv6 here") };
        let [six, four] = Stream::of(&both).unwrap().tuples();
        assert_eq!((six.daddr, four.daddr), ([0; 4], table::v4(0)));
    }
}
