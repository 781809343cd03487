//! Who opened a connection.

use super::{Protocol, Socket, State};

/// Who opened a connection, seen from its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opened {
    /// The app, by connect(2).
    Connect,
    /// The peer.
    Accept,
    /// The kernel has no record of it, and its counters do not tell at the moment.
    Unknown,
}

impl Opened {
    /// Tells it from the kernel's counters, if they can tell.
    ///
    /// `tcpi_bytes_acked` counts what snd_una moved by, hence the SYN of an active opener. A passive one's socket is made
    /// with snd_una behind its SYN (tcp_create_openreq_child). So with everything sent and acknowledged, it is one above
    /// the payload, or equal.
    /// The four numbers are read under the socket's lock (tcp_get_info), so they fit each other.
    pub fn of(socket: &Socket) -> Self {
        match (socket.protocol, socket.state) {
            (Protocol::Udp, _) if socket.remote.is_some() => Self::Connect,
            (Protocol::Tcp, State::SynSent) => Self::Connect,
            // With a file it is an opener whose peer opened at the same time (RFC 9293, 3.5).
            (Protocol::Tcp, State::SynReceived) if socket.inode.is_none() => Self::Accept,
            // After our FIN its ack may be counted as well.
            (Protocol::Tcp, State::Established | State::CloseWait) => by_acks(socket),
            _ => Self::Unknown,
        }
    }

    /// As scenarios call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Unknown => "unknown",
        }
    }
}

fn by_acks(socket: &Socket) -> Opened {
    let surplus = || {
        let info = socket.tcp.as_ref()?;
        let idle = info.unacked == 0 && info.not_sent? == 0;
        let payload = info.bytes_sent?.checked_sub(info.bytes_retransmitted?)?;
        idle.then(|| info.bytes_acked?.checked_sub(payload))?
    };
    match surplus() {
        Some(1) => Opened::Connect,
        Some(0) => Opened::Accept,
        _ => Opened::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::TcpInfo;

    fn opened(state: State, acked: u64, sent: u64, again: u64, unacked: u32) -> Opened {
        let info = TcpInfo {
            bytes_acked: Some(acked),
            bytes_sent: Some(sent),
            bytes_retransmitted: Some(again),
            not_sent: Some(0),
            unacked,
            ..TcpInfo::default()
        };
        let tcp = Some(info);
        Opened::of(&Socket { state, tcp, ..crate::sockets::selector::sample() })
    }

    #[test]
    fn the_acked_syn_tells() {
        assert_eq!(opened(State::Established, 1001, 1000, 0, 0), Opened::Connect);
        assert_eq!(opened(State::Established, 1001, 1300, 300, 0), Opened::Connect);
        assert_eq!(opened(State::CloseWait, 77, 77, 0, 0), Opened::Accept);
        // In flight, after a FIN, or with numbers that contradict each other: nothing is known.
        assert_eq!(opened(State::Established, 1001, 1000, 0, 1), Opened::Unknown);
        assert_eq!(opened(State::FinWait2, 78, 77, 0, 0), Opened::Unknown);
        assert_eq!(opened(State::Established, 900, 1000, 0, 0), Opened::Unknown);
        assert_eq!(opened(State::SynSent, 0, 0, 0, 1), Opened::Connect);
        assert_eq!(opened(State::SynReceived, 0, 0, 0, 1), Opened::Unknown);
    }
}
