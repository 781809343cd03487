//! Dumps of the kernel's socket diagnosis (sock_diag(7)): the only file here that opens a socket.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SOCK_DIAG_BY_FAMILY, SockDiagMessage};
use netlink_sys::{Socket as Netlink, protocols::NETLINK_SOCK_DIAG};

use super::{Protocol, Socket, SocketsError, wire};
use crate::netns::Netns;

/// All sockets of TCP and UDP in this thread's network namespace, each once.
///
/// # Errors
/// [`SocketsError::NoDiagnosis`] if the kernel cannot tell.
pub fn dump() -> Result<Vec<Socket>, SocketsError> {
    let netlink = open()?;
    let mut sockets = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for family in [SocketId::new_v4(), SocketId::new_v6()] {
            ask(&netlink, protocol, family)?;
            receive(&netlink, protocol, &mut sockets)?;
        }
    }
    // A socket that moves to another hash bucket during the dump is met twice.
    let mut known = std::collections::HashSet::new();
    sockets.retain(|socket| known.insert(socket.cookie));
    Ok(sockets)
}

/// The same in another network namespace, on a thread of its own: this one stays where it is, come
/// what may. Needs CAP_SYS_ADMIN over the namespace.
///
/// # Errors
/// Also if the namespace cannot be entered.
pub fn dump_in(namespace: &Netns) -> Result<Vec<Socket>, SocketsError> {
    let enter = SocketsError::system("enter another network namespace (CAP_SYS_ADMIN)");
    namespace.within(dump).map_err(enter)?
}

fn open() -> Result<Netlink, SocketsError> {
    let netlink = Netlink::new(NETLINK_SOCK_DIAG).map_err(|e| match e.raw_os_error() {
        Some(libc::EPROTONOSUPPORT) => SocketsError::NoDiagnosis { protocol: "any" },
        _ => SocketsError::system("open a netlink socket")(e),
    })?;
    netlink
        .connect(&netlink_sys::SocketAddr::new(0, 0))
        .map_err(SocketsError::system("connect a netlink socket"))?;
    Ok(netlink)
}

fn ask(netlink: &Netlink, protocol: Protocol, any: SocketId) -> Result<(), SocketsError> {
    let request = SockDiagMessage::InetRequest(InetRequest {
        family: if any.source_address.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: match protocol {
            Protocol::Tcp => IPPROTO_TCP,
            Protocol::Udp => IPPROTO_UDP,
        },
        extensions: ExtensionFlags::INFO,
        states: StateFlags::all(),
        socket_id: any,
    });
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    netlink.send(&bytes, 0).map(drop).map_err(SocketsError::system("ask for the list of sockets"))
}

/// Reads the answer to its end. Does not wait: the kernel makes a dump while it is read (netlink_dump).
fn receive(
    netlink: &Netlink,
    protocol: Protocol,
    sockets: &mut Vec<Socket>,
) -> Result<(), SocketsError> {
    // The kernel makes parts of a dump as long as the reader's buffer, up to 32 KiB.
    let mut buffer = Vec::with_capacity(1 << 15);
    loop {
        buffer.clear();
        netlink
            .recv(&mut buffer, libc::MSG_DONTWAIT)
            .map_err(SocketsError::system("read the list of sockets"))?;
        if take(protocol, &buffer, sockets)? {
            return Ok(());
        }
    }
}

/// Takes one part of an answer; whether it was the last.
fn take(protocol: Protocol, bytes: &[u8], to: &mut Vec<Socket>) -> Result<bool, SocketsError> {
    let unreadable = |reason: String| SocketsError::Answer { reason };
    let mut rest = bytes;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).map_err(|e| unreadable(e.to_string()))?;
        match message.message_type() {
            SOCK_DIAG_BY_FAMILY => {
                to.push(wire::socket(protocol, message.payload()).map_err(unreadable)?);
            }
            // Both begin with a negative errno, or 0.
            NLMSG_DONE | NLMSG_ERROR => return ended(protocol, message.payload()).map(|()| true),
            _ => {}
        }
        // Aligned to 4 bytes, but for the last; never 0, or the buffer would not have passed.
        let length = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(false)
}

fn ended(protocol: Protocol, payload: &[u8]) -> Result<(), SocketsError> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    match -code {
        0 => Ok(()),
        // No handler for the protocol (inet_diag_lock_handler).
        libc::ENOENT | libc::EOPNOTSUPP => {
            Err(SocketsError::NoDiagnosis { protocol: protocol.name() })
        }
        errno => {
            let error = io::Error::from_raw_os_error(errno);
            Err(SocketsError::system("list sockets")(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_end_of_a_dump_has_a_meaning() {
        let end =
            |code: i32| take(Protocol::Tcp, &message(NLMSG_DONE, &code.to_ne_bytes()), &mut vec![]);
        assert!(matches!(end(0), Ok(true)));
        assert!(matches!(end(-libc::ENOENT), Err(SocketsError::NoDiagnosis { .. })));
        assert!(matches!(end(-libc::EPERM), Err(SocketsError::System { .. })));
    }

    #[test]
    fn damaged_answers_are_refused() {
        let short = message(SOCK_DIAG_BY_FAMILY, &[2; 20]);
        assert!(matches!(
            take(Protocol::Tcp, &short, &mut vec![]),
            Err(SocketsError::Answer { .. })
        ));
        assert!(take(Protocol::Tcp, &[0; 16], &mut vec![]).is_err());
        assert!(take(Protocol::Tcp, &[1, 2], &mut vec![]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = take(Protocol::Udp, &bytes, &mut vec![]);
        }
    }
}
