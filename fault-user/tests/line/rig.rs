//! An engine with a clock that stands still unless it is moved, and an outlet that records.

use std::collections::BTreeMap;
use std::sync::Arc;

use fault_common::event::Event;
use fault_common::fate::{Delay, Distribution, Fault, Loss, Model, When};
use fault_common::line::{Back, Handed};
use fault_common::rule::Direction;
use fault_user::capture::Limits;
use fault_user::line::engine::{ConnKey, Engine};
use fault_user::line::frame::{Frame, Piece};
use fault_user::line::tally::{SocketTally, Tally};
use fault_user::line::{Answer, Outlet, Settings};
use fault_user::plan::Tables;

use crate::spec::{Spec, TAG};
use crate::wire::{Wire, packets};

pub const MS: u64 = 1_000_000;
/// When every test begins.
pub const T0: u64 = 1_000 * MS;
/// Sequence number of the first byte: streams wrap early.
pub const BASE: u32 = 0xffff_f000;
pub const MSS: usize = 1000;
/// IP and TCP headers of [`Rig::bytes`]: 20, 20, 12 of options.
pub const HEADERS: usize = 52;
const ACK: u8 = 0x10;
/// Faulted packets that are kept.
pub const CAPTURE: Limits = Limits { snaplen: 100, max: 1000 };

/// A frame that went on.
pub struct Written {
    pub at: u64,
    pub back: Back,
    pub wire: Vec<Wire>,
}

#[derive(Default)]
pub struct Recorder {
    pub now: u64,
    pub written: Vec<Written>,
    pub events: Vec<Event>,
    pub answers: Vec<Answer>,
    pub done: Vec<(ConnKey, u64)>,
    /// The kernel takes nothing.
    pub refuses: bool,
}

impl Outlet for Recorder {
    fn write(&mut self, piece: &mut Piece, back: &Back) -> bool {
        if self.refuses {
            return false;
        }
        self.written.push(Written { at: self.now, back: *back, wire: packets(piece) });
        true
    }

    fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    fn done(&mut self, key: ConnKey, accepted: u64) {
        self.done.push((key, accepted));
    }

    fn now(&self) -> u64 {
        self.now
    }
}

/// One connection in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conn {
    pub slot: u32,
    pub flow: u32,
    pub dir: Direction,
}

pub const A: Conn = Conn { slot: 3, flow: 0, dir: Direction::Egress };

impl Conn {
    pub fn key(self) -> ConnKey {
        (self.slot, self.dir)
    }
}

/// A wire packet that went on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub at: u64,
    /// Stream position of its first byte.
    pub pos: u64,
    pub payload: Vec<u8>,
}

pub struct Rig {
    pub engine: Engine,
    pub out: Recorder,
    pub now: u64,
    /// Which bank the programs have live.
    pub bank: u32,
    tag: u16,
    /// Frames of this kind; see [`Rig::bytes`].
    pub like: Spec,
}

/// The byte at a position of any stream.
fn byte(pos: u64) -> u8 {
    (pos ^ pos >> 8 ^ pos >> 16) as u8
}

pub fn stream(from: u64, len: usize) -> Vec<u8> {
    (from..from + len as u64).map(byte).collect()
}

impl Rig {
    pub fn new() -> Self {
        Self::with(7, u64::MAX)
    }

    pub fn with(seed: u64, hold: u64) -> Self {
        let settings = Settings { seed, tables: Tables::default(), hold, capture: CAPTURE };
        let mut like = Spec::tcp(false, 0, None);
        like.tcp.as_mut().unwrap().flags = ACK;
        Self {
            engine: Engine::new(settings, Tally::new().unwrap()),
            out: Recorder { now: T0, ..Recorder::default() },
            now: T0,
            bank: 1,
            tag: TAG,
            like,
        }
    }

    /// With these faults on [`A`].
    pub fn under(faults: &[Fault]) -> Self {
        let mut rig = Self::new();
        rig.arm(&[(A, faults)]);
        rig
    }

    /// Makes these the faults, in the order in which controller and programs do it.
    pub fn arm(&mut self, faults: &[(Conn, &[Fault])]) {
        let bank = self.stage(faults);
        self.bank = bank;
        self.engine.live(bank as usize, self.now);
    }

    /// Lays them down in the other bank; which one that is.
    pub fn stage(&mut self, faults: &[(Conn, &[Fault])]) -> u32 {
        let bank = (self.bank + 1) & 1;
        let stacks: BTreeMap<_, Arc<[Fault]>> =
            faults.iter().map(|(c, f)| ((c.flow, c.dir), Arc::from(*f))).collect();
        self.engine.stage(bank as usize, stacks);
        bank
    }

