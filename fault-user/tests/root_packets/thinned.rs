//! Of a socket on which no fault is armed: many packets, few events, nothing lost.

use fault_common::event::{Event, KIND_RX, KIND_TX, tcp};
use fault_common::quiet::SPAN;
use fault_common::rule::Direction;
use fault_common::stats::Global;
use fault_common::table::SocketEntry;
use fault_user::kernel::testing::TestContext;
use fault_user::kernel::{Kernel, Setup};

use crate::egress::{AHEAD, fresh_cookie, stay_on_one_cpu};
use crate::model::Socket;
use crate::packet::Packet;
use crate::rig::{certain, drain, entry, only, setup, sockets, towards, with_port};

struct Line {
    kernel: Kernel,
    socket: Socket,
}

impl Line {
    /// Nothing is armed, and packets need not be told.
    fn new() -> Self {
        stay_on_one_cpu();
        let mut kernel = Kernel::load(&Setup { every_packet: false, ..setup(3) }).unwrap();
        let socket = sockets()[0];
        kernel.add_socket(socket.cookie, entry(&socket), towards(&socket)).unwrap();
        // The dummy socket of a sent packet has the port 0.
        let dummy = Socket { local: with_port(socket.local, 0), ..socket };
        kernel.add_socket(1, entry(&socket), towards(&dummy)).unwrap();
        Self { kernel, socket }
    }

    fn send(&mut self, flags: u8, seq: u32, len: usize) {
        let next = fresh_cookie() + 1;
        let known: SocketEntry = entry(&self.socket);
        for cookie in next..next + AHEAD {
            self.kernel.add_socket(cookie, known, towards(&self.socket)).unwrap();
        }
        let packet = Packet::tcp(self.socket.local, self.socket.remote, flags, seq, len);
        self.show(Direction::Egress, &packet);
    }

    fn acknowledge(&mut self, ack: u32) {
        let packet = Packet::tcp(self.socket.remote, self.socket.local, tcp::ACK, 1, 0).ack(ack);
        self.show(Direction::Ingress, &packet);
    }

    fn show(&mut self, dir: Direction, packet: &Packet) {
        let bytes = packet.bytes(true);
        self.kernel.test_run(dir, true, &bytes, &TestContext::default()).unwrap();
    }

    /// What is on record at the end; the counters must agree with it.
    fn events(mut self) -> Vec<Event> {
        self.kernel.tell_rest().unwrap();
        let events = drain(&mut self.kernel);
        let totals = self.kernel.totals().unwrap();
        assert_eq!(totals.get(Global::EventsRecorded), events.len() as u64);
        assert_eq!(totals.get(Global::EventsLost), 0);
        events
    }
}

fn of(events: &[Event], kind: u8) -> impl Iterator<Item = &Event> {
    events.iter().filter(move |e| e.kind == kind)
}

#[test]
fn new_bytes_are_told_in_runs_and_each_once() {
    let mut line = Line::new();
    line.send(tcp::SYN, 999, 0);
    for i in 0..50 {
        line.send(tcp::ACK, 1000 + i * 100, 100);
    }
    // Sent again: told by itself.
    line.send(tcp::ACK, 3000, 50);
    let packets = line.kernel.slot(line.socket.slot, Direction::Egress).unwrap().packets;
    assert_eq!(packets, 52, "every packet is counted");
    let events = line.events();
    let data: Vec<&Event> = of(&events, KIND_TX).filter(|e| e.len > 0).collect();
    assert!(data.iter().any(|e| (e.seq, e.len) == (3000, 50)), "{data:?}");
    let mut end = 1000;
    for e in data.iter().filter(|e| (e.seq, e.len) != (3000, 50)) {
        assert_eq!(e.seq, end, "{data:?}");
        assert_eq!(u32::from(e.segs) * 100, e.len);
        end += e.len;
    }
    assert_eq!(end, 6000);
}

/// Packets of a test follow each other within microseconds; a span ends a run all the same.
#[test]
fn a_run_is_no_longer_than_its_span() {
    let mut line = Line::new();
    line.send(tcp::ACK, 1000, 100);
    std::thread::sleep(std::time::Duration::from_nanos(SPAN));
    line.send(tcp::ACK, 1100, 100);
    let events = line.events();
    let runs: Vec<(u32, u32)> = of(&events, KIND_TX).map(|e| (e.seq, e.len)).collect();
    assert_eq!(runs, [(1000, 100), (1100, 100)]);
    assert!(events[1].ts - events[0].ts >= SPAN);
}

#[test]
fn the_last_acknowledgement_is_on_record() {
    let mut line = Line::new();
    for i in 0..40 {
        line.send(tcp::ACK, 1000 + i * 1000, 1000);
    }
    for i in 1..=400 {
        line.acknowledge(1000 + i * 100);
    }
    let packets = line.kernel.slot(line.socket.slot, Direction::Ingress).unwrap().packets;
    let events = line.events();
    let acks: Vec<u32> = of(&events, KIND_RX).map(|e| e.ack).collect();
    assert_eq!(packets, 400);
    assert!(acks.is_sorted() && acks.last() == Some(&41_000), "{acks:?}");
    assert!(acks.len() < 200, "{} of 400 were told", acks.len());
}

/// From the moment a fault is armed on the flow, in whichever direction, each packet is told.
#[test]
fn with_a_fault_armed_each_packet_is_told() {
    let mut line = Line::new();
    line.send(tcp::ACK, 1000, 100);
    line.kernel.arm(&only(line.socket.flow, &[certain(0)])).unwrap();
    for i in 1..=5 {
        line.send(tcp::ACK, 1000 + i * 100, 100);
    }
    let events = line.events();
    let told: Vec<(u32, u32)> = of(&events, KIND_TX).map(|e| (e.seq, e.len)).collect();
    let should: Vec<(u32, u32)> = (0..=5).map(|i| (1000 + i * 100, 100)).collect();
    assert_eq!(told, should, "the run from before is told first");
}
