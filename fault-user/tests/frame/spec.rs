//! A frame as a test describes it, built with etherparse.

use bytes::Bytes;
use etherparse::{
    EtherType, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options,
    Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, TcpHeader, UdpHeader,
};
use fault_user::line::frame::Frame;

pub const SRC4: [u8; 4] = [10, 77, 0, 1];
pub const DST4: [u8; 4] = [10, 77, 0, 2];
pub const SRC6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const DST6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub const SPORT: u16 = 40000;
pub const DPORT: u16 = 443;
pub const TAG: u16 = 0x0123;

/// What the checksum field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The pseudo-header's sum, to be completed.
    Partial,
    Full,
    /// UDP's 0.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tcp {
    pub seq: u32,
    pub flags: u8,
    pub urgent: u16,
    pub options: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub v6: bool,
    /// IPv4: words of no-operation options.
    pub ip_options: u8,
    /// IPv6: hop-by-hop and destination options, an atomic fragment.
    pub extensions: [bool; 3],
    pub inner_tag: Option<u16>,
    pub id: u16,
    /// DSCP and ECN.
    pub class: u8,
    /// UDP without.
    pub tcp: Option<Tcp>,
    pub payload: Vec<u8>,
    pub gso_size: Option<u16>,
    pub state: State,
    /// Bytes behind the packet, not zero.
    pub padding: usize,
}

impl Spec {
    pub fn tcp(v6: bool, payload: usize, gso_size: Option<u16>) -> Self {
        let tcp = Tcp { seq: 0xffff_fff0, flags: 0x18, urgent: 0, options: vec![1; 12] };
        Self { tcp: Some(tcp), ..Self::udp(v6, payload, gso_size) }
    }

    pub fn udp(v6: bool, payload: usize, gso_size: Option<u16>) -> Self {
        Self {
            v6,
            ip_options: 0,
            extensions: [false; 3],
            inner_tag: None,
            id: 7,
            class: 0,
            tcp: None,
            payload: (0..payload).map(|i| (i * 7 + i / 251) as u8).collect(),
            gso_size,
            state: State::Partial,
            padding: 0,
        }
    }

    pub fn frame(&self) -> Frame {
        Frame::parse(Bytes::from(self.bytes())).unwrap()
    }

