//! What the kernel should do with each packet, and what its counters should say in the end.
//! Shares nothing with the programs but the tables and `decide`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use fault_common::decide::{self, Fate};
use fault_common::event::{
    Event, KIND_RX, KIND_TX, NO_FLOW, NO_RULE, VERDICT_DROP, VERDICT_PASS, tcp,
};
use fault_common::rule::{Chain, Direction, LOSS_RANDOM, P_ALWAYS, Rule};
use fault_common::stats::{RuleCounters, SlotCounters};

use crate::dissect::{Facts, TCP};

/// "No opinion": the packet goes on.
pub const PASSES: i32 = -1;
/// TC_ACT_SHOT: what loses a packet at ingress.
pub const SHOT: i32 = 2;
/// TC_ACT_REDIRECT, to nowhere: what loses a packet at egress.
pub const REDIRECTED: i32 = 7;

/// The chains of an epoch.
pub type Chains = BTreeMap<(u32, Direction), Chain>;

/// A socket that the programs know.
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    pub cookie: u64,
    pub slot: u32,
    pub flow: u32,
    pub nth: u32,
    pub proto: u8,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// What a socket's packets have left behind so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// Sequence number of the first payload byte, per direction.
    pub first: [Option<u32>; 2],
    last_ack: u32,
    pub counters: [SlotCounters; 2],
}

/// What should become of one packet.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The program's return code.
    pub code: i32,
    /// The event, all but its time.
    pub event: Option<Event>,
}

/// Of a packet that is nobody's.
pub const BYSTANDER: Expected = Expected { code: PASSES, event: None };

/// The host's side of the comparison.
#[derive(Debug, Default)]
pub struct Model {
    seed: u64,
    pub chains: Chains,
    /// Number of the last [`Chains`].
    pub epoch: u64,
    pub sockets: Vec<(Socket, Past)>,
    pub rules: BTreeMap<u32, RuleCounters>,
    pub matched: u64,
    pub acted: u64,
    /// Wire packets that a counting rule has judged, by slot and rule.
    seen: HashMap<(u32, u32), u64>,
    attempts: HashMap<(u32, Direction, u32, bool), u32>,
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The socket that a packet is addressed to.
    pub fn addressee(&self, facts: &Facts) -> Option<usize> {
        self.sockets
            .iter()
            .position(|(s, _)| (s.local, s.remote, s.proto) == (facts.dst, facts.src, facts.proto))
    }

    /// Judges a packet of the socket at `index`.
    pub fn judge(&mut self, index: usize, dir: Direction, facts: &Facts) -> Expected {
        let (socket, mut past) = self.sockets[index];
        let first = &mut past.first[dir as usize];
        if first.is_none() || facts.flags & tcp::SYN != 0 {
            *first = Some(facts.seq);
        }
        let pos = facts.seq.wrapping_sub(first.unwrap_or_default());
        let (rule, judged) = self.fate(&socket, dir, facts, pos);
        let segs = u64::from(facts.segs);
        let counters = &mut past.counters[dir as usize];
        counters.packets += segs;
        counters.bytes += facts.bytes;
        self.matched += segs;
        if rule.is_some() {
            counters.dropped += segs;
            self.acted += segs;
        }
        let event = event(&socket, &mut past, dir, facts, rule, judged);
        self.sockets[index].1 = past;
        let code = match (rule, dir) {
            (None, _) => PASSES,
            (Some(_), Direction::Ingress) => SHOT,
            (Some(_), Direction::Egress) => REDIRECTED,
        };
        Expected { code, event }
    }

