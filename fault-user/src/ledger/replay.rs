//! Packets in order of time: copies, acknowledgements, round trips.

use fault_common::event::tcp;

use super::datagrams::UDP;
use super::entry::{Entry, Packet, What};
use super::flow::{Ack, FlowRecord, LostRx, TxCopy};
use super::stream::{RangeIndex, Unwrapper};

/// A copy whose acknowledgement may still tell a round trip. No index of the record: what is settled leaves it.
struct InFlight {
    ts: u64,
    range: std::ops::Range<i64>,
    dropped: bool,
    /// Sent more than once: which copy is acknowledged cannot be told (Karn).
    again: bool,
}

/// Replays the events of one socket in order of time.
pub(super) struct Replay {
    flow: FlowRecord,
    seq: Unwrapper,
    una: i64,
    tx_end: i64,
    /// Sends of the record that had returned by the current moment, and the end of all that ever had.
    returned: usize,
    returned_end: i64,
    has_tx: bool,
    fin: bool,
    /// When each copy of the SYN was sent.
    syns: Vec<u64>,
    in_flight: Vec<InFlight>,
}

impl Replay {
    /// `flow` has its send calls already; `seq` knows the sequence number of offset 0.
    pub(super) fn new(flow: FlowRecord, seq: Unwrapper, has_tx: bool) -> Self {
        // Of a socket that was open before: a copy of what it had sent by then is not the first.
        let (una, tx_end) = (flow.acked_before(), flow.found.map_or(0, |found| found.sent));
        Self {
            flow,
            seq,
            una,
            tx_end,
            returned: 0,
            returned_end: 0,
            has_tx,
            fin: false,
            syns: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Takes the next event.
    pub(super) fn event(&mut self, e: &Entry) {
        match e.what {
            What::Tx(p) => self.tx(e.ts, &p),
            What::Rx(p) => self.rx(e.ts, &p),
            What::Established { accepted: false, .. } => self.shook_hands(e.ts),
            _ => {}
        }
    }

    /// The record as far as events have come.
    pub(super) fn flow(&self) -> &FlowRecord {
        &self.flow
    }

    /// The same, to add send calls to it, or to take out what is settled.
    pub(super) fn flow_mut(&mut self) -> &mut FlowRecord {
        // Positions in it may be others afterwards.
        self.returned = 0;
        &mut self.flow
    }

    /// To be called when all events so far are through, and after every change by others.
    pub(super) fn index(&mut self) {
        self.flow.tx_index = RangeIndex::new(self.flow.tx.iter().map(|c| c.range.clone()));
    }

    /// The record, once all events are through.
    pub(super) fn finish(mut self) -> FlowRecord {
        self.index();
        self.flow
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
        let Packet { dropped, discarded, rule, segs, .. } = *p;
        if !range.is_empty() {
            self.sent(ts, &range, dropped);
        }
        self.flow.tx.push(TxCopy { ts, range, dropped, discarded, rule, segs });
    }

    fn sent(&mut self, ts: u64, range: &std::ops::Range<i64>, dropped: bool) {
        let again = range.start < self.tx_end;
        if again {
            for other in &mut self.in_flight {
                let r = &other.range;
                other.again |= r.start < range.end && range.start < r.end;
            }
        }
        // Nobody acknowledges a datagram: they would stay for ever.
        if self.flow.proto != UDP {
            self.in_flight.push(InFlight { ts, range: range.clone(), dropped, again });
        }
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
            self.flow.lost_rx.push(LostRx {
                ts,
                ack,
                discarded: p.discarded,
                rule: p.rule,
                segs: p.segs,
            });
        } else if acks && offset > self.una && offset <= end + i64::from(self.fin) {
            self.acked(ts, offset.min(end), p.rule);
        }
    }

    /// End of the bytes that TCP can have sent by that time.
    fn sent_by(&mut self, ts: u64) -> i64 {
        let sends = &self.flow.sends;
        // On loopback an ack may overtake the return of the send call; the packets then bear
        // witness. Where no packet is on record at all, all sends of the flow have to do.
        while let Some(send) = sends.get(self.returned).filter(|s| s.ts <= ts || !self.has_tx) {
            self.returned_end = self.returned_end.max(send.range.end);
            self.returned += 1;
        }
        self.tx_end.max(self.returned_end)
    }

    fn acked(&mut self, ts: u64, upto: i64, rule: Option<u32>) {
        if upto <= self.una {
            return;
        }
        self.una = upto;
        self.seq.advance(upto);
        self.flow.acks.push(Ack { ts, upto, rule });
        let mut newest = None;
        self.in_flight.retain(|f| {
            let done = f.range.end <= upto;
            if done && !f.again && !f.dropped {
                newest = newest.max(Some(f.ts));
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
