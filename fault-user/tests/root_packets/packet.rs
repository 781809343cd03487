//! Packets as a test describes them, and as they stand on the wire. Checksums are left out: at
//! TC nobody has looked at them.

use std::net::{IpAddr, SocketAddr};

/// A packet. Everything may be wrong on purpose.
#[derive(Debug, Clone)]
pub struct Packet {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    /// VLAN tags in the packet, outermost first, by their TPID.
    pub tags: Vec<u16>,
    /// Stands in place of the right ethertype: ARP and the like.
    pub ethertype: Option<u16>,
    /// IPv4: words of options.
    pub options: u8,
    /// IPv4.
    pub fragment: Fragment,
    /// IPv6.
    pub extensions: Vec<Extension>,
    pub length: Length,
    pub body: Body,
    /// Bytes after the datagram, as on a short Ethernet frame.
    pub padding: usize,
    /// How many bytes of the end never arrived.
    pub cut: usize,
    /// What offload says: wire packets in this one, 0 for none.
    pub segs: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    Whole,
    First,
    Later,
}

#[derive(Debug, Clone, Copy)]
pub enum Extension {
    /// Number of a header of the common form (length in units of 8 bytes, the first not
    /// counted), and that length.
    Plain(u8, u8),
    /// A fragment header; whether of the first fragment.
    Fragment(bool),
    /// An authentication header with so many more words than its fixed part has.
    Auth(u8),
}

/// What the datagram's length field says.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    Right,
    /// As of BIG TCP.
    Zero,
    /// So much less or more than it has.
    Off(i16),
}

#[derive(Debug, Clone)]
pub enum Body {
    Tcp(Tcp),
    Udp {
        payload: usize,
    },
    /// Another protocol, by its number.
    Other(u8),
}

#[derive(Debug, Clone)]
pub struct Tcp {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    /// Words of options.
    pub options: u8,
    /// What the header claims as its length in words, in place of the truth.
    pub claims: Option<u8>,
    pub payload: usize,
}

impl Packet {
    /// A TCP packet with nothing unusual about it.
    pub fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8, seq: u32, payload: usize) -> Self {
        Self {
            src,
            dst,
            tags: Vec::new(),
            ethertype: None,
            options: 0,
            fragment: Fragment::Whole,
            extensions: Vec::new(),
            length: Length::Right,
            body: Body::Tcp(Tcp { flags, seq, ack: 1, options: 0, claims: None, payload }),
            padding: 0,
            cut: 0,
            segs: 0,
        }
    }

    /// The same with this acknowledgement number.
    pub fn ack(mut self, number: u32) -> Self {
        if let Body::Tcp(tcp) = &mut self.body {
            tcp.ack = number;
        }
        self
    }

    /// Its bytes, for a device with a link layer header or without one.
    pub fn bytes(&self, ethernet: bool) -> Vec<u8> {
        let (ethertype, datagram) = match self.src {
            SocketAddr::V4(_) => (0x0800u16, self.ipv4()),
            SocketAddr::V6(_) => (0x86dd, self.ipv6()),
        };
        let ethertype = self.ethertype.unwrap_or(ethertype);
        let mut bytes = Vec::new();
        if ethernet {
            bytes.extend([0x02; 12]);
            for tag in &self.tags {
                bytes.extend(tag.to_be_bytes());
                bytes.extend([0x20, 0x07]);
            }
            bytes.extend(ethertype.to_be_bytes());
        }
        bytes.extend(datagram);
        bytes.resize(bytes.len() + self.padding, 0xee);
        let least = least(&bytes);
        bytes.truncate(bytes.len() - self.cut.min(bytes.len()));
        bytes.resize(bytes.len().max(least), 0xee);
        bytes
    }

    fn ipv4(&self) -> Vec<u8> {
        let (proto, body) = self.body();
        let words = 5 + self.options;
        let total = self.length(usize::from(words) * 4 + body.len());
        let fragment: u16 = match self.fragment {
            Fragment::Whole => 0x4000,
            Fragment::First => 0x2000,
            Fragment::Later => 0x2000 | 185,
        };
        let mut bytes = vec![0x40 | words, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0x12, 0x34]);
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, proto, 0, 0]);
        bytes.extend(octets(self.src.ip()));
        bytes.extend(octets(self.dst.ip()));
        bytes.resize(usize::from(words) * 4, 1);
        bytes.extend(body);
        bytes
    }

    fn ipv6(&self) -> Vec<u8> {
        let (proto, body) = self.body();
        let mut numbers: Vec<u8> = self.extensions.iter().map(|e| e.number()).collect();
        numbers.push(proto);
        let mut rest = Vec::new();
        for (extension, next) in self.extensions.iter().zip(&numbers[1..]) {
            extension.write(*next, &mut rest);
        }
        rest.extend(body);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(self.length(rest.len()).to_be_bytes());
        bytes.extend([numbers[0], 64]);
        bytes.extend(octets(self.src.ip()));
        bytes.extend(octets(self.dst.ip()));
        bytes.extend(rest);
        bytes
    }

    fn length(&self, right: usize) -> u16 {
        match self.length {
            Length::Right => right as u16,
            Length::Zero => 0,
            Length::Off(by) => (right as u16).saturating_add_signed(by),
        }
    }

    fn body(&self) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        bytes.extend(self.src.port().to_be_bytes());
        bytes.extend(self.dst.port().to_be_bytes());
        match &self.body {
            Body::Tcp(tcp) => {
                let words = 5 + tcp.options;
                bytes.extend(tcp.seq.to_be_bytes());
                bytes.extend(tcp.ack.to_be_bytes());
                bytes.extend([tcp.claims.unwrap_or(words) << 4, tcp.flags, 0xff, 0xff, 0, 0, 0, 0]);
                bytes.resize(usize::from(words) * 4, 1);
                bytes.resize(bytes.len() + tcp.payload, b'p');
                (6, bytes)
            }
            Body::Udp { payload } => {
                bytes.extend((8 + *payload as u16).to_be_bytes());
                bytes.resize(8 + payload, b'u');
                (17, bytes)
            }
            Body::Other(proto) => {
                bytes.resize(64, b'o');
                (*proto, bytes)
            }
        }
    }
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::Plain(number, _) => number,
            Self::Fragment(_) => 44,
            Self::Auth(_) => 51,
        }
    }

    fn write(self, next: u8, to: &mut Vec<u8>) {
        let (second, length) = match self {
            Self::Plain(_, units) => (units, usize::from(units) * 8 + 8),
            Self::Fragment(_) => (0, 8),
            Self::Auth(words) => (words + 1, usize::from(words) * 4 + 12),
        };
        let end = to.len() + length;
        to.extend([next, second]);
        if let Self::Fragment(first) = self {
            // The offset is in the upper 13 bits; the lowest says that more follow.
            to.extend(if first { [0, 1] } else { [0x05, 0xc9] });
        }
        to.resize(end, 0);
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The fewest bytes that BPF_PROG_TEST_RUN takes (measured on 6.18): a link layer header and the
/// IP header that the ethertype promises, or one byte.
fn least(bytes: &[u8]) -> usize {
    match bytes.get(12..14) {
        Some([0x08, 0x00]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14 + 1,
    }
}
