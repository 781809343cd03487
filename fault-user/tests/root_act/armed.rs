//! With the packet programs on all interfaces and rules that lose everything: what flowfault
//! sends itself gets through, and nothing of it is counted as the app's.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fault_common::rule::{Chain, Direction, LOSS_RANDOM, P_ALWAYS, Rule};
use fault_common::table::{LastSegment, SocketEntry, Tuple};
use fault_user::act::{Connection, Segment};
use fault_user::addr;
use fault_user::kernel::{Kernel, Setup};

use crate::support::netns::CABLE;
use crate::support::{Lab, Pair, Way, cookie, index_of, read_error, untouched};

/// Between the probes of a closed window: they come 0.2, 0.6, 1.4 and 3.0 s after the write.
const BETWEEN_PROBES: Duration = Duration::from_millis(1800);
/// Far less than the rest until the next one.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Programs that know the local socket, on all interfaces of the near end.
fn load(lab: &Lab, pair: &Pair) -> Kernel {
    let (local, remote) = (pair.connection.local, pair.connection.remote);
    let mut kernel = know(cookie(&pair.local), local, remote);
    lab.near.within(|| attach(&mut kernel, &["lo", CABLE]));
    kernel
}

fn attach(kernel: &mut Kernel, interfaces: &[&str]) {
    for interface in interfaces {
        kernel.attach_interface(interface, index_of(interface), true).unwrap();
    }
}

/// Programs that know one socket.
fn know(cookie: u64, local: SocketAddr, remote: SocketAddr) -> Kernel {
    let setup = Setup { leased: false, slots: 16, ..Setup::default() };
    let mut kernel = Kernel::load(&setup).unwrap();
    let (saddr, daddr) = (addr::words(remote.ip()), addr::words(local.ip()));
    let (sport, dport) = (remote.port(), local.port());
    let entry = SocketEntry {
        slot: 0,
        flow: 0,
        app: 0,
        nth: 1,
        attempt: 1,
        state: 0,
        uid: 0,
        role: 0,
        isn: 0,
        irs: 0,
        last_ack: 0,
        rport: sport.into(),
        raddr: saddr,
        pid_tgid: 0,
        allowed: 0,
        reach: [0; 2],
        last: [LastSegment::default(); 2],
    };
    kernel.add_socket(cookie, entry, Tuple { saddr, daddr, sport, dport, proto: 6 }).unwrap();
    kernel
}

fn exempt(lab: &Lab, kernel: &mut Kernel) {
    for cookie in lab.sender.cookies().unwrap() {
        kernel.exempt(cookie).unwrap();
    }
}

/// Loses all packets of the flow in these directions.
fn lose(kernel: &mut Kernel, directions: &[Direction]) {
    let mut chain = Chain { len: 1, ..Chain::EMPTY };
    chain.rules[0] = Rule { kind: LOSS_RANDOM, id: 0, p32: P_ALWAYS, ..Rule::NONE };
    let chains: BTreeMap<_, _> = directions.iter().map(|dir| ((0, *dir), chain)).collect();
    kernel.arm(&chains).unwrap();
}

#[test]
fn a_reset_gets_through_where_nothing_else_does() {
    let lab = Lab::new();
    for way in Way::ALL {
        let mut pair = lab.connect(way);
        let mut kernel = load(&lab, &pair);
        lose(&mut kernel, &Direction::BOTH);
        pair.local.write_all(b"x").unwrap();
        untouched(&mut pair.peer);

        // A sender that the programs do not know is the network's: its packets are lost too.
        lab.sender.reset_local(&pair.connection).unwrap();
        untouched(&mut pair.local);
        let lost = kernel.slot(0, Direction::Ingress).unwrap();
        assert_eq!((lost.packets, lost.dropped), (1, 1), "{way:?}");

        exempt(&lab, &mut kernel);
        lab.sender.reset_peer(&pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.peer), libc::ECONNRESET, "{way:?}");
        lab.sender.reset_local(&pair.connection).unwrap();
        assert_eq!(read_error(&mut pair.local), libc::ECONNRESET, "{way:?}");
        assert_eq!(kernel.slot(0, Direction::Ingress).unwrap(), lost, "{way:?}: counted");
    }
}

/// To a run at the peer's end it is a packet of the network like any other.
#[test]
fn another_run_at_the_far_end_judges_what_it_receives() {
    let lab = Lab::new();
    for way in Way::CABLE {
        let mut pair = lab.connect(way);
        let mut near = load(&lab, &pair);
        exempt(&lab, &mut near);
        let (local, remote) = (pair.connection.local, pair.connection.remote);
        let mut far = know(cookie(&pair.peer), remote, local);
        lab.far.within(|| attach(&mut far, &[CABLE]));
        lose(&mut far, &[Direction::Ingress]);
        lab.sender.reset_peer(&pair.connection).unwrap();
        untouched(&mut pair.peer);
        assert_eq!(far.slot(0, Direction::Ingress).unwrap().dropped, 1, "{way:?}");
    }
}

/// A writer that waits for a window, and goes on as soon as it is told one.
struct Stall {
    /// Whose packets are lost, so that probes are not answered.
    lost: Direction,
    writer: fn(&mut Pair) -> (&mut std::net::TcpStream, &mut std::net::TcpStream),
    update: fn(&Connection) -> Segment,
}

fn stalls(stall: &Stall, ways: &[Way]) {
    let lab = Lab::new();
    for way in ways {
        let mut pair = lab.connect(*way);
        let connection = pair.connection;
        let mut kernel = load(&lab, &pair);
        exempt(&lab, &mut kernel);
        lose(&mut kernel, &[stall.lost]);
        let open = (stall.update)(&connection);
        assert!(open.window > 0, "{open:?}");
        lab.sender.send_segment(Segment { window: 0, ..open }, 0).unwrap();
        let (writer, reader) = (stall.writer)(&mut pair);
        writer.write_all(b"held").unwrap();
        std::thread::sleep(BETWEEN_PROBES);
        reader.set_nonblocking(true).unwrap();
        reader.read(&mut [0; 8]).expect_err("the writer is held");
        reader.set_nonblocking(false).unwrap();

        lose(&mut kernel, &[]);
        let lifted = Instant::now();
        match stall.lost {
            Direction::Egress => lab.sender.open_window_to_peer(&connection),
            Direction::Ingress => lab.sender.open_window_to_local(&connection),
        }
        .unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        let took = lifted.elapsed();
        println!("{way:?}: data {took:?} after the window was opened");
        assert!(took < AT_ONCE, "{way:?}: {took:?}");
    }
}

#[test]
fn a_peer_without_window_goes_on_as_soon_as_it_is_told_one() {
    let stall = Stall {
        lost: Direction::Egress,
        writer: |pair| (&mut pair.peer, &mut pair.local),
        update: |connection| connection.window_to_peer().unwrap(),
    };
    stalls(&stall, &Way::ALL);
}

#[test]
fn a_local_socket_without_window_goes_on_as_soon_as_it_is_told_one() {
    let stall = Stall {
        lost: Direction::Ingress,
        writer: |pair| (&mut pair.local, &mut pair.peer),
        update: |connection| connection.window_to_local().unwrap(),
    };
    stalls(&stall, &Way::ALL);
}
