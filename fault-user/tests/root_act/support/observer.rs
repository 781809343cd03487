//! A packet socket that keeps the record of a connection, as the packet programs will.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TcpSlice, TransportSlice};
use fault_user::act::{Connection, LastSegment, Protocol};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use super::netns::Netns;
use super::{SOON, index_of};

/// Longer than a delayed acknowledgement takes (TCP_DELACK_MIN, 40 ms).
const STILL: Duration = Duration::from_millis(80);

/// Watches one interface, both directions.
pub struct Observer {
    socket: OwnedFd,
    connection: Option<Connection>,
    /// The last packet that left, with its IP header.
    pub last_sent: Vec<u8>,
}

impl Observer {
    pub fn new(netns: &Netns, interface: &str) -> Self {
        let socket = netns.within(|| open(interface));
        Self { socket, connection: None, last_sent: Vec::new() }
    }

    /// The connection to `remote`, when nothing has happened on it for a while.
    pub fn settle(&mut self, remote: SocketAddr) -> Connection {
        let deadline = Instant::now() + SOON;
        while self.take(remote) || self.connection.is_none() {
            assert!(Instant::now() < deadline, "no rest on the way to {remote}");
        }
        self.connection.unwrap()
    }

    /// Takes what comes within a while; whether anything did.
    fn take(&mut self, remote: SocketAddr) -> bool {
        use std::os::fd::AsFd as _;
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(STILL).unwrap()).unwrap();
        let (mut any, mut buffer) = (false, vec![0; 1 << 16]);
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => any |= self.note(&buffer[..length], remote),
                Err(error) => {
                    assert_eq!(error, Errno::EAGAIN);
                    return any;
                }
            }
        }
    }

    fn note(&mut self, packet: &[u8], remote: SocketAddr) -> bool {
        let Ok(sliced) = SlicedPacket::from_ip(packet) else { return false };
        let (from, to): (IpAddr, IpAddr) = match sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            Some(NetSlice::Ipv6(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            _ => return false,
        };
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return false };
        let from = SocketAddr::new(from, tcp.source_port());
        let to = SocketAddr::new(to, tcp.destination_port());
        let segment = Some(segment(&tcp));
        if to == remote {
            self.last_sent = packet.to_vec();
            self.connection.get_or_insert(new(from, remote)).sent = segment;
        } else if from == remote {
            self.connection.get_or_insert(new(to, remote)).received = segment;
        } else {
            return false;
        }
        true
    }
}

pub fn new(local: SocketAddr, remote: SocketAddr) -> Connection {
    let protocol = Protocol::Tcp;
    Connection { cookie: 0, protocol, local, remote, ifindex: 0, sent: None, received: None }
}

fn segment(tcp: &TcpSlice<'_>) -> LastSegment {
    let length = tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
    LastSegment {
        end_seq: tcp.sequence_number().wrapping_add(length),
        ack: tcp.acknowledgment_number(),
        window: tcp.window_size(),
        timestamps: tcp.options_iterator().find_map(|option| match option {
            Ok(TcpOptionElement::Timestamp(value, echo)) => Some((value, echo)),
            _ => None,
        }),
        has_ack: tcp.ack(),
    }
}

/// Packets without link layer header.
fn open(interface: &str) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let all = Some(SockProtocol::EthAll);
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, all).unwrap();
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index_of(interface).cast_signed();
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: a sockaddr_ll with its size.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
    socket
}
