//! What is known of each socket apart from its bytes: whose it is, when it came and went, where its stream begins.
//!
//! It is gathered while the run goes on, some hundred bytes a socket: who reads the events a second time, a part at
//! a time, then knows from the start what only later events tell.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use fault_common::event::tcp;
use fault_common::rule::Direction;

use super::audit::Account;
use super::entry::{Entry, Standing, What};
use super::flow::{FlowRecord, Found};
use super::stream::{RangeIndex, RangeSet, Unwrapper};

/// All sockets, by cookie.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    by_cookie: BTreeMap<u64, Head>,
}

impl Heads {
    /// Those of some events, in any order.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut heads = Self::default();
        entries.into_iter().for_each(|e| heads.note(e));
        heads
    }

    /// Takes in an event.
    pub fn note(&mut self, e: &Entry) {
        // These are about no socket in particular.
        if !matches!(e.what, What::Marker { .. } | What::Overflow { .. } | What::Multipath) {
            let head = self.by_cookie.entry(e.cookie).or_insert_with(|| Head::new(e));
            e.parts().for_each(|part| head.note(&part));
        }
    }

    /// Every socket with its identity and nothing else, in order of opening.
    pub fn flows(&self) -> Vec<FlowRecord> {
        let mut flows: Vec<_> = self.by_cookie.values().map(Head::flow).collect();
        sort(&mut flows);
        flows
    }

    /// What the run's events tell of each socket for [`super::audit`]; `broken`: bytes whose ack contradicts their
    /// drops.
    pub(crate) fn accounts(&self, broken: impl Fn(u64) -> Option<Range<i64>>) -> Vec<Account> {
        let account = |(&cookie, head): (&u64, &Head)| Account {
            cookie,
            slot: head.flow.slot,
            selected: head.flow.flow.is_some(),
            told: head.told.clone(),
            broken: broken(cookie),
        };
        self.by_cookie.iter().map(account).collect()
    }

    /// As things stood at `end` (ns): what came later has not happened yet.
    pub(crate) fn until(&self, end: u64) -> Self {
        let mut heads = self.clone();
        heads.by_cookie.retain(|_, head| head.flow.first_seen <= end);
        for head in heads.by_cookie.values_mut() {
            let flow = &mut head.flow;
            for at in [&mut flow.opened, &mut flow.bound, &mut flow.established, &mut flow.closed] {
                *at = at.filter(|ts| *ts <= end);
            }
        }
        heads
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Head)> {
        self.by_cookie.iter().map(|(&cookie, head)| (cookie, head))
    }
}

/// In order of opening.
pub(super) fn sort(flows: &mut [FlowRecord]) {
    flows.sort_by_key(|f| (f.opened.unwrap_or(f.first_seen), f.cookie));
}

/// One socket.
#[derive(Debug, Clone)]
pub(super) struct Head {
    flow: FlowRecord,
    /// The sequence number of the stream's first byte, of a socket that was open before.
    first: Option<u32>,
    /// The first SYN, by time.
    syn: Option<(u64, u32)>,
    /// First byte of the first send call, by time.
    sent: Option<(u64, u32)>,
    /// The lowest byte of a packet.
    lowest: Option<Lowest>,
    /// Whether any packet with payload is on record.
    pub(super) has_tx: bool,
    /// Packets that faults lost, as on the wire, by direction and rule.
    told: BTreeMap<(Direction, Option<u32>), u64>,
}

/// The lowest of many sequence numbers that move on.
#[derive(Debug, Clone, Copy)]
struct Lowest {
    first: u32,
    seq: Unwrapper,
    offset: i64,
}

impl Lowest {
    fn new(seq: u32) -> Self {
        Self { first: seq, seq: Unwrapper::new(seq), offset: 0 }
    }

    fn note(&mut self, seq: u32) {
        let offset = self.seq.offset(seq);
        self.seq.advance(offset);
        self.offset = self.offset.min(offset);
    }

    fn get(&self) -> u32 {
        self.first.wrapping_add(self.offset as u32)
    }
}

impl Head {
    fn new(e: &Entry) -> Self {
        Self {
            flow: empty(e),
            first: None,
            syn: None,
            sent: None,
            lowest: None,
            has_tx: false,
            told: BTreeMap::new(),
        }
    }