    /// The id of the rule that loses the packet, if one does, and what the event says of the decision.
    fn fate(
        &mut self,
        socket: &Socket,
        dir: Direction,
        facts: &Facts,
        pos: u32,
    ) -> (Option<u32>, (u32, u64)) {
        let chain = self.chains.get(&(socket.flow, dir)).filter(|_| socket.flow != NO_FLOW);
        let Some(chain) = chain.copied() else { return (None, (0, 0)) };
        // Bytes have a place in the stream. What has none is told apart by counting.
        let placed = facts.proto == TCP && facts.payload > 0;
        let key = (socket.slot, dir, facts.seq, placed);
        let attempt = self.attempts.get(&key).copied().unwrap_or(0);
        let known = decide::Facts {
            seed: self.seed,
            flow: socket.flow,
            nth: socket.nth,
            pos: u64::from(pos) | if placed { 0 } else { decide::UNPLACED },
            attempt,
            segs: facts.segs,
            classes: decide::classes(facts.proto == TCP, facts.flags, facts.payload > 0),
        };
        let draws = |r: &Rule| r.kind == LOSS_RANDOM && r.p32 < P_ALWAYS;
        let by_chance = chain.rules[..chain.len as usize].iter().any(draws);
        // Where nothing is drawn, nothing is counted.
        let mut draw = if by_chance { attempt } else { 0 };
        let fate = decide::decide(&chain, &known, |_, rule| {
            let seen = self.seen.entry((socket.slot, rule.id)).or_default();
            let before = *seen;
            *seen += u64::from(facts.segs);
            draw = before as u32;
            before
        });
        let hit = match fate {
            Fate::Drop(i) => Some(i as usize),
            Fate::Pass => None,
        };
        self.count(&chain, &known, hit);
        if hit.is_some_and(|i| draws(&chain.rules[i])) || (!placed && by_chance) {
            self.attempts.insert(key, attempt + 1);
        }
        let judged = match chain.len {
            0 => (0, 0),
            _ => ((self.epoch as u32) << 16 | socket.nth, u64::from(pos) << 32 | u64::from(draw)),
        };
        (hit.map(|i| chain.rules[i].id), judged)
    }

    fn count(&mut self, chain: &Chain, known: &decide::Facts, hit: Option<usize>) {
        let segs = known.segs;
        let reached = hit.map_or(chain.len as usize, |i| i + 1);
        for (i, rule) in chain.rules[..reached].iter().enumerate() {
            if decide::means(rule, known) == 0 {
                continue;
            }
            let counters = self.rules.entry(rule.id).or_default();
            counters.matched += u64::from(segs);
            if hit == Some(i) {
                counters.acted += u64::from(segs);
            }
            let certain = rule.kind == LOSS_RANDOM && rule.p32 >= P_ALWAYS;
            counters.whole += u64::from(segs > 1 && !certain);
        }
    }
}

/// The event of a packet: bytes that leave, acknowledgements that advance, control packets, and
/// whatever a rule hit.
fn event(
    socket: &Socket,
    past: &mut Past,
    dir: Direction,
    facts: &Facts,
    rule: Option<u32>,
    (judged, drawn): (u32, u64),
) -> Option<Event> {
    let control = facts.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0;
    let acks = facts.flags & tcp::ACK != 0;
    let news = match dir {
        Direction::Egress => facts.payload > 0,
        Direction::Ingress => acks && facts.ack != past.last_ack,
    };
    if dir == Direction::Ingress && acks && rule.is_none() {
        past.last_ack = facts.ack;
    }
    (news || control || rule.is_some()).then(|| Event {
        ts: 0,
        cookie: socket.cookie,
        pid_tgid: drawn,
        kind: if dir == Direction::Egress { KIND_TX } else { KIND_RX },
        verdict: if rule.is_some() { VERDICT_DROP } else { VERDICT_PASS },
        flags: facts.flags,
        dir: dir as u8,
        proto: facts.proto,
        passive: 0,
        segs: facts.segs as u16,
        slot: socket.slot,
        flow: socket.flow,
        app: 0,
        rule: rule.unwrap_or(NO_RULE),
        seq: facts.seq,
        len: facts.payload,
        ack: facts.ack,
        ret: judged as i32,
        retrans: 0,
        aux: 0,
        lport: socket.local.port(),
        rport: socket.remote.port(),
        // BPF_PROG_TEST_RUN makes packets of the loopback device.
        ifindex: 1,
    })
}
