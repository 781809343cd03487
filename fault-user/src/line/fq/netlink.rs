//! The rtnetlink(7) messages that make and remove the pair.

use std::io;
use std::os::fd::RawFd;

use rtnetlink::packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};

use crate::kernel::qdisc::request;

// linux/pkt_sched.h: TCA_FQ_*.
const PLIMIT: u16 = 1;
const FLOW_PLIMIT: u16 = 2;
const TIMER_SLACK: u16 = 13;
const HORIZON: u16 = 14;

/// Makes a veth pair: the near end here, the far one, of the same name, in that network namespace.
pub fn make_pair(name: &str, far: RawFd) -> io::Result<()> {
    // One queue each way: packets in two could overtake each other.
    let end = |attributes: Vec<LinkAttribute>| {
        let mut message = LinkMessage::default();
        message.attributes = attributes;
        let queues = [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.extend(queues);
        message
    };
    let peer = end(vec![LinkAttribute::NetNsFd(far)]);
    let veth =
        vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer)))];
    let near = end(vec![LinkAttribute::LinkInfo(veth)]);
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    request(RouteNetlinkMessage::NewLink(near), flags).map(drop)
}

/// Removes an interface; its other end goes with it.
pub fn remove(ifindex: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    request(RouteNetlinkMessage::DelLink(message), NLM_F_ACK).map(drop)
}

/// Makes fq the qdisc of an interface: room for `limit` packets, of one flow as well; nothing
/// goes early, or is lost, because it waits for long.
pub fn make_fq(ifindex: u32, limit: u32) -> io::Result<()> {
    let option = |kind: u16, value: u32| {
        TcOption::Other(DefaultNla::new(kind, value.to_ne_bytes().to_vec()))
    };
    let options = vec![
        option(PLIMIT, limit),
        option(FLOW_PLIMIT, limit),
        // By default the timer may be 10 us late.
        option(TIMER_SLACK, 0),
        // In us; what lies beyond it is dropped.
        option(HORIZON, u32::MAX),
    ];
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.parent = TcHandle::ROOT;
    message.attributes = vec![TcAttribute::Kind("fq".into()), TcAttribute::Options(options)];
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    request(RouteNetlinkMessage::NewQueueDiscipline(message), flags).map(drop)
}
