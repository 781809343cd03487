//! Addresses between std and the kernel tables (see `fault_common::table::Addr`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use fault_common::table::Addr;

/// An address as the kernel tables hold it; IPv4 as ::ffff:a.b.c.d.
pub fn words(ip: IpAddr) -> Addr {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let word = |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    [word(0), word(4), word(8), word(12)]
}

/// The address behind such words; a mapped one is given back as IPv4.
pub fn ip(words: Addr) -> IpAddr {
    let mut bytes = [0; 16];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(bytes).to_canonical()
}

/// Address and port for people: `127.0.0.1:443`, `[::1]:443`.
pub fn socket(words: Addr, port: u16) -> SocketAddr {
    SocketAddr::new(ip(words), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["127.0.0.1", "10.77.0.2", "::1", "2001:db8::7"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(super::ip(words(ip)), ip);
        }
        assert_eq!(words("::ffff:10.0.0.1".parse().unwrap()), words("10.0.0.1".parse().unwrap()));
        assert_eq!(socket(words("::1".parse().unwrap()), 443).to_string(), "[::1]:443");
    }
}
