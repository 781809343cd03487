//! What a socket sends. BPF_PROG_TEST_RUN gives each packet a socket of its own making, with a
//! new cookie and port 0, and takes no other: so packets of real sockets do not come this way.
//! But cookies are handed out in order on each CPU, so the next ones can be registered before
//! they exist.
//!
//! Not reachable: replies of the kernel's control socket (its "port" is 6, the dummy's is 0) and
//! TCP's own count of retransmissions (the dummy is no TCP socket). The end-to-end tests have
//! both.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use fault_common::event::{Event, tcp};
use fault_common::rule::{Direction, LOSS_EVERY, LOSS_RANDOM, P_ALWAYS, Rule};
use fault_common::stats::Global;
use fault_common::table::{SOCKET_CLOSED, SOCKET_ISN, SocketEntry};
use fault_user::kernel::testing::{TestContext, TestVerdict};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::dissect::dissect;
use crate::model::{Chains, PASSES, REDIRECTED, SHOT, Socket};
use crate::packet::{Body, Fragment, Packet};
use crate::rig::{
    Rig, certain, chain, data, drain, entry, only, setup, sockets, towards, with_port,
};

/// Cookies registered ahead: others may take some of them in between.
pub const AHEAD: u64 = 16;
/// Where the stream begins; it wraps after a few packets.
const ISN: u32 = 0xffff_f000;

/// Cookies are counted per CPU.
pub fn stay_on_one_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cpus).unwrap();
}

/// The cookie that the kernel gives a new socket.
pub fn fresh_cookie() -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut cookie, mut length) = (0u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: SO_COOKIE writes 8 bytes into a buffer of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "SO_COOKIE: {}", std::io::Error::last_os_error());
    cookie
}

/// A rig whose gate lets the dummy socket's port through.
fn rig(chains: Chains) -> Rig {
    stay_on_one_cpu();
    let mut rig = Rig::new(&setup(21));
    let gate = sockets()[0];
    let tuple = towards(&Socket { local: with_port(gate.local, 0), ..gate });
    rig.kernel.add_socket(1, entry(&gate), tuple).unwrap();
    rig.arm(chains);
    rig
}

/// Lets a socket send a packet, so often: whatever cookie the dummy will have, it is this
/// socket's. Returns the verdict and the first of the cookies.
fn send(rig: &mut Rig, socket: &Socket, packet: &Packet, repeat: u32) -> (TestVerdict, u64) {
    let next = fresh_cookie() + 1;
    let known = SocketEntry { isn: ISN, state: SOCKET_ISN, ..entry(socket) };
    for cookie in next..next + AHEAD {
        rig.kernel.add_socket(cookie, known, towards(socket)).unwrap();
    }
    (show(rig, packet, repeat), next)
}

/// Shows a packet to the egress program.
fn show(rig: &mut Rig, packet: &Packet, repeat: u32) -> TestVerdict {
    let bytes = packet.bytes(true);
    let context = TestContext { repeat, gso_segs: packet.segs, ..TestContext::default() };
    rig.kernel.test_run(Direction::Egress, true, &bytes, &context).unwrap()
}

fn outgoing(socket: &Socket, flags: u8, seq: u32, payload: usize) -> Packet {
    Packet::tcp(socket.local, socket.remote, flags, seq, payload)
}

fn sends(flow: u32, rules: &[Rule]) -> Chains {
    Chains::from([((flow, Direction::Egress), chain(rules))])
}

/// Data that comes again, pure acknowledgements, super-packets, a FIN and resets.
fn conversation(socket: &Socket) -> Vec<Packet> {
    let mut packets = Vec::new();
    for i in 0..120u32 {
        let (flags, payload) = match i % 6 {
            0 => (0x10, 0),
            5 if i % 4 == 0 => (0x11, 10),
            5 if i % 4 == 2 => (0x14, 0),
            _ => (0x18, 500),
        };
        let segs = if i % 7 == 0 { 5 } else { 0 };
        let packet = outgoing(socket, flags, ISN.wrapping_add(i % 40 * 500), payload).ack(i / 9);
        packets.push(Packet { segs, ..packet });
    }
    packets
}

