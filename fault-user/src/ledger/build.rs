//! From events to [`FlowRecord`]s.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fault_common::event::tcp;

use super::entry::{Entry, Packet, What};
use super::flow::{Ack, FlowRecord, LostRx, SendCall, TxCopy};
use super::stream::{RangeIndex, Unwrapper};

/// One record per socket, in order of opening.
///
/// The ring keeps the order of submission, which across CPUs is only almost the order of time, so
/// the entries may come in any order.
pub fn build(entries: &[Entry]) -> Vec<FlowRecord> {
    let mut by_cookie: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    for e in entries {
        // These two name a selector, not a socket.
        if !matches!(e.what, What::Marker { .. } | What::Overflow { .. }) {
            by_cookie.entry(e.cookie).or_default().push(*e);
        }
    }
    let mut flows: Vec<_> = by_cookie
        .into_values()
        .map(|mut list| {
            list.sort_by_key(|e| e.ts);
            Builder::new(&list).run(&list)
        })
        .collect();
    flows.sort_by_key(|f| (f.opened.unwrap_or(f.first_seen), f.cookie));
    flows
}

/// The sequence number of offset 0.
fn base(list: &[Entry]) -> u32 {
    let syn = list.iter().find_map(|e| match e.what {
        What::Tx(p) if p.has(tcp::SYN) => Some(p.seq),
        _ => None,
    });
    if let Some(seq) = syn {
        return seq;
    }
    // Open before the run: the lowest byte that anything on record touches.
    let first_send = list.iter().find_map(|e| match e.what {
        What::Send { ret, end_seq } if ret > 0 => Some(end_seq.wrapping_sub(ret as u32)),
        _ => None,
    });
    let sent = list.iter().filter_map(|e| match e.what {
        What::Tx(p) if p.len > 0 => Some(p.seq),
        _ => None,
    });
    let mut marks = first_send.into_iter().chain(sent);
    let Some(first) = marks.next() else { return 0 };
    marks.fold(first, |low, seq| if (seq.wrapping_sub(low) as i32) < 0 { seq } else { low })
}

/// A copy whose acknowledgement may still tell a round trip.
struct InFlight {
    copy: usize,
    /// Sent more than once: which copy is acknowledged cannot be told (Karn).
    again: bool,
}

struct Builder {
    flow: FlowRecord,
    seq: Unwrapper,
    una: i64,
    tx_end: i64,
    /// Sends that had returned by the current moment.
    returned: usize,
    has_tx: bool,
    fin: bool,
    /// When each copy of the SYN was sent.
    syns: Vec<u64>,
    in_flight: Vec<InFlight>,
}

