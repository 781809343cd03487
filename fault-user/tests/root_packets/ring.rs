//! Events that find the ring full: counted for their socket with the time, while the counters
//! of packets stay exact.

use fault_common::event::Event;
use fault_common::rule::Direction;
use fault_common::stats::{Global, SlotCounters};
use fault_user::clock::monotonic_ns;
use fault_user::kernel::testing::TestContext;
use fault_user::kernel::{Kernel, Setup};

use crate::model::Socket;
use crate::rig::{certain, chain, data, drain, entry, setup, sockets, towards};

/// One page: the least that the kernel takes. A record is 80 bytes and a header of 8.
const RING: u32 = 4096;
/// More than the ring holds.
const MANY: u32 = 100;

struct Flood {
    kernel: Kernel,
    seq: u32,
}

impl Flood {
    /// All packets of two flows are lost, so each makes an event. Nobody reads them.
    fn new() -> Self {
        let mut kernel = Kernel::load(&Setup { ring_bytes: RING, ..setup(1) }).unwrap();
        for socket in &sockets()[..2] {
            kernel.add_socket(socket.cookie, entry(socket), towards(socket)).unwrap();
        }
        let chains = (0..2).map(|f| ((f, Direction::Ingress), chain(&[certain(f)]))).collect();
        kernel.arm(&chains).unwrap();
        Self { kernel, seq: 0 }
    }

    /// Packets to a socket; when the first and the last of them were on their way.
    fn send(&mut self, socket: &Socket, packets: u32) -> (u64, u64) {
        let start = monotonic_ns();
        for _ in 0..packets {
            self.seq += 100;
            let bytes = data(socket, self.seq).bytes(true);
            let context = TestContext::default();
            self.kernel.test_run(Direction::Ingress, true, &bytes, &context).unwrap();
        }
        (start, monotonic_ns())
    }

    fn slot(&self, socket: &Socket) -> SlotCounters {
        self.kernel.slot(socket.slot, Direction::Ingress).unwrap()
    }

    fn total(&self, what: Global) -> u64 {
        self.kernel.totals().unwrap().get(what)
    }
}

#[test]
fn lost_events_are_counted_for_their_socket_with_the_time() {
    let [a, b] = [sockets()[0], sockets()[1]];
    let mut flood = Flood::new();
    let first = flood.send(&a, MANY);
    let lost_then = flood.slot(&a).lost_events;
    assert!(lost_then > 0, "the ring holds {MANY} records after all");
    assert_eq!(flood.slot(&b).lost_events, 0, "none of its packets yet");
    let second = flood.send(&b, 10);
    let third = flood.send(&a, 5);

    let (of_a, of_b) = (flood.slot(&a), flood.slot(&b));
    assert_eq!((of_b.lost_events, of_a.lost_events), (10, lost_then + 5));
    within(of_a.lost_first, first);
    within(of_a.lost_last, third);
    within(of_b.lost_first, second);
    within(of_b.lost_last, second);
    assert!(of_b.lost_first < of_b.lost_last, "one moment for ten packets");
}

fn within(moment: u64, (from, to): (u64, u64)) {
    assert!((from..=to).contains(&moment), "{moment} is not within {from} to {to}");
}

#[test]
fn counters_of_packets_do_not_depend_on_the_ring() {
    let [a, b] = [sockets()[0], sockets()[1]];
    let mut flood = Flood::new();
    for _ in 0..MANY {
        flood.send(&a, 1);
        flood.send(&b, 1);
    }
    let all = u64::from(2 * MANY);
    for (socket, rule) in [(a, 0), (b, 1)] {
        let counters = flood.slot(&socket);
        assert_eq!((counters.packets, counters.dropped), (all / 2, all / 2));
        assert_eq!(counters.bytes, all / 2 * 140);
        assert_eq!(flood.kernel.rule(rule).unwrap().acted, all / 2);
    }
    assert_eq!((flood.total(Global::Matched), flood.total(Global::Acted)), (all, all));

    let (recorded, lost) = (flood.total(Global::EventsRecorded), flood.total(Global::EventsLost));
    assert!(recorded > 0 && lost > 0, "{recorded} recorded, {lost} lost");
    assert_eq!(recorded + lost, all, "each packet makes an event, recorded or lost");
    let read: Vec<Event> = drain(&mut flood.kernel);
    assert_eq!(read.len() as u64, recorded);
    for socket in [a, b] {
        let of_it = read.iter().filter(|e| e.slot == socket.slot).count() as u64;
        assert_eq!(flood.slot(&socket).lost_events, all / 2 - of_it, "{socket:?}");
    }
    // The first ones are there, in order: a full ring refuses, it does not overwrite.
    assert!(read.iter().map(|e| e.seq).eq((1..=recorded as u32).map(|i| i * 100)));
}
