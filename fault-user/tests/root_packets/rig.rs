//! The loaded programs and the model side by side.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fault_common::event::{Event, NO_FLOW};
use fault_common::rule::{Chain, Direction, P_ALWAYS, Rule};
use fault_common::stats::Global;
use fault_common::table::{ANY_APP, LastSegment, Selector, SocketEntry, Tuple};
use fault_user::addr;
use fault_user::kernel::testing::{TestContext, TestVerdict};
use fault_user::kernel::{Kernel, Setup};

use crate::dissect::{TCP, UDP, dissect};
use crate::model::{BYSTANDER, Chains, Expected, Model, Past, Socket};
use crate::packet::Packet;

/// Rules that have counters.
pub const RULES: u32 = 256;

/// A setup for packet tests: no controller, so no lease, and each packet is told.
pub fn setup(seed: u64) -> Setup {
    Setup { seed, rules: RULES, slots: 16, leased: false, every_packet: true, ..Setup::default() }
}

/// A selector for one TCP connection of any app.
pub fn selector() -> Selector {
    Selector {
        app: ANY_APP,
        flow: 0,
        flags: 0,
        nth: 1,
        max_flows: 1,
        proto: 6,
        share: 0,
        excluded: 0,
        _pad: 0,
    }
}

/// Both sides of the comparison.
pub struct Rig {
    pub kernel: Kernel,
    pub model: Model,
    expected: Vec<Event>,
}

/// The sockets of the tests. The peers' addresses have an ethertype where a packet without link
/// layer header is asked for one (see `dissect`): 0x0800 and 0x86dd in bytes 12 and 13.
pub fn sockets() -> Vec<Socket> {
    let socket = |slot: u32, flow, nth, proto, local: &str, remote: &str| Socket {
        cookie: 0xc00c_1e00_0000 + u64::from(slot),
        slot,
        flow,
        nth,
        proto,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
    };
    vec![
        socket(0, 0, 1, TCP, "10.0.0.1:40001", "8.0.7.1:443"),
        socket(1, 1, 3, TCP, "10.0.0.1:40002", "8.0.7.1:443"),
        socket(2, 0, 2, TCP, "[2001:db8::1]:40001", "[2001:db8:86dd::7]:443"),
        socket(3, NO_FLOW, 1, TCP, "[2001:db8::1]:40003", "[2001:db8:86dd::7]:443"),
        socket(4, 1, 1, UDP, "10.0.0.1:40004", "8.0.7.1:53"),
    ]
}

impl Rig {
    /// Loads the programs and registers [`sockets`].
    pub fn new(setup: &Setup) -> Self {
        let kernel = Kernel::load(setup).unwrap();
        let model = Model::new(setup.seed);
        let mut rig = Self { kernel, model, expected: Vec::new() };
        for socket in sockets() {
            rig.register(socket);
        }
        rig
    }

    /// Makes a socket known, as its connect would.
    pub fn register(&mut self, socket: Socket) {
        self.kernel.add_socket(socket.cookie, entry(&socket), towards(&socket)).unwrap();
        self.model.sockets.push((socket, Past::default()));
    }

    pub fn arm(&mut self, chains: Chains) {
        self.model.epoch = self.kernel.arm(&chains).unwrap();
        self.model.chains = chains;
    }

    /// One packet of the network: what the programs do with it must be what the model says.
    pub fn receive(&mut self, packet: &Packet, ethernet: bool) -> Expected {
        let dir = Direction::Ingress;
        let bytes = packet.bytes(ethernet);
        let context = TestContext { gso_segs: packet.segs, ..TestContext::default() };
        let verdict = self.kernel.test_run(dir, ethernet, &bytes, &context).unwrap();
        let facts = dissect(&bytes, ethernet, packet.segs);
        let owner = facts.and_then(|f| Some((self.model.addressee(&f)?, f)));
        let expected = owner.map_or(BYSTANDER, |(i, f)| self.model.judge(i, dir, &f));
        self.compare(&verdict, &expected, &bytes, &format!("{packet:?} as {facts:?}"));
        expected
    }

    /// Holds a verdict against the model's, and remembers the event that it should make.
    pub fn compare(&mut self, is: &TestVerdict, should: &Expected, bytes: &[u8], what: &str) {
        assert_eq!(is.code, should.code, "return code of {what}\n{bytes:02x?}");
        assert_eq!(is.output, bytes, "the packet was changed: {what}");
        self.expected.extend(should.event);
    }

