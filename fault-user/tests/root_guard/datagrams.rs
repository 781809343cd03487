//! Guards on UDP sockets: connected or not, with one peer or many.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use fault_user::guard::{Fault, GuardError};

use crate::scene::{alone, soon};

const QUIET: Duration = Duration::from_millis(150);

fn bound(address: &str) -> UdpSocket {
    UdpSocket::bind(address).expect("loopback is up")
}

fn to(socket: &UdpSocket, ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), socket.local_addr().expect("bound").port())
}

/// What comes within this time.
fn hears(socket: &UdpSocket, within: Duration) -> Option<(String, SocketAddr)> {
    socket.set_read_timeout(Some(within)).expect("not zero");
    let mut room = [0; 1500];
    match socket.recv_from(&mut room) {
        Ok((n, from)) => Some((String::from_utf8_lossy(&room[..n]).into_owned(), from)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(e) => panic!("cannot read: {e}"),
    }
}

fn says(from: &UdpSocket, to: SocketAddr, text: &str) {
    from.send_to(text.as_bytes(), to).expect("the socket takes it");
}

fn heard(socket: &UdpSocket) -> String {
    hears(socket, soon()).expect("it comes").0
}

#[test]
fn a_connected_socket_goes_dark_one_way() {
    alone(|| {
        for ip in ["127.0.0.1", "::1"] {
            let any = if ip == "::1" { "[::1]:0" } else { "127.0.0.1:0" };
            let (client, server, other) = (bound(any), bound(any), bound(any));
            client.connect(to(&server, ip)).unwrap();
            other.connect(to(&server, ip)).unwrap();
            let fault = Fault::on(&client).unwrap().egress().drop_all().arm().unwrap();
            client.send(b"lost").unwrap();
            other.send(b"through").unwrap();
            assert_eq!(heard(&server), "through");
            let counts = fault.wait_hits(1, soon()).unwrap();
            assert_eq!((counts.egress.hit, counts.egress.stream.dropped), (1, 1), "{counts:?}");
            // The way back is free, and counted.
            says(&server, to(&client, ip), "answer");
            assert_eq!(heard(&client), "answer");
            let counts = fault.lift().unwrap();
            assert_eq!((counts.ingress.hit, counts.ingress.stream.packets), (0, 1), "{counts:?}");
            client.send(b"back").unwrap();
            assert_eq!(heard(&server), "back");
        }
    });
}

/// A server: whoever it hears, and whoever it answers, by which of its addresses ever.
#[test]
fn a_server_is_faulted_for_all_its_clients() {
    alone(|| {
        for (any, ips) in [
            ("0.0.0.0:0", &["127.0.0.1", "127.0.0.2"][..]),
            ("127.0.0.1:0", &["127.0.0.1"]),
            ("[::]:0", &["::1", "127.0.0.1"]),
        ] {
            let (server, bystander) = (bound(any), bound(any));
            let clients: Vec<_> = ips
                .iter()
                .map(|ip| (bound(if ip.contains(':') { "[::1]:0" } else { "127.0.0.1:0" }), *ip))
                .collect();
            let fault = Fault::on(&server).unwrap().ingress().drop_all().arm().unwrap();
            for (client, ip) in &clients {
                says(client, to(&server, ip), "lost");
                says(client, to(&bystander, ip), "through");
                assert_eq!(heard(&bystander), "through", "{any} {ip}");
            }
            assert_eq!(hears(&server, QUIET), None, "{any}");
            let counts = fault.lift().unwrap();
            assert_eq!(counts.ingress.hit, ips.len() as u64, "{any}: {counts:?}");

            let fault = Fault::on(&server).unwrap().egress().drop_first(1).arm().unwrap();
            for (client, ip) in &clients {
                says(client, to(&server, ip), "question");
                let (question, from) = hears(&server, soon()).expect("it comes");
                assert_eq!(question, "question");
                says(&server, from, "lost if it is the first");
                says(&server, from, "answer");
            }
            let answers: Vec<_> = clients.iter().map(|(client, _)| heard(client)).collect();
            assert_eq!(answers[0], "answer");
            assert!(answers[1..].iter().all(|a| a == "lost if it is the first"), "{answers:?}");
            let counts = fault.lift().unwrap();
            assert_eq!((counts.egress.hit, counts.ingress.hit), (1, 0), "{counts:?}");
            assert_eq!(counts.ingress.stream.packets, ips.len() as u64, "{counts:?}");
        }
    });
}

/// What takes time goes by the delay line.
#[test]
fn a_datagram_is_held_and_corrupted() {
    alone(|| {
        let (client, server) = (bound("127.0.0.1:0"), bound("0.0.0.0:0"));
        let held = Duration::from_millis(120);
        let fault = Fault::on(&client).unwrap().egress().delay(held).fault("corrupt = 1.0");
        let fault = fault.arm().unwrap();
        let began = Instant::now();
        says(&client, to(&server, "127.0.0.1"), "hello");
        let heard = heard(&server);
        assert!(began.elapsed() >= held, "{:?}", began.elapsed());
        assert!(heard != "hello" && heard.len() >= 5, "{heard:?}");
        let counts = fault.lift().unwrap();
        let stream = counts.egress.stream;
        assert_eq!((stream.delayed, stream.corrupted), (1, 1), "{counts:?}");
    });
}

/// While a guard is on it, its port is nobody else's.
#[test]
fn a_socket_stays_open_while_it_is_guarded() {
    alone(|| {
        let (client, server) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let address = server.local_addr().unwrap();
        let fault = Fault::on(&server).unwrap().ingress().drop_all().arm().unwrap();
        drop(server);
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(fault);
        let next = UdpSocket::bind(address).unwrap();
        says(&client, address, "hello");
        assert_eq!(heard(&next), "hello");
        // The next of that port is guarded as itself.
        let fault = Fault::on(&next).unwrap().ingress().drop_all().arm().unwrap();
        says(&client, address, "hello");
        fault.wait_hits(1, soon()).unwrap();
        assert_eq!(hears(&next, QUIET), None);
    });
}

#[test]
fn what_udp_cannot_have_is_refused() {
    alone(|| {
        let socket = bound("127.0.0.1:0");
        for keys in ["stall = true", "reset = \"both\""] {
            let told = Fault::on(&socket).unwrap().fault(keys).arm().unwrap_err();
            assert!(
                matches!(&told, GuardError::Fault(_)) && told.to_string().contains("TCP"),
                "{told}"
            );
        }
        let unbound = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Datagram,
            nix::sys::socket::SockFlag::empty(),
            None,
        );
        let told = Fault::on(&unbound.unwrap()).unwrap_err();
        assert!(matches!(told, GuardError::NotBound), "{told}");
    });
}