#[test]
fn what_a_socket_sends_meets_the_fate_that_the_model_says() {
    let socket = sockets()[0];
    let third = Rule { kind: LOSS_RANDOM, id: 1, p32: P_ALWAYS / 3, ..Rule::NONE };
    let fifth = Rule { kind: LOSS_EVERY, id: 2, arg: 5, ..Rule::NONE };
    let mut rig = rig(sends(0, &[third, fifth]));
    rig.model.sockets[0].1.first[Direction::Egress as usize] = Some(ISN);
    let mut expected = Vec::new();
    for packet in conversation(&socket) {
        let bytes = packet.bytes(true);
        let facts = dissect(&bytes, true, packet.segs).unwrap();
        let should = rig.model.judge(0, Direction::Egress, &facts);
        let (is, cookie) = send(&mut rig, &socket, &packet, 1);
        assert_eq!((is.code, &is.output), (should.code, &bytes), "{packet:?}");
        expected.extend(should.event.map(|event| (event, cookie)));
    }
    let lost = rig.model.acted;
    assert!((20..180).contains(&lost), "{lost} lost: the rules prove nothing");

    let events = drain(&mut rig.kernel);
    assert_eq!(events.len(), expected.len());
    for (is, (should, cookie)) in events.iter().zip(&expected) {
        assert!((*cookie..cookie + AHEAD).contains(&is.cookie), "{} is not {cookie}", is.cookie);
        assert_eq!(Event { ts: 0, cookie: should.cookie, ..*is }, *should);
    }
    rig.check_counters(events.len() as u64);
}

#[test]
fn what_others_send_leaves_no_trace() {
    let mut rig = rig(sends(0, &[certain(0)]));
    for packet in conversation(&sockets()[0]) {
        assert_eq!(show(&mut rig, &packet, 1).code, PASSES, "{packet:?}");
    }
    rig.finish();
}

#[test]
fn a_sent_packet_is_judged_once_however_often_it_passes() {
    let socket = sockets()[0];
    let mut rig = rig(sends(0, &[certain(0)]));
    let packet = outgoing(&socket, 0x18, ISN, 100);
    assert_eq!(send(&mut rig, &socket, &packet, 1).0.code, REDIRECTED);
    assert_eq!(send(&mut rig, &socket, &packet, 3).0.code, PASSES);
    assert_eq!(rig.kernel.slot(socket.slot, Direction::Egress).unwrap().packets, 2);
    assert_eq!(drain(&mut rig.kernel).len(), 2);
}

#[test]
fn a_packet_of_a_known_socket_that_cannot_be_read_passes_and_counts() {
    let socket = sockets()[0];
    let mut rig = rig(sends(0, &[certain(0)]));
    let packet = outgoing(&socket, 0x18, ISN, 100);
    let later = Packet { fragment: Fragment::Later, ..packet };
    assert_eq!(send(&mut rig, &socket, &later, 1).0.code, PASSES);
    let totals = rig.kernel.totals().unwrap();
    assert_eq!((totals.get(Global::Unparsed), totals.get(Global::Matched)), (1, 0));
}

/// When another socket opens a connection with the tuple of a closed one of ours, packets for
/// that tuple are a bystander's.
#[test]
fn the_tuple_of_a_closed_socket_goes_to_the_next_that_connects_with_it() {
    let (closed, open) = (sockets()[0], sockets()[1]);
    let mut chains = only(0, &[certain(0)]);
    chains.extend(only(1, &[certain(1)]));
    let mut rig = rig(chains);
    let gone = SocketEntry { state: SOCKET_CLOSED, ..entry(&closed) };
    rig.kernel.add_socket(closed.cookie, gone, towards(&closed)).unwrap();
    let mut fates = |flags: u8| -> [i32; 2] {
        [closed, open].map(|socket| {
            show(&mut rig, &outgoing(&socket, flags, 7, 0), 1);
            let bytes = data(&socket, 1).bytes(true);
            let context = TestContext::default();
            rig.kernel.test_run(Direction::Ingress, true, &bytes, &context).unwrap().code
        })
    };
    assert_eq!(fates(tcp::ACK), [SHOT, SHOT], "no new connection");
    assert_eq!(fates(tcp::SYN | tcp::ACK), [SHOT, SHOT], "an answer is none either");
    assert_eq!(fates(tcp::SYN), [PASSES, SHOT], "the open one keeps its tuple");
}

/// Of a UDP socket only what goes to the flow's remote is the flow's.
#[test]
fn a_datagram_to_another_remote_of_the_socket_is_nobodys() {
    let socket = sockets()[4];
    let mut rig = rig(sends(socket.flow, &[certain(0)]));
    let datagram =
        |to| Packet { body: Body::Udp { payload: 100 }, ..Packet::tcp(socket.local, to, 0, 0, 0) };
    let other = datagram(with_port(socket.remote, socket.remote.port() + 1));
    assert_eq!(send(&mut rig, &socket, &other, 1).0.code, PASSES);
    assert_eq!(rig.kernel.totals().unwrap().get(Global::Matched), 0);
    assert_eq!(send(&mut rig, &socket, &datagram(socket.remote), 1).0.code, REDIRECTED);
    let events = drain(&mut rig.kernel);
    let told: Vec<_> = events.iter().map(|e| (e.proto, e.seq, e.len, e.rule)).collect();
    assert_eq!(told, [(17, 0, 100, 0)]);
}
