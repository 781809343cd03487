//! SOCK_DESTROY of the kernel's socket diagnosis (sock_diag(7)): a socket ends at once.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SOCK_DESTROY, SockDiagMessage};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

use super::{ActError, Connection, Protocol};

const NEEDED: &str = "CAP_NET_ADMIN";
const WHAT: &str = "destroy a socket";
/// INET_DIAG_NOCOOKIE, twice: to the kernel it means any socket.
const NO_COOKIE: u64 = u64::MAX;

/// Destroys the socket with the connection's cookie: its next call fails with ECONNABORTED, and the peer of
/// a TCP connection gets a reset. Never another socket: the kernel compares the cookie.
///
/// # Errors
/// [`ActError::Gone`] if there is no such socket (any more), [`ActError::Missing`] if the kernel
/// cannot do it, [`ActError::Privilege`] without CAP_NET_ADMIN.
pub fn destroy(connection: &Connection) -> Result<(), ActError> {
    if connection.cookie == NO_COOKIE {
        return Err(gone(connection));
    }
    let socket = open()?;
    let mut id = SocketId {
        source_port: connection.local.port(),
        destination_port: connection.remote.port(),
        source_address: connection.local.ip(),
        destination_address: connection.remote.ip(),
        interface_id: connection.ifindex,
        cookie: wire(connection.cookie),
    };
    match request(&socket, connection.protocol, id.clone())? {
        // Nothing there, or a socket with another cookie.
        Err(libc::ENOENT | libc::ESTALE) => {}
        other => return outcome(other),
    }
    // The lookup goes by address and interface. Another interface than we know of is no reason
    // to fail: the kernel itself tells under which name the cookie has to be asked for. The same
    // question tells whether this kernel can look up sockets at all.
    id = find(&socket, connection)?.ok_or_else(|| gone(connection))?;
    match request(&socket, connection.protocol, id)? {
        Err(libc::ENOENT | libc::ESTALE) => Err(shadowed_or_gone(&socket, connection)?),
        other => outcome(other),
    }
}

/// The kernel has not found a socket that was there a moment ago.
fn shadowed_or_gone(socket: &Socket, connection: &Connection) -> Result<ActError, ActError> {
    let Connection { cookie, local, remote, .. } = *connection;
    Ok(match find(socket, connection)? {
        Some(_) => ActError::Shadowed { cookie, local, remote },
        None => gone(connection),
    })
}

fn gone(connection: &Connection) -> ActError {
    let Connection { cookie, local, remote, .. } = *connection;
    ActError::Gone { cookie, local, remote }
}

/// What an errno of SOCK_DESTROY means, other than that there is no such socket.
fn outcome(answer: Result<(), i32>) -> Result<(), ActError> {
    match answer {
        Ok(()) => Ok(()),
        // No `destroy` in the handler of the protocol (tcp_diag_handler, udp_diag_handler).
        Err(libc::EOPNOTSUPP) => Err(ActError::Missing {
            feature: "SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)",
            remedy: "Use a kernel that is built with it, or the fault `reset`",
        }),
        Err(errno) => Err(ActError::system(WHAT, NEEDED)(io::Error::from_raw_os_error(errno))),
    }
}

const NO_DIAG: ActError = ActError::Missing {
    feature: "socket diagnosis of this protocol (CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG)",
    remedy: "Load the modules tcp_diag and udp_diag, or use a kernel that has them",
};

fn open() -> Result<Socket, ActError> {
    let socket = Socket::new(NETLINK_SOCK_DIAG).map_err(|e| match e.raw_os_error() {
        Some(libc::EPROTONOSUPPORT) => NO_DIAG,
        _ => ActError::system("open a netlink socket", NEEDED)(e),
    })?;
    socket
        .connect(&netlink_sys::SocketAddr::new(0, 0))
        .map_err(ActError::system("connect a netlink socket", NEEDED))?;
    Ok(socket)
}

/// Asks for the destruction of one socket; the errno of the answer.
fn request(socket: &Socket, protocol: Protocol, id: SocketId) -> Result<Result<(), i32>, ActError> {
    let states = StateFlags::empty();
    send(socket, SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, inet(protocol, states, id))?;
    let mut answer = Err(ActError::Answer { reason: "no answer to SOCK_DESTROY".into() });
    receive(socket, |message| {
        if let NetlinkPayload::Error(error) = message.payload {
            answer = Ok(errno(error.raw_code()));
        }
        true
    })?;
    answer
}

