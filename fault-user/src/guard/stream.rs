//! What a socket says of itself: who it is, and where it lives.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

use fault_common::event::NO_FLOW;
use fault_common::table::{Found, TAKEN_NOT, Tuple};
use nix::sys::socket::{
    AddressFamily, SockaddrLike as _, SockaddrStorage, getpeername, getsockname,
};

use super::GuardError;
use crate::act::{Connection, LastSegment, Protocol};
use crate::addr;

const TCP: u32 = libc::IPPROTO_TCP as u32;
/// SO_NETNS_COOKIE (include/uapi/asm-generic/socket.h), Linux 5.14; libc does not have it everywhere.
const SO_NETNS_COOKIE: i32 = 71;

/// A connected TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// SO_COOKIE.
    pub cookie: u64,
    /// Of its network namespace.
    pub netns: u64,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Stream {
    /// Asks the socket.
    ///
    /// # Errors
    /// Not TCP, or not connected.
    pub fn of(socket: &impl AsFd) -> Result<Self, GuardError> {
        let asked = |what| move |source| GuardError::Stream { what, source };
        let protocol: i32 =
            option(socket, libc::SO_PROTOCOL).map_err(asked("ask for the protocol"))?;
        if protocol != libc::IPPROTO_TCP {
            return Err(GuardError::NotTcp);
        }
        let cookie = option(socket, libc::SO_COOKIE).map_err(asked("ask for the cookie"))?;
        let netns = namespace(socket).map_err(asked("ask for the network namespace"))?;
        let fd = socket.as_fd().as_raw_fd();
        let local: SockaddrStorage =
            getsockname(fd).map_err(|e| asked("ask for the local address")(e.into()))?;
        let remote: SockaddrStorage = match getpeername(fd) {
            Err(nix::errno::Errno::ENOTCONN) => return Err(GuardError::NotConnected),
            other => other.map_err(|e| asked("ask for the peer's address")(e.into()))?,
        };
        let [local, remote] = [local, remote].map(|a| plain(&a));
        let (Some(local), Some(remote)) = (local, remote) else { return Err(GuardError::NotTcp) };
        Ok(Self { cookie, netns, local, remote })
    }

    /// For the program that takes it in. Which flow it is, is said afterwards, and can be taken back.
    pub fn found(&self) -> Found {
        Found {
            cookie: self.cookie,
            pid_tgid: u64::from(std::process::id()) << 32,
            allowed: 0,
            laddr: addr::words(self.local.ip()),
            raddr: addr::words(self.remote.ip()),
            lport: self.local.port().into(),
            rport: self.remote.port().into(),
            app: 0,
            flow: NO_FLOW,
            role: 0,
            state: 0,
            proto: TCP,
            uid: 0,
            taken: TAKEN_NOT,
            _pad: 0,
        }
    }

    /// As packets to it say it.
    pub fn tuple(&self) -> Tuple {
        Tuple {
            saddr: addr::words(self.remote.ip()),
            daddr: addr::words(self.local.ip()),
            sport: self.remote.port(),
            dport: self.local.port(),
            proto: TCP,
        }
    }

    /// For those who speak for it; `last`: what was seen of it.
    pub fn connection(&self, last: [Option<LastSegment>; 2]) -> Connection {
        let [sent, received] = last;
        Connection {
            cookie: self.cookie,
            protocol: Protocol::Tcp,
            local: self.local,
            remote: self.remote,
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
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a number of that size, any bytes of which are a value.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
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
            (client.local_addr().unwrap(), listener.local_addr().unwrap())
        );
        assert!(found.cookie > 0 && found.netns == here().unwrap());
        let (accepted, _) = listener.accept().unwrap();
        let other = Stream::of(&accepted).unwrap();
        assert_ne!(other.cookie, found.cookie);
        assert_eq!(other.tuple().reversed(), found.tuple());
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
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Stream::of(&datagrams), Err(GuardError::NotTcp)));
    }
}
