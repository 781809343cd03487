//! Answers of the kernel's socket diagnosis: bytes to [`Socket`] (include/uapi/linux/inet_diag.h).
//!
//! `netlink-packet-sock-diag` has a parser as well, which refuses the whole message if one attribute is
//! shorter than its newest form, does not know the cgroup's id, and reads mapped addresses as IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::NlasIterator;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, INET_DIAG_INFO, INET_DIAG_MARK};

use super::{Protocol, Socket, State, TcpInfo};

/// `sizeof(struct inet_diag_msg)`.
const HEADER: usize = 72;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Reads the payload of one answer.
///
/// # Errors
/// What is wrong with it.
pub fn socket(protocol: Protocol, bytes: &[u8]) -> Result<Socket, String> {
    let Some((header, attributes)) = bytes.split_at_checked(HEADER) else {
        return Err(format!("a socket in {} bytes, which needs {HEADER}", bytes.len()));
    };
    let family = header[0];
    let local = address(family, &header[8..24], port(header, 4))?;
    let remote = address(family, &header[24..40], port(header, 6))?;
    let [low, high] = [word(header, 44), word(header, 48)].map(u64::from);
    let inode = u64::from(word(header, 68));
    let mut socket = Socket {
        protocol,
        state: State::of(header[1]),
        local,
        remote: (remote.port() != 0).then_some(remote),
        cookie: low | high << 32,
        inode: (inode != 0).then_some(inode),
        uid: word(header, 64),
        interface: word(header, 40),
        mark: None,
        cgroup: None,
        receive_queue: word(header, 56),
        send_queue: word(header, 60),
        tcp: None,
    };
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(|e| format!("an attribute of a socket: {e}"))?;
        take(&mut socket, attribute.kind(), attribute.value());
    }
    Ok(socket)
}

/// Attributes of other lengths than these have another meaning than this version knows: left out.
fn take(socket: &mut Socket, kind: u16, value: &[u8]) {
    match kind {
        // A TIME_WAIT has none, and a socket of UDP another one.
        INET_DIAG_INFO if socket.protocol == Protocol::Tcp => socket.tcp = TcpInfo::parse(value),
        INET_DIAG_MARK => socket.mark = value.try_into().ok().map(u32::from_ne_bytes),
        INET_DIAG_CGROUP_ID => socket.cgroup = value.try_into().ok().map(u64::from_ne_bytes),
        _ => {}
    }
}

fn address(family: u8, bytes: &[u8], port: u16) -> Result<SocketAddr, String> {
    let ip = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        AF_INET6 => {
            let octets: [u8; 16] = bytes.try_into().map_err(|_| "an address cut short")?;
            Ipv6Addr::from(octets).to_canonical()
        }
        other => return Err(format!("a socket of address family {other}")),
    };
    Ok(SocketAddr::new(ip, port))
}

fn port(header: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

fn word(header: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
#[path = "tests/wire.rs"]
mod tests;