    fn note(&mut self, e: &Entry) {
        identity(&mut self.flow, e);
        let earlier = |at: &Option<(u64, u32)>| at.is_none_or(|(ts, _)| e.ts < ts);
        let lost = match e.what {
            What::Tx(p) => Some((Direction::Egress, p)),
            What::Rx(p) => Some((Direction::Ingress, p)),
            _ => None,
        };
        if let Some((direction, p)) = lost.filter(|(_, p)| p.dropped && !p.discarded) {
            *self.told.entry((direction, p.rule)).or_default() += u64::from(p.segs);
        }
        match e.what {
            What::Found { stream: Some(standing), .. } => self.first = Some(standing.first),
            What::Tx(p) => {
                if p.has(tcp::SYN) && earlier(&self.syn) {
                    self.syn = Some((e.ts, p.seq));
                }
                if p.len > 0 {
                    self.has_tx = true;
                    self.lowest.get_or_insert_with(|| Lowest::new(p.seq)).note(p.seq);
                }
            }
            What::Send { ret, end_seq, start_seq, .. } if ret > 0 && earlier(&self.sent) => {
                let start = start_seq.unwrap_or_else(|| end_seq.wrapping_sub(ret as u32));
                self.sent = Some((e.ts, start));
            }
            _ => {}
        }
    }

    /// The sequence number of offset 0.
    fn base(&self) -> u32 {
        if let Some(first) = self.first {
            return first;
        }
        if let Some((_, seq)) = self.syn {
            return seq;
        }
        // Open before the run, and nobody could tell: the lowest byte that anything on record touches.
        match (self.sent.map(|(_, seq)| seq), self.lowest.map(|l| l.get())) {
            (Some(a), Some(b)) if (b.wrapping_sub(a) as i32) < 0 => b,
            (a, b) => a.or(b).unwrap_or(0),
        }
    }

    pub(super) fn flow(&self) -> FlowRecord {
        FlowRecord { seq_base: self.base(), ..self.flow.clone() }
    }
}

fn found(standing: Option<&Standing>) -> Found {
    let Some(s) = standing else {
        return Found { placed: false, written: 0, sent: 0, acked: 0 };
    };
    let written = s.written as i64;
    let (sent, acked) = (written - i64::from(s.unsent), written - i64::from(s.unacked));
    Found { placed: true, written, sent, acked }
}

/// The earlier of two moments.
fn first(known: &mut Option<u64>, ts: u64) {
    *known = Some(known.map_or(ts, |t| t.min(ts)));
}

fn identity(f: &mut FlowRecord, e: &Entry) {
    f.retransmits = f.retransmits.max(e.retrans);
    f.flow = f.flow.or(e.flow);
    f.passive |= e.passive;
    f.first_seen = f.first_seen.min(e.ts);
    // Not every kind of event has them.
    if f.proto == 0 {
        f.proto = e.proto;
    }
    if f.pid == 0 {
        f.pid = e.pid;
    }
    match e.what {
        What::Opened { nth, attempt, local, remote, .. } => {
            first(&mut f.opened, e.ts);
            f.nth = Some(nth);
            f.attempt = Some(attempt);
            addresses(f, e, local, remote);
        }
        What::Bound { local, remote } => {
            first(&mut f.bound, e.ts);
            addresses(f, e, local, remote);
        }
        What::Established { accepted, local, remote } => {
            first(&mut f.established, e.ts);
            f.passive |= accepted;
            addresses(f, e, local, remote);
        }
        What::Found { accepted, local, remote, stream } => {
            f.passive |= accepted;
            f.found = Some(found(stream.as_ref()));
            addresses(f, e, local, remote);
        }
        What::Named { nth } => f.nth = Some(nth),
        What::Closed { .. } => first(&mut f.closed, e.ts),
        _ => {}
    }
}

fn addresses(f: &mut FlowRecord, e: &Entry, local: IpAddr, remote: IpAddr) {
    if !local.is_unspecified() || e.lport != 0 {
        f.local = Some(SocketAddr::new(local, e.lport));
    }
    f.remote = Some(SocketAddr::new(remote, e.rport));
}

fn empty(e: &Entry) -> FlowRecord {
    FlowRecord {
        cookie: e.cookie,
        app: e.app,
        flow: e.flow,
        slot: e.slot,
        nth: None,
        attempt: None,
        pid: 0,
        proto: 0,
        passive: false,
        local: None,
        remote: None,
        seq_base: 0,
        found: None,
        first_seen: e.ts,
        opened: None,
        bound: None,
        established: None,
        closed: None,
        sends: Vec::new(),
        elsewhere: RangeSet::new(),
        tx: Vec::new(),
        acks: Vec::new(),
        lost_rx: Vec::new(),
        retransmits: 0,
        min_rtt: None,
        tx_index: RangeIndex::default(),
    }
}
