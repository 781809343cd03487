//! `struct tcp_info` (include/uapi/linux/tcp.h), which only ever grew at its end.

use std::time::Duration;

/// What of a connection's numbers is used here. A field that the kernel is too old for is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TcpInfo {
    /// Smoothed round-trip time; zero before the first measurement.
    pub rtt: Duration,
    /// Segments in flight.
    pub unacked: u32,
    /// Segments sent again, in all.
    pub retransmits: u32,
    /// How long ago data was sent, data came and an ack came, in this order. Before the first, since the handshake.
    pub last: [Duration; 3],
    /// Payload acknowledged by the peer, and 1 for our SYN and our FIN each (tcp_ack).
    pub bytes_acked: Option<u64>,
    /// Payload received in order.
    pub bytes_received: Option<u64>,
    /// Payload written by the app, not sent yet.
    pub not_sent: Option<u32>,
    /// Time with data in the send queue.
    pub busy: Option<Duration>,
    /// Payload sent, retransmissions included.
    pub bytes_sent: Option<u64>,
    /// Payload of the retransmissions.
    pub bytes_retransmitted: Option<u64>,
}

impl TcpInfo {
    /// Reads what there is. `None`: it ends before `tcpi_total_retrans`, which no kernel's does.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let ms = |at| u32_at(bytes, at).map(|ms| Duration::from_millis(ms.into()));
        Some(Self {
            rtt: Duration::from_micros(u32_at(bytes, 68)?.into()),
            unacked: u32_at(bytes, 24)?,
            retransmits: u32_at(bytes, 100)?,
            last: [ms(44)?, ms(52)?, ms(56)?],
            bytes_acked: u64_at(bytes, 120),
            bytes_received: u64_at(bytes, 128),
            not_sent: u32_at(bytes, 144),
            busy: u64_at(bytes, 168).map(Duration::from_micros),
            bytes_sent: u64_at(bytes, 200),
            bytes_retransmitted: u64_at(bytes, 208),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `tcp_info` of this length whose byte at each offset is that offset.
    fn numbered(length: u8) -> Vec<u8> {
        (0..length).collect()
    }

    #[test]
    fn fields_are_where_the_kernel_has_them() {
        let info = TcpInfo::parse(&numbered(232)).unwrap();
        let word = |at: u8| u32::from_ne_bytes([at, at + 1, at + 2, at + 3]);
        let long = |at: u8| u64::from_ne_bytes(std::array::from_fn(|i| at + i as u8));
        assert_eq!(info.rtt, Duration::from_micros(word(68).into()));
        assert_eq!((info.unacked, info.retransmits), (word(24), word(100)));
        assert_eq!(info.last, [44, 52, 56].map(|at| Duration::from_millis(word(at).into())));
        assert_eq!(info.bytes_acked, Some(long(120)));
        assert_eq!(info.bytes_received, Some(long(128)));
        assert_eq!(info.not_sent, Some(word(144)));
        assert_eq!(info.busy, Some(Duration::from_micros(long(168))));
        assert_eq!(info.bytes_sent, Some(long(200)));
        assert_eq!(info.bytes_retransmitted, Some(long(208)));
    }

    #[test]
    fn an_older_kernels_has_less() {
        let old = TcpInfo::parse(&numbered(192)).unwrap();
        assert_eq!((old.bytes_sent, old.bytes_retransmitted), (None, None));
        assert!(old.busy.is_some());
        assert_eq!(TcpInfo::parse(&numbered(103)), None);
    }
}