    /// The events so far, and after them all counters, must be the model's.
    pub fn finish(mut self) {
        let events = drain(&mut self.kernel);
        for (i, (is, should)) in events.iter().zip(&self.expected).enumerate() {
            assert_eq!(Event { ts: 0, ..*is }, *should, "event {i}");
        }
        assert_eq!(events.len(), self.expected.len(), "number of events");
        assert!(events.is_sorted_by_key(|e| e.ts), "events out of order");
        self.check_counters(events.len() as u64);
    }

    /// All counters must be the model's; so many events were read.
    pub fn check_counters(&self, events: u64) {
        for (socket, past) in &self.model.sockets {
            for dir in Direction::BOTH {
                let is = self.kernel.slot(socket.slot, dir).unwrap();
                assert_eq!(is, past.counters[dir as usize], "{dir:?} counters of {socket:?}");
            }
        }
        for rule in 0..RULES {
            let should = self.model.rules.get(&rule).copied().unwrap_or_default();
            assert_eq!(self.kernel.rule(rule).unwrap(), should, "counters of rule {rule}");
        }
        let totals = self.kernel.totals().unwrap();
        for (what, should) in [
            (Global::EventsRecorded, events),
            (Global::EventsLost, 0),
            (Global::LeaseExpired, 0),
            (Global::SocketsFull, 0),
            (Global::Unparsed, 0),
            (Global::Matched, self.model.matched),
            (Global::Acted, self.model.acted),
        ] {
            assert_eq!(totals.get(what), should, "{what:?}");
        }
    }
}

/// Everything that is in the ring. Once per [`Kernel`].
pub fn drain(kernel: &mut Kernel) -> Vec<Event> {
    let (reader, mut batches) = kernel.events().unwrap();
    // It reads what is there before it stops.
    reader.finish();
    let mut events = Vec::new();
    while let Ok(batch) = batches.try_recv() {
        events.extend(batch.iter().map(decode));
    }
    events
}

fn decode(record: &[u8]) -> Event {
    assert_eq!(record.len(), size_of::<Event>(), "a record of another kind: {record:02x?}");
    // SAFETY: of the right size (above); Event is repr(C) and has only integers.
    unsafe { record.as_ptr().cast::<Event>().read_unaligned() }
}

/// A socket as the kernel's table holds it.
pub fn entry(socket: &Socket) -> SocketEntry {
    SocketEntry {
        slot: socket.slot,
        flow: socket.flow,
        app: 0,
        nth: socket.nth,
        attempt: 1,
        state: 0,
        uid: 0,
        role: 0,
        isn: 0,
        irs: 0,
        last_ack: 0,
        rport: socket.remote.port().into(),
        raddr: addr::words(socket.remote.ip()),
        pid_tgid: 0,
        allowed: 0,
        reach: [0; 2],
        last: [LastSegment::default(); 2],
    }
}

/// The tuple of packets to a socket.
pub fn towards(socket: &Socket) -> Tuple {
    Tuple {
        saddr: addr::words(socket.remote.ip()),
        daddr: addr::words(socket.local.ip()),
        sport: socket.remote.port(),
        dport: socket.local.port(),
        proto: socket.proto.into(),
    }
}

/// A chain of these rules.
pub fn chain(rules: &[Rule]) -> Chain {
    let mut chain = Chain { len: rules.len() as u32, ..Chain::EMPTY };
    chain.rules[..rules.len()].copy_from_slice(rules);
    chain
}

/// Loses everything.
pub fn certain(id: u32) -> Rule {
    Rule { kind: fault_common::rule::LOSS_RANDOM, id, p32: P_ALWAYS, ..Rule::NONE }
}

/// One chain for what a flow receives.
pub fn only(flow: u32, rules: &[Rule]) -> Chains {
    BTreeMap::from([((flow, Direction::Ingress), chain(rules))])
}

/// A data packet to a socket.
pub fn data(socket: &Socket, seq: u32) -> Packet {
    Packet::tcp(socket.remote, socket.local, 0x18, seq, 100)
}

/// The address with another port.
pub fn with_port(of: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(of.ip(), port)
}

/// In this thread's network namespace.
pub fn loopback_up() {
    let done = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(done.unwrap().success());
}