/// Looks for a socket by its cookie, among those with its port.
fn find(socket: &Socket, connection: &Connection) -> Result<Option<SocketId>, ActError> {
    let (mut found, mut failure) = (None, None);
    // A socket of IPv6 may have addresses of IPv4: only the dump of its own family has it.
    for any in [SocketId::new_v4(), SocketId::new_v6()] {
        // A dump heeds the ports of the id alone (inet_diag_dump_icsk, udp_dump).
        let id = SocketId { source_port: connection.local.port(), ..any };
        let request = inet(connection.protocol, StateFlags::all(), id);
        send(socket, request.message_type(), NLM_F_REQUEST | NLM_F_DUMP, request)?;
        receive(socket, |message| match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                let id = response.header.socket_id;
                if id.cookie == wire(connection.cookie) {
                    found = Some(id);
                }
                false
            }
            NetlinkPayload::Done(done) => {
                failure = failure.or(errno(done.code).err());
                true
            }
            NetlinkPayload::Error(error) => {
                failure = failure.or(errno(error.raw_code()).err());
                true
            }
            _ => false,
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    match failure {
        None => Ok(None),
        // No handler for the protocol (inet_diag_lock_handler).
        Some(libc::ENOENT | libc::EOPNOTSUPP) => Err(NO_DIAG),
        Some(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            Err(ActError::system("list sockets", NEEDED)(error))
        }
    }
}

/// Negative errnos, as netlink has them; 0 is success.
fn errno(code: i32) -> Result<(), i32> {
    if code < 0 { Err(-code) } else { Ok(()) }
}

fn inet(protocol: Protocol, states: StateFlags, socket_id: SocketId) -> SockDiagMessage {
    let request = InetRequest {
        family: if socket_id.source_address.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: match protocol {
            Protocol::Tcp => IPPROTO_TCP,
            Protocol::Udp => IPPROTO_UDP,
        },
        extensions: ExtensionFlags::empty(),
        states,
        socket_id,
    };
    SockDiagMessage::InetRequest(request)
}

fn send(socket: &Socket, kind: u16, flags: u16, message: SockDiagMessage) -> Result<(), ActError> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    // `finalize` knows the type of queries only.
    message.header.message_type = kind;
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop).map_err(ActError::system(WHAT, NEEDED))
}

/// Hands every message of the answer to `take`, until that says that it was the last.
///
/// Does not wait: the kernel has answered when the request's send() returns, and makes the rest
/// of a dump while it is read (netlink_rcv_skb, netlink_dump).
fn receive(
    socket: &Socket,
    mut take: impl FnMut(NetlinkMessage<SockDiagMessage>) -> bool,
) -> Result<(), ActError> {
    // The kernel makes parts of a dump as long as the reader's buffer, up to 32 KiB.
    let mut buffer = Vec::with_capacity(1 << 15);
    loop {
        buffer.clear();
        socket
            .recv(&mut buffer, libc::MSG_DONTWAIT)
            .map_err(ActError::system("read the kernel's answer about sockets", NEEDED))?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let unreadable = |reason: String| ActError::Answer { reason };
            let message =
                NetlinkMessage::deserialize(rest).map_err(|error| unreadable(error.to_string()))?;
            // Aligned to 4 bytes, but for the last.
            let length = (message.header.length as usize).next_multiple_of(4);
            if length == 0 {
                return Err(unreadable("a message of no length".into()));
            }
            rest = rest.get(length..).unwrap_or_default();
            if take(message) {
                return Ok(());
            }
        }
    }
}

/// A cookie as the kernel compares it: two words, the low one first (sock_diag_save_cookie).
fn wire(cookie: u64) -> [u8; 8] {
    let [low, high] = [cookie as u32, (cookie >> 32) as u32];
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&low.to_ne_bytes());
    bytes[4..].copy_from_slice(&high.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_kernel_has_its_meaning() {
        assert!(outcome(Ok(())).is_ok());
        assert!(matches!(outcome(Err(libc::EOPNOTSUPP)), Err(ActError::Missing { .. })));
        assert!(matches!(outcome(Err(libc::EPERM)), Err(ActError::Privilege { .. })));
        assert!(matches!(outcome(Err(libc::EINVAL)), Err(ActError::System { .. })));
    }

    #[test]
    fn a_cookie_is_two_words_with_the_low_one_first() {
        let bytes = wire(0x1122_3344_5566_7788);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4)), (0x5566_7788, 0x1122_3344));
    }
}
