//! Sockets that were open before: what the iterator says of their streams, beside what their TCP says when it is asked
//! with TCP_REPAIR.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

use fault_common::event::NO_FLOW;
use fault_common::table::{Found, SOCKET_ACCEPTED, SOCKET_IRS, SOCKET_ISN, TAKEN_NOT};
use fault_user::addr;
use fault_user::kernel::{Kernel, Taken};
use nix::sched::{CloneFlags, unshare};

use crate::rig::setup;

/// linux/tcp.h: TCP_REPAIR's way out without a window probe, and the queues of what is received and sent.
const REPAIR_OFF: i32 = -1;
const QUEUES: [i32; 2] = [1, 2];

/// Both ends, after 11 bytes one way and 23 the other.
fn pair(address: &str) -> [TcpStream; 2] {
    let listener = TcpListener::bind(address).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = listener.accept().unwrap().0;
    client.write_all(&[1; 11]).unwrap();
    server.read_exact(&mut [0; 11]).unwrap();
    server.write_all(&[2; 23]).unwrap();
    client.read_exact(&mut [0; 23]).unwrap();
    [client, server]
}

fn option(socket: &TcpStream, level: i32, name: i32) -> u64 {
    let (mut value, mut length) = (0u64, 8u32);
    let to = (&raw mut value).cast();
    // SAFETY: the kernel writes no more than the size given.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, to, &raw mut length) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    value
}

fn set(socket: &TcpStream, name: i32, value: i32) {
    let value = (&raw const value).cast();
    // SAFETY: an int with its size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, name, value, 4) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// rcv_nxt and write_seq.
fn sequences(socket: &TcpStream) -> [u32; 2] {
    set(socket, libc::TCP_REPAIR, 1);
    let asked = QUEUES.map(|queue| {
        set(socket, libc::TCP_REPAIR_QUEUE, queue);
        option(socket, libc::IPPROTO_TCP, libc::TCP_QUEUE_SEQ) as u32
    });
    set(socket, libc::TCP_REPAIR, REPAIR_OFF);
    asked
}

fn found(socket: &TcpStream, state: u32) -> Found {
    let words = |a: SocketAddr| (addr::words(a.ip()), u32::from(a.port()));
    let (laddr, lport) = words(socket.local_addr().unwrap());
    let (raddr, rport) = words(socket.peer_addr().unwrap());
    let cookie = option(socket, libc::SOL_SOCKET, libc::SO_COOKIE);
    let proto = libc::IPPROTO_TCP as u32;
    let (app, flow, role, uid, pid_tgid, allowed) = (0, NO_FLOW, 0, 0, 0, 0);
    Found {
        cookie,
        pid_tgid,
        allowed,
        laddr,
        raddr,
        lport,
        rport,
        app,
        flow,
        role,
        state,
        proto,
        uid,
        taken: TAKEN_NOT,
        _pad: 0,
    }
}

fn kernel() -> Kernel {
    let mut kernel = Kernel::load(&setup(1)).unwrap();
    assert!(kernel.load_take_in().unwrap().is_none(), "this kernel has iter/tcp");
    kernel
}

#[test]
fn both_ends_are_placed_as_their_tcp_says() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut kernel = kernel();
        let ends = pair(address);
        // What is said of who accepted is wrong on purpose: the counters know better.
        let all = [found(&ends[0], SOCKET_ACCEPTED), found(&ends[1], 0)];
        assert_eq!(kernel.take_in(&all).unwrap(), [Taken::In; 2]);
        assert_eq!(kernel.take_in(&all).unwrap(), [Taken::Before; 2]);
        for ((socket, found), [sent, received]) in ends.iter().zip(all).zip([[11, 23], [23, 11]]) {
            let entry = kernel.socket(found.cookie).unwrap().unwrap();
            let [rcv_nxt, write_seq] = sequences(socket);
            let should = (write_seq.wrapping_sub(sent), rcv_nxt.wrapping_sub(received));
            assert_eq!((entry.isn, entry.irs), should, "{address}");
            assert_eq!(entry.reach, [u64::from(sent), u64::from(received)]);
            assert_eq!(entry.state & (SOCKET_ISN | SOCKET_IRS), SOCKET_ISN | SOCKET_IRS);
        }
    }
}

/// The iterator shows the sockets of one network namespace. Others are taken in all the same, and begin with the first
/// byte seen.
#[test]
fn sockets_of_elsewhere_are_taken_in_without_a_place() {
    let mut kernel = kernel();
    let there = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        crate::rig::loopback_up();
        pair("127.0.0.1:0")
    });
    let ends = there.join().unwrap();
    let all = [found(&ends[0], 0), found(&ends[1], SOCKET_ACCEPTED)];
    assert_eq!(kernel.take_in(&all).unwrap(), [Taken::In; 2]);
    for found in all {
        let entry = kernel.socket(found.cookie).unwrap().unwrap();
        assert_eq!(entry.state & (SOCKET_ISN | SOCKET_IRS), 0);
    }
}