    /// virtio_net_hdr and all.
    pub fn bytes(&self) -> Vec<u8> {
        let transport = self.transport();
        let ethertype = if self.v6 { EtherType::IPV6 } else { EtherType::IPV4 };
        let network = self.network(transport.len() + self.payload.len());
        let mut link = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0];
        link.extend(TAG.to_be_bytes());
        if let Some(tag) = self.inner_tag {
            link.extend([0x88, 0xa8]);
            link.extend(tag.to_be_bytes());
        }
        link.extend(ethertype.0.to_be_bytes());
        let start = link.len() + network.len();
        let headers = start + transport.len();
        let mut bytes = self.vnet(start as u16, headers as u16);
        bytes.extend([link, network, transport, self.payload.clone()].concat());
        bytes.extend(vec![0xa5; self.padding]);
        bytes
    }

    /// hdr_len is what the kernel happens to have linear, so anything.
    fn vnet(&self, start: u16, headers: u16) -> Vec<u8> {
        let partial = self.state == State::Partial;
        let cwr = self.tcp.as_ref().is_some_and(|tcp| tcp.flags & 0x80 != 0);
        let kind = match (self.gso_size, &self.tcp, self.v6) {
            (None, ..) => 0,
            (_, Some(_), false) => 1,
            (_, Some(_), true) => 4,
            (_, None, _) => 5,
        };
        let kind = if kind != 0 && cwr { kind | 0x80 } else { kind };
        let hdr_len = if kind == 0 { 0 } else { headers + 100 };
        let offset = if self.tcp.is_some() { 16 } else { 6 };
        let (start, offset) = if partial { (start, offset) } else { (0, 0) };
        let mut bytes = vec![u8::from(partial), kind];
        for number in [hdr_len, self.gso_size.unwrap_or(0), start, offset] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes
    }

    fn network(&self, payload: usize) -> Vec<u8> {
        let number = if self.tcp.is_some() { IpNumber::TCP } else { IpNumber::UDP };
        let mut headers = if self.v6 { self.ipv6() } else { self.ipv4() };
        headers.set_next_headers(number);
        let jumbo = payload + headers.header_len() > 65535;
        headers.set_payload_len(if jumbo { 0 } else { payload }).unwrap();
        if let IpHeaders::Ipv4(header, _) = &mut headers {
            header.total_len = if jumbo { 0 } else { header.total_len };
            header.header_checksum = header.calc_header_checksum();
        }
        let mut bytes = Vec::new();
        headers.write(&mut bytes).unwrap();
        if jumbo && self.v6 {
            bytes[4..6].fill(0);
        }
        bytes
    }

    fn ipv4(&self) -> IpHeaders {
        let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, SRC4, DST4).unwrap();
        header.identification = self.id;
        header.dscp = (self.class >> 2).try_into().unwrap();
        header.ecn = (self.class & 3).try_into().unwrap();
        let options = vec![1; usize::from(self.ip_options) * 4];
        header.options = Ipv4Options::try_from(&options[..]).unwrap();
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    }

    fn ipv6(&self) -> IpHeaders {
        let header = Ipv6Header {
            traffic_class: self.class,
            hop_limit: 64,
            source: SRC6,
            destination: DST6,
            ..Ipv6Header::default()
        };
        // PadN (RFC 8200, 4.2) over so many bytes.
        let options = |zeros: u8| {
            let option = [vec![1, zeros], vec![0; usize::from(zeros)]].concat();
            Ipv6RawExtHeader::new_raw(IpNumber::TCP, &option).unwrap()
        };
        let [hop, destination, fragment] = self.extensions;
        let atomic = Ipv6FragmentHeader::new(IpNumber::TCP, IpFragOffset::ZERO, false, 99);
        let extensions = Ipv6Extensions {
            hop_by_hop_options: hop.then(|| options(4)),
            destination_options: destination.then(|| options(12)),
            fragment: fragment.then_some(atomic),
            ..Ipv6Extensions::default()
        };
        IpHeaders::Ipv6(header, extensions)
    }

    fn transport(&self) -> Vec<u8> {
        let length = |header: usize| header + self.payload.len();
        let (mut bytes, field) = match &self.tcp {
            Some(tcp) => (self.tcp_header(tcp), 16),
            None => {
                let length = length(8) as u16;
                let header =
                    UdpHeader { source_port: SPORT, destination_port: DPORT, length, checksum: 0 };
                (header.to_bytes().to_vec(), 6)
            }
        };
        let check = match self.state {
            State::None => 0,
            State::Partial => self.pseudo(length(bytes.len())),
            State::Full => self.full(&bytes),
        };
        bytes[field..field + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    fn tcp_header(&self, tcp: &Tcp) -> Vec<u8> {
        let mut header = TcpHeader::new(SPORT, DPORT, tcp.seq, 5000);
        header.acknowledgment_number = 0x0102_0304;
        header.urgent_pointer = tcp.urgent;
        header.set_options_raw(&tcp.options).unwrap();
        let mut bytes = header.to_bytes().to_vec();
        bytes[13] = tcp.flags;
        bytes
    }

    fn full(&self, header: &[u8]) -> u16 {
        let payload = &self.payload[..];
        if self.tcp.is_some() {
            let header = TcpHeader::from_slice(header).unwrap().0;
            match self.v6 {
                true => header.calc_checksum_ipv6_raw(SRC6, DST6, payload),
                false => header.calc_checksum_ipv4_raw(SRC4, DST4, payload),
            }
            .unwrap()
        } else {
            let header = UdpHeader::from_slice(header).unwrap().0;
            match self.v6 {
                true => header.calc_checksum_ipv6_raw(SRC6, DST6, payload),
                false => header.calc_checksum_ipv4_raw(SRC4, DST4, payload),
            }
            .unwrap()
        }
    }

    pub fn pseudo(&self, length: usize) -> u16 {
        let addresses = if self.v6 { [SRC6, DST6].concat() } else { [SRC4, DST4].concat() };
        let number = if self.tcp.is_some() { 6 } else { 17 };
        crate::card::fold(crate::card::words(&addresses) + number + length as u64)
    }
}
