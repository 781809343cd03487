//! The questions and the one request about qdiscs and filters that aya does not have (rtnetlink(7),
//! tc(8)). Synchronous, because they are asked while things are taken down, too.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};

/// Message types of netlink(7) and rtnetlink(7).
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWTFILTER: u16 = 44;

/// Whether the interface has the qdisc of that kind in the place of clsact (`ingress` is the other
/// one that can be there).
pub(super) fn has(ifindex: u32, kind: &str) -> io::Result<bool> {
    let mut message = at_clsact(ifindex, TcHandle::CLSACT);
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    match request(RouteNetlinkMessage::GetQueueDiscipline(message), NLM_F_ACK) {
        Ok(_) => Ok(true),
        // Nothing there, or something of another kind (tc_get_qdisc in net/sched/sch_api.c).
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether anybody has a filter on the interface's clsact.
pub(super) fn has_filters(ifindex: u32) -> io::Result<bool> {
    for minor in [TcHandle::MIN_INGRESS, TcHandle::MIN_EGRESS] {
        let parent = TcHandle { major: u16::MAX, minor };
        let mut message = at_clsact(ifindex, parent);
        message.header.handle = TcHandle::UNSPEC;
        if request(RouteNetlinkMessage::GetTrafficFilter(message), NLM_F_DUMP)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes clsact off the interface, with all filters on it.
pub(super) fn remove_clsact(ifindex: u32) -> io::Result<()> {
    let message = at_clsact(ifindex, TcHandle::CLSACT);
    request(RouteNetlinkMessage::DelQueueDiscipline(message), NLM_F_ACK).map(drop)
}

fn at_clsact(ifindex: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.handle = TcHandle { major: u16::MAX, minor: 0 };
    message.header.parent = parent;
    message
}

/// Sends a request and reads to the end of its answer: how many filters it lists.
pub(crate) fn request(message: RouteNetlinkMessage, flags: u16) -> io::Result<usize> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let mut filters = 0;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        if read(&answer, &mut filters)? {
            return Ok(filters);
        }
    }
}

/// Reads one datagram of an answer; true if it was the last. Only types are looked at: filters of
/// other programs may be of any kind.
fn read(mut bytes: &[u8], filters: &mut usize) -> io::Result<bool> {
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes).map_err(io::Error::other)?;
        match message.message_type() {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                // Minus an errno, or 0 for an acknowledgement.
                let code = message.payload().first_chunk().map_or(0, |c| i32::from_ne_bytes(*c));
                let error = || Err(io::Error::from_raw_os_error(-code));
                return if code == 0 { Ok(true) } else { error() };
            }
            RTM_NEWTFILTER => *filters += 1,
            _ => {}
        }
        let length = (message.length() as usize).next_multiple_of(4);
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(false)
}