    pub fn handed(&self, conn: Conn) -> Handed {
        Handed {
            ts: self.now,
            cookie: 100 + u64::from(conn.slot),
            slot: conn.slot,
            flow: conn.flow,
            app: 1,
            nth: 1,
            base: BASE,
            ifindex: 4,
            mark: 5,
            tc_index: 6,
            priority: 7,
            dir: conn.dir as u32,
            bank: self.bank,
            ..Handed::default()
        }
    }

    /// Any frame; what is due goes on.
    pub fn accept(&mut self, handed: &Handed, spec: &Spec) {
        let mut bytes = spec.bytes();
        self.tag = self.tag.wrapping_add(1);
        bytes[24..26].copy_from_slice(&self.tag.to_be_bytes());
        let frame = Frame::parse(bytes.into()).unwrap();
        self.engine.accept(handed, &frame, &mut self.out);
        self.engine.due(self.now, &mut self.out);
    }

    /// A TCP segment, or a super-packet, with these bytes of its stream.
    pub fn bytes(&mut self, conn: Conn, from: u64, len: usize) {
        let spec = self.spec(from, len);
        let handed = self.handed(conn);
        self.accept(&handed, &spec);
    }

    pub fn spec(&self, from: u64, len: usize) -> Spec {
        let mut spec = self.like.clone();
        spec.payload = stream(from, len);
        spec.gso_size = (len > MSS).then_some(MSS as u16);
        spec.tcp.as_mut().unwrap().seq = BASE.wrapping_add(from as u32);
        spec
    }

    /// Lets time pass, with every deadline kept.
    pub fn until(&mut self, at: u64) {
        while let Some(next) = self.engine.next_at().filter(|next| *next <= at) {
            self.go_to(next.max(self.now));
        }
        self.go_to(at);
    }

    fn go_to(&mut self, at: u64) {
        (self.now, self.out.now) = (at, at);
        self.engine.due(at, &mut self.out);
    }

    pub fn wait(&mut self, ns: u64) {
        self.until(self.now + ns);
    }

    /// All wire packets that went on, as their receiver gets them; their bytes must be right.
    pub fn seen(&self) -> Vec<Seen> {
        let packets = self.out.written.iter().flat_map(|w| w.wire.iter().map(|p| (w.at, p)));
        let seen = packets.map(|(at, p)| {
            assert!(p.good(), "{p:?}");
            let pos = u64::from(p.seq.wrapping_sub(BASE));
            assert_eq!(p.payload, stream(pos, p.payload.len()), "at {pos}");
            Seen { at, pos, payload: p.payload.clone() }
        });
        seen.collect()
    }

    /// Of [`Rig::seen`]: positions and times since the beginning.
    pub fn times(&self) -> Vec<(u64, u64)> {
        self.seen().iter().map(|s| (s.pos, s.at - T0)).collect()
    }

    pub fn places(&self) -> Vec<u64> {
        self.seen().iter().map(|s| s.pos).collect()
    }

    pub fn wire_packets(&self) -> u64 {
        self.out.written.iter().map(|w| w.wire.len() as u64).sum()
    }

    pub fn tally(&self, conn: Conn) -> SocketTally {
        self.engine.tally.sockets.get(&conn.key()).copied().unwrap_or_default()
    }
}

pub fn fault(id: u32, model: Model) -> Fault {
    Fault { id, when: When::default(), pulse: None, model }
}

/// Of bytes within `[from, to)` only.
pub fn within(from: u64, to: u64, fault: Fault) -> Fault {
    Fault { when: When { stream: Some((from, to)), ..When::default() }, ..fault }
}

pub fn delay(id: u32, ns: u64) -> Fault {
    jitter(id, ns, 0, true)
}

pub fn jitter(id: u32, mean: u64, jitter: u64, keep_order: bool) -> Fault {
    let distribution = if jitter == 0 { Distribution::Constant } else { Distribution::Uniform };
    fault(id, Model::Delay(Delay { mean, jitter, distribution, correlation: 0, keep_order }))
}

pub fn lossy(id: u32, p: f64) -> Fault {
    fault(id, Model::Loss(Loss::Random(share(p))))
}

/// A probability in units of 2^-32.
pub fn share(p: f64) -> u64 {
    (p * 4_294_967_296.0) as u64
}
