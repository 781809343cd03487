//! One socket, as the kernel's socket diagnosis tells of it.

use std::net::SocketAddr;

use super::TcpInfo;

/// Transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As scenarios call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A state of RFC 9293; UDP sockets are `Established` (connected) or `Close` (not connected).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A number that this version does not know.
    Other(u8),
}

impl State {
    /// The state behind a number of the kernel (include/net/tcp_states.h).
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is a request socket's, which has not got a socket of its own yet.
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }

    /// As RFC 9293 and ss(8) call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Close => "closed",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listening",
            Self::Closing => "closing",
            Self::Other(_) => "unknown",
        }
    }

    /// Whether the handshake is over and the connection is not: what `tcp_info` says of times
    /// is defined in these states only (tcp_finish_connect and tcp_create_openreq_child set them).
    pub fn is_synchronized(self) -> bool {
        matches!(
            self,
            Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::LastAck
                | Self::Closing
        )
    }
}

/// One socket. Mapped addresses (`::ffff:a.b.c.d`) are given as the IPv4 addresses that are on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub protocol: Protocol,
    pub state: State,
    pub local: SocketAddr,
    /// `None`: not connected.
    pub remote: Option<SocketAddr>,
    /// Unique on this machine until it boots again.
    pub cookie: u64,
    /// Its inode in sockfs; `None`: no file refers to it (any more, or yet).
    pub inode: Option<u64>,
    /// User id of its file's owner.
    pub uid: u32,
    /// Index of the interface that it is bound to; 0: none.
    pub interface: u32,
    /// SO_MARK; `None`: not told without CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Id of the cgroup that it belongs to, which is that of its maker; `None`: not told.
    pub cgroup: Option<u64>,
    /// Bytes that the app has not read yet.
    pub receive_queue: u32,
    /// Bytes that the peer has not acknowledged yet (TCP), or that have not left (UDP).
    pub send_queue: u32,
    /// `None` for UDP, and in TIME_WAIT.
    pub tcp: Option<TcpInfo>,
}

impl Socket {
    /// Whether packets of a connection (or of a connected UDP socket) can still belong to it.
    pub fn is_live(&self) -> bool {
        self.remote.is_some()
            && !matches!(self.state, State::TimeWait | State::Close | State::Listen)
    }
}
