//! SOCK_DESTROY: the right socket, and no other.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use fault_user::act::{self, ActError, Connection, Protocol, RawSender};

use crate::reject::datagrams;
use crate::reset::bound;
use crate::support::netns::CABLE;
use crate::support::observer::{Observer, new};
use crate::support::{Lab, SOON, Way, cookie, pass, read_error};

fn destroy(lab: &Lab, connection: &Connection) -> Result<(), ActError> {
    lab.near.within(|| act::destroy(connection))
}

#[test]
fn a_connection_is_aborted_here_and_reset_there() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        destroy(&lab, &pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNABORTED, "{way:?}");
        assert_eq!(read_error(&mut pair.peer), libc::ECONNRESET, "{way:?}");
    }
}

#[test]
fn a_connection_that_is_not_answered_is_aborted() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let mut observer = Observer::new(&lab.near, way.interface());
        let remote = way.silence();
        let socket = lab.near.within(|| nonblocking(remote));
        let connection = Connection { cookie: cookie(&socket), ..observer.settle(remote) };
        destroy(&lab, &connection).unwrap();
        let error = socket.take_error().unwrap().expect("an error");
        assert_eq!(error.raw_os_error(), Some(libc::ECONNABORTED), "{way:?}");
    }
}

/// A socket whose connect() goes on.
fn nonblocking(to: SocketAddr) -> TcpStream {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
    let started = connect(socket.as_raw_fd(), &SockaddrStorage::from(to));
    assert_eq!(started, Err(nix::errno::Errno::EINPROGRESS));
    TcpStream::from(socket)
}

/// Its addresses are on record as IPv4.
#[test]
fn a_mapped_connection_is_aborted() {
    let lab = Lab::new();
    let mapped = |to: SocketAddr| {
        let IpAddr::V4(ip) = to.ip() else { panic!("{to}") };
        let to = SocketAddr::new(ip.to_ipv6_mapped().into(), to.port());
        TcpStream::connect(to).unwrap()
    };
    let mut pair = lab.connect_by(Way::Cable4, mapped);
    assert!(pair.local.local_addr().unwrap().is_ipv6());
    assert!(pair.connection.local.is_ipv4());
    destroy(&lab, &pair.connection).unwrap();
    assert_eq!(read_error(&mut pair.local), libc::ECONNABORTED);
}

/// Though nobody knew that it is bound.
#[test]
fn a_connection_that_is_bound_to_its_interface_is_aborted() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let mut pair = lab.connect_by(way, |to| bound(to, CABLE));
        destroy(&lab, &pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNABORTED, "{way:?}");
    }
}

#[test]
fn another_socket_of_the_same_address_is_spared() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        for cookie in [pair.connection.cookie + 1_000_000, 0, u64::MAX] {
            let other = Connection { cookie, ..pair.connection };
            let error = destroy(&lab, &other).unwrap_err();
            assert!(matches!(error, ActError::Gone { .. }), "{way:?}: {error}");
        }
        pass(&mut pair.local, &mut pair.peer);
        pass(&mut pair.peer, &mut pair.local);
    }
}

#[test]
fn what_is_gone_is_said_to_be_gone() {
    let lab = Lab::new();
    for way in Way::ALL {
        let pair = lab.connect(way);
        destroy(&lab, &pair.connection).unwrap();
        let twice = destroy(&lab, &pair.connection).unwrap_err();
        assert!(matches!(twice, ActError::Gone { .. }), "{way:?}: {twice}");
        drop(pair.local);
        let closed = destroy(&lab, &pair.connection).unwrap_err();
        assert!(matches!(closed, ActError::Gone { .. }), "{way:?}: {closed}");
    }
}

#[test]
fn udp_sockets_are_aborted() {
    let lab = Lab::new();
    for way in Way::ALL {
        let (socket, _peer, connection) = datagrams(&lab, way);
        let other = Connection { cookie: connection.cookie + 1_000_000, ..connection };
        let error = destroy(&lab, &other).unwrap_err();
        assert!(matches!(error, ActError::Gone { .. }), "{way:?}: {error}");
        assert_eq!(aborted(&socket), None, "{way:?}");
        destroy(&lab, &connection).unwrap();
        assert_eq!(aborted(&socket), Some(libc::ECONNABORTED), "{way:?}");
    }
}

#[test]
fn udp_sockets_without_a_peer_are_aborted() {
    let lab = Lab::new();
    for any in ["0.0.0.0:0", "[::]:0"] {
        let socket = lab.near.within(|| UdpSocket::bind(any).unwrap());
        destroy(&lab, &datagram(&socket)).unwrap();
        assert_eq!(aborted(&socket), Some(libc::ECONNABORTED), "{any}");
    }
}

/// The kernel looks up by address, which these share. Which of them it then finds depends on the
/// order of their bind() and on the port: so it is the same one in both rounds.
#[test]
fn udp_sockets_that_share_an_address_are_not_mixed_up() {
    let lab = Lab::new();
    let mut address = "0.0.0.0:0".parse().unwrap();
    let found = [[0, 1], [1, 0]].map(|order| {
        let sockets = [(); 2].map(|()| {
            let socket = lab.near.within(|| shared(address));
            address = socket.local_addr().unwrap();
            socket
        });
        let [tried, other] = order.map(|i| &sockets[i]);
        let outcome = destroy(&lab, &datagram(tried));
        assert_eq!(aborted(other), None, "{order:?}: the wrong one");
        match outcome {
            Ok(()) => assert_eq!(aborted(tried), Some(libc::ECONNABORTED)),
            Err(ActError::Shadowed { .. }) => assert_eq!(aborted(tried), None),
            Err(ref error) => panic!("{error}"),
        }
        outcome.is_ok()
    });
    assert_ne!(found[0], found[1], "the kernel finds one of the two");
}

fn shared(address: SocketAddr) -> UdpSocket {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None).unwrap();
    setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    UdpSocket::from(socket)
}

fn datagram(socket: &UdpSocket) -> Connection {
    let local = socket.local_addr().unwrap();
    let nobody = SocketAddr::new(local.ip(), 0);
    Connection { cookie: cookie(socket), protocol: Protocol::Udp, ..new(local, nobody) }
}

fn aborted(socket: &UdpSocket) -> Option<i32> {
    socket.set_read_timeout(Some(SOON / 10)).unwrap();
    let error = socket.recv(&mut [0; 8]).unwrap_err();
    error.raw_os_error().filter(|errno| *errno != libc::EAGAIN)
}

#[test]
fn without_privileges_it_says_which_are_missing() {
    let lab = Lab::new();
    let mut pair = lab.connect(Way::Cable4);
    let (opened, destroyed) = lab.near.within(|| {
        // SAFETY: plain numbers. The system call itself (not the C function) changes this thread
        // alone, which ends here; giving up effective user id 0 gives up the capabilities.
        let dropped = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
        assert_eq!(dropped, 0, "{}", std::io::Error::last_os_error());
        (RawSender::open(None), act::destroy(&pair.connection))
    });
    let opened = opened.unwrap_err().to_string();
    assert!(opened.contains("CAP_NET_RAW"), "{opened}");
    let destroyed = destroyed.unwrap_err().to_string();
    assert!(destroyed.contains("CAP_NET_ADMIN"), "{destroyed}");
    pass(&mut pair.local, &mut pair.peer);
}
