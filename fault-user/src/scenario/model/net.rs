//! Ranges of addresses and ports.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits before an IPv4 address that is mapped into IPv6 (RFC 4291, 2.5.5.2).
const MAPPED: u8 = 96;

/// An address, or a network in CIDR notation (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Net {
    /// No bit beyond the prefix is set; mapped IPv4 is IPv4.
    pub ip: IpAddr,
    /// 0 to 32, or to 128.
    pub prefix: u8,
}

impl Net {
    /// Just this address.
    pub fn host(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { ip, prefix: if ip.is_ipv4() { 32 } else { 128 } }
    }

    /// The network of this prefix that the address is in; `None` if the prefix is too long for it.
    pub fn around(ip: IpAddr, prefix: u8) -> Option<Self> {
        let v4 = ip.is_ipv4();
        if prefix > if v4 { 32 } else { 128 } {
            return None;
        }
        let whole = if v4 { prefix + MAPPED } else { prefix };
        let net = Ipv6Addr::from_bits(bits(ip) & mask(whole));
        Some(match (v4, net.to_ipv4_mapped()) {
            (true, Some(ip)) => Self { ip: ip.into(), prefix },
            // A part of the mapped addresses, written as IPv6.
            (false, Some(ip)) if prefix >= MAPPED => {
                Self { ip: ip.into(), prefix: prefix - MAPPED }
            }
            _ => Self { ip: net.into(), prefix },
        })
    }

    /// Whether the address is in it. IPv6 networks hold no IPv4 address, mapped or not.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.ip.is_ipv4() == ip.is_ipv4() && (bits(ip) ^ bits(self.ip)) & mask(self.bits()) == 0
    }

    /// Its prefix as one of mapped addresses, 0 to 128.
    pub fn bits(&self) -> u8 {
        if self.ip.is_ipv4() { self.prefix + MAPPED } else { self.prefix }
    }

    /// Whether it is a single address.
    pub fn is_host(&self) -> bool {
        self.bits() == 128
    }
}

/// An address as a number, IPv4 mapped.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, prefix } = self;
        match self.is_host() {
            true => write!(f, "{ip}"),
            false => write!(f, "{ip}/{prefix}"),
        }
    }
}

/// Ports, first and last, which may be the same; from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    pub first: u16,
    pub last: u16,
}

impl Ports {
    /// All of them.
    pub const ALL: Self = Self { first: 1, last: u16::MAX };

    /// Just this one.
    pub fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Whether the port is one of them.
    pub fn holds(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        match (*self == Self::ALL, first == last) {
            (true, _) => f.write_str("*"),
            (_, true) => write!(f, "{first}"),
            _ => write!(f, "{first}-{last}"),
        }
    }
}

impl super::Remote {
    /// Whether a connection to `ip`:`port` goes there; `named` are the addresses of its name, if it is one.
    pub fn is(&self, named: &[IpAddr], ip: IpAddr, port: u16) -> bool {
        let host = match &self.host {
            super::Host::Any => true,
            super::Host::Net(net) => net.holds(ip),
            super::Host::Name(_) => named.contains(&ip.to_canonical()),
        };
        host && self.ports.holds(port)
    }
}

impl fmt::Display for super::Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            super::Host::Any => f.write_str("*")?,
            super::Host::Name(name) => f.write_str(name)?,
            super::Host::Net(net) if net.ip.is_ipv6() => write!(f, "[{net}]")?,
            super::Host::Net(net) => write!(f, "{net}")?,
        }
        write!(f, ":{}", self.ports)
    }
}

impl super::Local {
    /// Whether it is the local end.
    pub fn is(&self, ip: IpAddr, port: u16) -> bool {
        self.net.is_none_or(|net| net.holds(ip)) && self.ports.is_none_or(|p| p.holds(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(ip: &str, prefix: u8) -> Net {
        Net::around(ip.parse().unwrap(), prefix).unwrap()
    }

    #[test]
    fn networks_hold_their_own_family_only() {
        let holds = |net: Net, ip: &str| net.holds(ip.parse().unwrap());
        assert!(holds(net("10.0.0.0", 8), "10.255.0.1") && !holds(net("10.0.0.0", 8), "11.0.0.1"));
        assert!(holds(net("10.0.0.0", 8), "::ffff:10.1.1.1"), "a mapped address is IPv4");
        assert!(holds(net("fd00::", 8), "fdff::1") && !holds(net("fd00::", 8), "fe00::1"));
        assert!(holds(net("0.0.0.0", 0), "1.2.3.4") && !holds(net("0.0.0.0", 0), "::1"));
        assert!(holds(net("::", 0), "::1") && !holds(net("::", 0), "1.2.3.4"));
        assert_eq!(net("::ffff:10.0.0.0", 104), net("10.0.0.0", 8));
        assert_eq!(Net::host("::ffff:10.0.0.1".parse().unwrap()), net("10.0.0.1", 32));
        assert_eq!(Net::around("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(net("10.1.2.3", 8).to_string(), "10.0.0.0/8");
    }
}
