//! What etherparse says about a packet on the wire.

use etherparse::{Ipv4Header, NetSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice};
use fault_user::line::frame::Piece;

/// A packet with TCP or UDP.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    pub tags: Vec<u16>,
    pub id: u16,
    pub ecn: u8,
    /// IP bytes.
    pub ip_len: usize,
    pub seq: u32,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
    pub payload: Vec<u8>,
    /// The IPv4 header's checksum is right.
    pub header_good: bool,
    /// UDP without a checksum counts as good.
    pub transport_good: bool,
    pub unchecked: bool,
}

impl Wire {
    /// The receiver's stack takes it.
    pub fn good(&self) -> bool {
        self.header_good && self.transport_good
    }

    /// Of an Ethernet frame; panics if etherparse finds anything wrong with its lengths.
    pub fn read(frame: &[u8]) -> Self {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let tags = packet.vlan_ids().iter().map(|id| id.value()).collect();
        let net = packet.net.unwrap();
        let (id, ecn, ip_len, header_good) = network(&net);
        let mut wire = Self {
            tags,
            id,
            ecn,
            ip_len,
            header_good,
            seq: 0,
            flags: 0,
            window: 0,
            urgent: 0,
            payload: Vec::new(),
            transport_good: false,
            unchecked: false,
        };
        match packet.transport.unwrap() {
            TransportSlice::Tcp(tcp) => wire.tcp(&tcp, &net),
            TransportSlice::Udp(udp) => wire.udp(&udp, &net),
            other => panic!("{other:?}"),
        }
        wire
    }

    fn tcp(&mut self, tcp: &TcpSlice<'_>, net: &NetSlice<'_>) {
        self.seq = tcp.sequence_number();
        self.flags = tcp.slice()[13];
        self.window = tcp.window_size();
        self.urgent = tcp.urgent_pointer();
        self.payload = tcp.payload().to_vec();
        let check = match addresses(net) {
            Addresses::V4(from, to) => tcp.calc_checksum_ipv4(from, to),
            Addresses::V6(from, to) => tcp.calc_checksum_ipv6(from, to),
        };
        self.transport_good = same(check.unwrap(), tcp.checksum());
    }

    fn udp(&mut self, udp: &UdpSlice<'_>, net: &NetSlice<'_>) {
        let (header, payload) = (udp.to_header(), udp.payload());
        self.payload = payload.to_vec();
        self.unchecked = udp.checksum() == 0;
        let check = match addresses(net) {
            Addresses::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, payload),
            Addresses::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, payload),
        };
        self.transport_good = self.unchecked || same(check.unwrap(), udp.checksum());
    }
}

enum Addresses {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn addresses(net: &NetSlice<'_>) -> Addresses {
    match net {
        NetSlice::Ipv4(ip) => Addresses::V4(ip.header().source(), ip.header().destination()),
        NetSlice::Ipv6(ip) => Addresses::V6(ip.header().source(), ip.header().destination()),
        NetSlice::Arp(_) => panic!("ARP has no addresses of a flow"),
    }
}

/// 0 and 0xffff are the same sum (RFC 1624, 3).
fn same(left: u16, right: u16) -> bool {
    left % 0xffff == right % 0xffff
}

fn network(net: &NetSlice<'_>) -> (u16, u8, usize, bool) {
    match net {
        NetSlice::Ipv4(ip) => {
            let header: Ipv4Header = ip.header().to_header();
            let good = same(header.calc_header_checksum(), header.header_checksum);
            (header.identification, header.ecn.value(), usize::from(header.total_len), good)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            (0, header.traffic_class() & 3, 40 + usize::from(header.payload_length()), true)
        }
        NetSlice::Arp(_) => panic!("ARP is no IP"),
    }
}

/// The bytes that a piece is written as.
pub fn written(piece: &Piece) -> Vec<u8> {
    let bytes: Vec<u8> = piece.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(bytes.len(), piece.len());
    bytes
}

/// The packets that a piece becomes.
pub fn packets(piece: &Piece) -> Vec<Wire> {
    let sent = crate::card::send(&written(piece));
    assert_eq!(sent.len(), piece.wire_packets() as usize);
    sent.iter().map(|frame| Wire::read(frame)).collect()
}

/// The packet that a piece of one segment becomes.
pub fn packet(piece: &Piece) -> Wire {
    let mut packets = packets(piece);
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}
