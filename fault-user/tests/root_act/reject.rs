//! ICMP and ICMPv6 errors: which errno the app gets.

use std::io::ErrorKind;
use std::net::UdpSocket;

use fault_user::act::{Connection, Protocol, Unreachable};

use crate::reset::opening;
use crate::support::observer::new;
use crate::support::{Lab, QUIET, SOON, Way, cookie};

use Unreachable::{Admin, Host, Net, Port};

#[test]
fn connect_gets_the_error_of_each_kind() {
    let lab = Lab::new();
    let table = [
        (Way::Cable4, Net, libc::ENETUNREACH),
        (Way::Cable4, Host, libc::EHOSTUNREACH),
        (Way::Cable4, Port, libc::ECONNREFUSED),
        (Way::Cable4, Admin, libc::EHOSTUNREACH),
        (Way::Cable6, Net, libc::ENETUNREACH),
        (Way::Cable6, Host, libc::EHOSTUNREACH),
        (Way::Cable6, Port, libc::ECONNREFUSED),
        (Way::Cable6, Admin, libc::EACCES),
    ];
    for (way, kind, errno) in table {
        let error = opening(&lab, way, |sender, connection, _| {
            sender.unreachable(connection, kind).unwrap();
        });
        assert_eq!(error, errno, "{way:?} {kind:?}");
    }
}

/// With the app's own packet for a quote, any code, and from another address.
#[test]
fn connect_gets_the_error_of_a_ready_type_and_code() {
    let lab = Lab::new();
    let table = [(Way::Cable4, (3, 2), "10.77.0.1"), (Way::Cable6, (1, 4), "fd77::1")];
    let errnos = [libc::ENOPROTOOPT, libc::ECONNREFUSED];
    for ((way, code, from), errno) in table.into_iter().zip(errnos) {
        let error = opening(&lab, way, |sender, connection, syn| {
            let to = connection.local.ip();
            sender.send_icmp(to, from.parse().unwrap(), code, syn).unwrap();
        });
        assert_eq!(error, errno, "{way:?}");
    }
}

/// Soft errors leave a connected UDP socket as it is.
#[test]
fn a_connected_udp_socket_gets_the_error_of_each_kind() {
    let lab = Lab::new();
    for way in Way::ALL {
        let v6 = way.peer().is_ipv6();
        let admin = if v6 { libc::EACCES } else { libc::EHOSTUNREACH };
        let table =
            [(Net, None), (Host, None), (Port, Some(libc::ECONNREFUSED)), (Admin, Some(admin))];
        for (kind, errno) in table {
            let (socket, _peer, connection) = datagrams(&lab, way);
            lab.sender.unreachable(&connection, kind).unwrap();
            socket.set_read_timeout(Some(errno.map_or(QUIET, |_| SOON))).unwrap();
            let error = socket.recv(&mut [0; 8]).unwrap_err();
            match errno {
                Some(errno) => assert_eq!(error.raw_os_error(), Some(errno), "{way:?} {kind:?}"),
                None => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{way:?} {kind:?}"),
            }
            // Once only.
            socket.send(b"x").unwrap();
        }
    }
}

/// A connected socket and its peer.
pub fn datagrams(lab: &Lab, way: Way) -> (UdpSocket, UdpSocket, Connection) {
    let peer = lab.peers(way).within(|| UdpSocket::bind((way.peer(), 0)).unwrap());
    let remote = peer.local_addr().unwrap();
    let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = lab.near.within(|| UdpSocket::bind(any).unwrap());
    lab.near.within(|| socket.connect(remote).unwrap());
    socket.send(b"x").unwrap();
    let local = socket.local_addr().unwrap();
    let cookie = cookie(&socket);
    (socket, peer, Connection { cookie, protocol: Protocol::Udp, ..new(local, remote) })
}
