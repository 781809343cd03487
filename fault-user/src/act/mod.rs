//! What flowfault does to a connection from outside: packets that it sends itself, and sockets
//! that it has the kernel destroy.
//!
//! [`segment`] and [`icmp`] build packets and touch nothing; [`sender`] sends them through raw
//! sockets; [`destroy`] asks the kernel by netlink. Sockets belong to the network namespace of
//! the thread that opens them, so all of it has to be called where the connection is.
//!
//! None of these packets is the app's: the packet programs let them pass and do not count them,
//! if they know the cookies of the sender's sockets (`Kernel::exempt`).

pub mod destroy;
mod error;
pub mod icmp;
pub mod segment;
pub mod sender;

use std::net::SocketAddr;

pub use destroy::destroy;
pub use error::ActError;
pub use icmp::Unreachable;
pub use segment::Segment;
pub use sender::RawSender;

/// Transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What is on record of the last segment in one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSegment {
    /// Sequence number after its payload, SYN and FIN. The highest is worth more than the last:
    /// after a retransmission the two differ.
    pub end_seq: u32,
    /// Its acknowledgement number; 0 without the flag.
    pub ack: u32,
    /// Its window as it stands in the header, before scaling, and before any rewriting by us.
    pub window: u16,
    /// Value and echo of its timestamp option (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
    /// Whether it has the ACK flag: only a connection's first SYN has not, and some resets.
    pub has_ack: bool,
}

/// A connection, seen from the socket that was selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The name that the kernel gives the socket (SO_COOKIE, bpf_get_socket_cookie).
    pub cookie: u64,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The socket's own address. One of IPv4 is written as such, also if the socket is an IPv6
    /// one (`::ffff:a.b.c.d`).
    pub local: SocketAddr,
    /// The peer's address, in the same family.
    pub remote: SocketAddr,
    /// Interface that the socket is bound to, or that its link-local addresses belong to; 0 for
    /// neither.
    pub ifindex: u32,
    /// Last segment that the socket sent.
    pub sent: Option<LastSegment>,
    /// Last segment that it received.
    pub received: Option<LastSegment>,
}
