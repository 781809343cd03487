//! Resets of both ends, by raw sockets.

use std::io::Write as _;
use std::net::{SocketAddr, SocketAddrV6, TcpStream};
use std::os::fd::AsRawFd as _;

use fault_user::act::{ActError, Connection, RawSender};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, setsockopt, socket,
    sockopt,
};

use crate::support::netns::CABLE;
use crate::support::observer::Observer;
use crate::support::{Lab, SOON, Way, index_of, pass, read_error, untouched};

#[test]
fn the_local_end_of_an_idle_connection_is_reset_and_the_peer_learns_nothing() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        let sent = lab.sender.reset_local(&pair.connection).unwrap();
        assert_eq!(sent.len(), 1, "{way:?}: both directions tell the same: {sent:?}");
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
        untouched(&mut pair.peer);
    }
}

#[test]
fn the_peer_is_reset_and_the_local_end_learns_nothing_until_it_sends() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        lab.sender.reset_peer(&pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.peer), libc::ECONNRESET, "{way:?}");
        untouched(&mut pair.local);
        pair.local.write_all(b"x").unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
    }
}

#[test]
fn both_ends_are_reset() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        lab.sender.reset_local(&pair.connection).unwrap();
        lab.sender.reset_peer(&pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
        assert_eq!(read_error(&mut pair.peer), libc::ECONNRESET, "{way:?}");
    }
}

/// After data that one side has not acknowledged on record, one of the two candidates is right.
#[test]
fn an_outdated_record_of_one_direction_does_not_prevent_a_reset() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let mut pair = lab.connect(way);
        let mut stale = pair.connection;
        stale.sent.as_mut().unwrap().ack -= 1;
        let sent = lab.sender.reset_local(&stale).unwrap();
        assert_eq!(sent.len(), 2, "{way:?}: {sent:?}");
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");

        let mut pair = lab.connect(way);
        let mut stale = pair.connection;
        stale.received.as_mut().unwrap().end_seq += 100;
        assert_eq!(lab.sender.reset_local(&stale).unwrap().len(), 2);
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
    }
}

#[test]
fn a_wrong_sequence_number_harms_nobody() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        let c = &pair.connection;
        for mut segment in [c.resets_to_local().unwrap(), c.resets_to_peer().unwrap()].concat() {
            segment.seq = segment.seq.wrapping_add(100);
            lab.sender.send_segment(segment, 0).unwrap();
        }
        untouched(&mut pair.local);
        untouched(&mut pair.peer);
        pass(&mut pair.local, &mut pair.peer);
        pass(&mut pair.peer, &mut pair.local);
    }
}

#[test]
fn a_connection_that_is_not_answered_is_refused() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let error = opening(&lab, way, |sender, connection, _| {
            assert_eq!(connection.received, None);
            sender.reset_local(connection).unwrap();
        });
        assert_eq!(error, libc::ECONNREFUSED, "{way:?}");
    }
}

/// Does something to a connection whose SYN is out; the error of its connect().
pub fn opening(lab: &Lab, way: Way, act: impl FnOnce(&RawSender, &Connection, &[u8])) -> i32 {
    let mut observer = Observer::new(&lab.near, way.interface());
    let remote = way.silence();
    std::thread::scope(|scope| {
        let connect = || lab.near.within(|| TcpStream::connect_timeout(&remote, SOON));
        let connecting = scope.spawn(connect);
        let connection = observer.settle(remote);
        act(&lab.sender, &connection, &observer.last_sent);
        let error = connecting.join().unwrap().expect_err("nobody is there");
        error.raw_os_error().unwrap_or_else(|| panic!("{way:?}: {error}"))
    })
}

/// A socket that is bound to an interface takes only what comes by that interface.
#[test]
fn a_socket_that_is_bound_to_its_interface_is_reset() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let mut pair = lab.connect_by(way, |to| bound(to, CABLE));
        let index = lab.near.within(|| index_of(CABLE));
        let connection = Connection { ifindex: index, ..pair.connection };
        lab.sender.reset_local(&connection).unwrap();
        lab.sender.reset_peer(&connection).unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
        assert_eq!(read_error(&mut pair.peer), libc::ECONNRESET, "{way:?}");
    }
}

/// A connection from a socket that is bound to an interface.
pub fn bound(to: SocketAddr, interface: &str) -> TcpStream {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&socket, sockopt::BindToDevice, &interface.into()).unwrap();
    match to {
        SocketAddr::V4(to) => connect(socket.as_raw_fd(), &SockaddrIn::from(to)).unwrap(),
        SocketAddr::V6(to) => connect(socket.as_raw_fd(), &SockaddrIn6::from(to)).unwrap(),
    }
    TcpStream::from(socket)
}

#[test]
fn link_local_connections_are_reset() {
    let lab = Lab::new();
    let [near, far] = ["fe80::77:1", "fe80::77:2"];
    lab.near.ip(&format!("addr add {near}/64 dev {CABLE} nodad"));
    lab.far.ip(&format!("addr add {far}/64 dev {CABLE} nodad"));
    let [here, there] = [&lab.near, &lab.far].map(|ns| ns.within(|| index_of(CABLE)));
    let scoped = |scope| SocketAddrV6::new(far.parse().unwrap(), 0, 0, scope);
    let listener = lab.far.within(|| std::net::TcpListener::bind(scoped(there)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut observer = Observer::new(&lab.near, CABLE);
    let mut to = scoped(here);
    to.set_port(port);
    let mut local = lab.near.within(|| TcpStream::connect(to).unwrap());
    let mut peer = listener.accept().unwrap().0;
    pass(&mut local, &mut peer);
    let seen = observer.settle(SocketAddr::new(far.parse().unwrap(), port));
    let connection = Connection { ifindex: here, ..seen };
    lab.sender.reset_local(&connection).unwrap();
    lab.sender.reset_peer(&connection).unwrap();
    assert_eq!(read_error(&mut local), libc::ECONNRESET);
    assert_eq!(read_error(&mut peer), libc::ECONNRESET);
}

#[test]
fn a_route_that_does_not_exist_is_an_error() {
    let lab = Lab::new();
    let mut pair = lab.connect(Way::Cable4);
    let nowhere = Connection { remote: "192.0.2.1:9".parse().unwrap(), ..pair.connection };
    let error = lab.sender.reset_peer(&nowhere).unwrap_err();
    let ActError::System { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.raw_os_error(), Some(libc::ENETUNREACH));
    untouched(&mut pair.peer);
}