impl Builder {
    fn new(list: &[Entry]) -> Self {
        let seq = Unwrapper::new(base(list));
        let has_tx = list.iter().any(|e| matches!(e.what, What::Tx(p) if p.len > 0));
        Self {
            flow: empty(list),
            seq,
            una: 0,
            tx_end: 0,
            returned: 0,
            has_tx,
            fin: false,
            syns: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    fn run(mut self, list: &[Entry]) -> FlowRecord {
        self.flow.sends = sends(list, self.seq);
        for e in list {
            self.identity(e);
            match e.what {
                What::Tx(p) => self.tx(e.ts, &p),
                What::Rx(p) => self.rx(e.ts, &p),
                What::Established { accepted: false, .. } => self.shook_hands(e.ts),
                _ => {}
            }
        }
        self.flow.tx_index = RangeIndex::new(self.flow.tx.iter().map(|c| c.range.clone()));
        self.flow
    }

    fn identity(&mut self, e: &Entry) {
        let f = &mut self.flow;
        f.retransmits = f.retransmits.max(e.retrans);
        f.flow = f.flow.or(e.flow);
        f.passive |= e.passive;
        if f.pid == 0 {
            f.pid = e.pid;
        }
        match e.what {
            What::Opened { nth, attempt, local, remote } => {
                f.opened.get_or_insert(e.ts);
                f.nth = Some(nth);
                f.attempt = Some(attempt);
                addresses(f, e, local, remote);
            }
            What::Bound { local, remote } => {
                f.bound.get_or_insert(e.ts);
                addresses(f, e, local, remote);
            }
            What::Established { accepted, local, remote } => {
                f.established.get_or_insert(e.ts);
                f.passive |= accepted;
                addresses(f, e, local, remote);
            }
            What::Closed { .. } => {
                f.closed.get_or_insert(e.ts);
            }
            _ => {}
        }
    }

    fn tx(&mut self, ts: u64, p: &Packet) {
        let start = self.seq.offset(p.seq);
        let mut range = start..start + i64::from(p.len);
        // A keepalive or zero-window probe repeats the byte before the window to provoke an ack.
        if p.len == 1 && range.end <= self.una {
            range.end = range.start;
        }
        self.fin |= p.has(tcp::FIN);
        if p.has(tcp::SYN) {
            self.syns.push(ts);
        }
        if range.is_empty() && !p.dropped {
            return;
        }
        let copy = self.flow.tx.len();
        if !range.is_empty() {
            self.sent(copy, &range);
        }
        self.flow.tx.push(TxCopy { ts, range, dropped: p.dropped, rule: p.rule, segs: p.segs });
    }

    fn sent(&mut self, copy: usize, range: &std::ops::Range<i64>) {
        let again = range.start < self.tx_end;
        if again {
            for other in &mut self.in_flight {
                let r = &self.flow.tx[other.copy].range;
                other.again |= r.start < range.end && range.start < r.end;
            }
        }
        self.in_flight.push(InFlight { copy, again });
        self.tx_end = self.tx_end.max(range.end);
        self.seq.advance(range.end);
    }

    fn rx(&mut self, ts: u64, p: &Packet) {
        // A reset carries an acknowledgement number that TCP does not act on.
        let acks = p.has(tcp::ACK) && !p.has(tcp::RST);
        let end = self.sent_by(ts);
        let offset = self.seq.offset(p.ack);
        if p.dropped {
            let ack = acks.then_some(offset.min(end));
            self.flow.lost_rx.push(LostRx { ts, ack, rule: p.rule, segs: p.segs });
        } else if acks && offset > self.una && offset <= end + i64::from(self.fin) {
            self.acked(ts, offset.min(end));
        }
    }

    /// End of the bytes that TCP can have sent by that time.
    fn sent_by(&mut self, ts: u64) -> i64 {
        let sends = &self.flow.sends;
        while sends.get(self.returned).is_some_and(|s| s.ts <= ts) {
            self.returned += 1;
        }
        // On loopback an ack may overtake the return of the send call; the packets then bear
        // witness. Where no packet is on record at all, all sends of the flow have to do.
        let known = if self.has_tx { &sends[..self.returned] } else { &sends[..] };
        // The ends only rise: the last one is the highest.
        self.tx_end.max(known.last().map_or(0, |s| s.range.end))
    }

    fn acked(&mut self, ts: u64, upto: i64) {
        if upto <= self.una {
            return;
        }
        self.una = upto;
        self.seq.advance(upto);
        self.flow.acks.push(Ack { ts, upto });
        let tx = &self.flow.tx;
        let mut newest = None;
        self.in_flight.retain(|f| {
            let c = &tx[f.copy];
            let done = c.range.end <= upto;
            if done && !f.again && !c.dropped {
                newest = newest.max(Some(c.ts));
            }
            !done
        });
        if let Some(sent) = newest {
            self.round_trip(ts.saturating_sub(sent));
        }
    }

    /// The handshake is a round trip too, and the only one of a flow whose data all got stuck.
    fn shook_hands(&mut self, ts: u64) {
        if let [sent] = self.syns[..] {
            self.round_trip(ts.saturating_sub(sent));
        }
    }

    fn round_trip(&mut self, rtt: u64) {
        self.flow.min_rtt = Some(self.flow.min_rtt.map_or(rtt, |m| m.min(rtt)));
    }
}

fn addresses(f: &mut FlowRecord, e: &Entry, local: IpAddr, remote: IpAddr) {
    if !local.is_unspecified() || e.lport != 0 {
        f.local = Some(SocketAddr::new(local, e.lport));
    }
    f.remote = Some(SocketAddr::new(remote, e.rport));
}

fn sends(list: &[Entry], mut seq: Unwrapper) -> Vec<SendCall> {
    let mut sends = Vec::new();
    let mut end = 0;
    for e in list {
        let What::Send { ret, end_seq } = e.what else { continue };
        let (range, error) = if ret > 0 {
            let stop = seq.offset(end_seq);
            seq.advance(stop);
            end = end.max(stop);
            (stop - i64::from(ret)..stop, None)
        } else {
            (end..end, (ret < 0).then(|| -ret))
        };
        sends.push(SendCall { ts: e.ts, tid: e.tid, range, error });
    }
    sends
}

fn empty(list: &[Entry]) -> FlowRecord {
    let e = &list[0];
    FlowRecord {
        cookie: e.cookie,
        app: e.app,
        flow: e.flow,
        slot: e.slot,
        nth: None,
        attempt: None,
        pid: 0,
        proto: e.proto,
        passive: false,
        local: None,
        remote: None,
        first_seen: e.ts,
        opened: None,
        bound: None,
        established: None,
        closed: None,
        sends: Vec::new(),
        tx: Vec::new(),
        acks: Vec::new(),
        lost_rx: Vec::new(),
        retransmits: 0,
        min_rtt: None,
        tx_index: RangeIndex::default(),
    }
}
