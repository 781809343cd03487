//! A socket's record that grows with its events, a stretch of time after the other, and of which what is settled is
//! taken out again.

use std::collections::BTreeSet;
use std::ops::Range;

use super::datagrams::{self, UDP};
use super::entry::{Entry, What};
use super::flow::{FlowRecord, SendCall};
use super::heads::Head;
use super::interleaved;
use super::law::Law;
use super::replay::Replay;
use super::stream::{RangeSet, Unwrapper};

/// One socket.
pub(crate) struct Growing {
    replay: Replay,
    /// Of the send calls, which run ahead of the packets.
    seq: Unwrapper,
    end: i64,
    /// Where the datagrams began that are sends already.
    datagrams: BTreeSet<i64>,
    law: Law,
    /// Events whose time has not come.
    waiting: Vec<Entry>,
}

impl Growing {
    pub(super) fn new(head: &Head) -> Self {
        let flow = head.flow();
        let mut seq = Unwrapper::new(flow.seq_base);
        let (sent, written) = flow.found.map_or((0, 0), |found| (found.sent, found.written));
        seq.advance(sent);
        let law = Law::new(flow.acked_before());
        Self {
            replay: Replay::new(flow, seq, head.has_tx),
            seq,
            end: written,
            datagrams: BTreeSet::new(),
            law,
            waiting: Vec::new(),
        }
    }

    /// The record as it stands.
    pub(crate) fn flow(&self) -> &FlowRecord {
        self.replay.flow()
    }

    /// Bytes of which TCP has an ack that contradicts their drops.
    pub(crate) fn contradiction(&self) -> Option<Range<i64>> {
        self.law.broken.clone()
    }

    /// Send calls and packets in the record.
    pub(crate) fn held(&self) -> usize {
        let flow = self.flow();
        flow.sends.len() + flow.tx.len() + flow.acks.len() + flow.lost_rx.len()
    }

    /// Keeps an event until [`Growing::advance`].
    pub(crate) fn push(&mut self, entry: Entry) {
        self.waiting.push(entry);
    }

    /// Times of the events that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().map(|e| e.ts)
    }

    /// Takes in every event up to `until`. The ring keeps the order of submission, which across CPUs is only almost
    /// the order of time, so they may have come in any order.
    pub(crate) fn advance(&mut self, until: u64) {
        let mut due = std::mem::take(&mut self.waiting);
        due.sort_by_key(|e| e.ts);
        self.waiting = due.split_off(due.partition_point(|e| e.ts <= until));
        if due.is_empty() {
            return;
        }
        let new = if self.flow().proto == UDP {
            datagrams::sends(&due, &mut self.seq, &mut self.datagrams)
        } else {
            sends(&due, &mut self.seq, &mut self.end)
        };
        // An acknowledgement may come before the send call returns that it is about.
        let ahead = sends(&self.waiting, &mut self.seq.clone(), &mut self.end.clone());
        let calls = &mut self.replay.flow_mut().sends;
        calls.extend(new);
        calls.sort_by_key(|s| s.ts);
        // Once more what was settled before: a later one may overlap it.
        interleaved::settle(calls);
        let known = calls.len();
        calls.extend(ahead);
        let before = (self.flow().tx.len(), self.flow().acks.len());
        due.iter().for_each(|e| self.replay.event(e));
        let flow = self.replay.flow();
        self.law.take(flow.proto, &flow.tx[before.0..], &flow.acks[before.1..]);
        let flow = self.replay.flow_mut();
        flow.sends.truncate(known);
        // What the delay line had is told of when it is let go.
        flow.tx.sort_by_key(|c| c.ts);
        self.replay.index();
    }

    /// Takes out what nobody asks for any more.
    pub(crate) fn forget(&mut self, keep: &Keep) {
        let flow = self.replay.flow_mut();
        let una = flow.una();
        let udp = flow.proto == UDP;
        let mut call = keep.sends.iter();
        let elsewhere = &mut flow.elsewhere;
        flow.sends.retain(|s| {
            let stays = call.next().copied().unwrap_or(true);
            if !stays {
                elsewhere.insert(s.range.clone());
            }
            stays
        });
        flow.tx.retain(|c| {
            let pending = if udp { c.ts > keep.after } else { c.range.end > una };
            pending || !keep.bytes.within(&c.range).is_empty()
        });
        let last = flow.acks.len().saturating_sub(1);
        let mut at = 0;
        flow.acks.retain(|a| {
            at += 1;
            a.ts > keep.after || at > last || keep.acks.contains(&(at - 1))
        });
        flow.lost_rx.retain(|r| {
            let ts = r.ts as i64;
            r.ts > keep.after
                || r.ack.is_some_and(|ack| ack > una)
                || keep.times.covers(&(ts..ts + 1))
        });
        if udp && let Some(first) = flow.tx.first() {
            self.datagrams = self.datagrams.split_off(&first.range.start);
        }
        self.replay.index();
    }

    /// The record, once all events are through.
    pub(crate) fn finish(self) -> FlowRecord {
        self.replay.finish()
    }
}

/// What must stay of a record.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    /// Of each send call, whether it does.
    pub sends: Vec<bool>,
    /// Copies of these bytes.
    pub bytes: RangeSet,
    /// Acknowledgements at these positions.
    pub acks: BTreeSet<usize>,
    /// Losses of these times, ns.
    pub times: RangeSet,
    /// Everything of later moments, ns.
    pub after: u64,
}

impl Keep {
    /// Keeps a send call of `flow`, with all that its verdict may rest on.
    pub(crate) fn send(&mut self, flow: &FlowRecord, call: &SendCall) {
        let first = flow.copies_of(&call.range).map(|c| c.ts).next();
        let begun = first.map_or(call.ts, |ts| ts.min(call.ts));
        // With what it may have waited behind.
        let from = flow.una_at(begun).min(call.range.start);
        self.bytes.insert(from..call.range.end);
        let acked = flow.acks.partition_point(|a| a.upto < call.range.end);
        self.acks.insert(acked);
        let until = flow.acks.get(acked).map_or(i64::MAX - 1, |a| a.ts as i64);
        self.times.insert(begun as i64..until.max(begun as i64) + 1);
        self.una_at(flow, begun);
    }

    /// Keeps what [`FlowRecord::una_at`] says of that moment.
    pub(crate) fn una_at(&mut self, flow: &FlowRecord, ts: u64) {
        self.acks.extend(flow.acks.partition_point(|a| a.ts <= ts).checked_sub(1));
    }
}

/// The send calls of some events, in order of time; `seq` and `end` as they stand before these.
fn sends(list: &[Entry], seq: &mut Unwrapper, end: &mut i64) -> Vec<SendCall> {
    let mut sends = Vec::new();
    for e in list {
        let What::Send { ret, end_seq, start_seq, layered, sender, .. } = e.what else {
            continue;
        };
        let error = (ret < 0).then(|| -ret);
        let (ts, tid, written) = (e.ts, e.tid, ret.max(0) as u64);
        let (mut range, mut loose) = (*end..*end, false);
        if ret > 0 {
            let stop = seq.offset(end_seq);
            let len = length(ret, end_seq, start_seq);
            range = match len {
                Some(len) => stop - len..stop,
                // What was written is shorter than what it became: it begins where the one before ended.
                None if layered => (*end).min(stop)..stop,
                None => stop - i64::from(ret)..stop,
            };
            loose = len.is_none() && !layered;
            seq.advance(stop);
            *end = (*end).max(stop);
        }
        let exact = range.end - range.start == written as i64;
        sends.push(SendCall { ts, tid, range, written, exact, loose, sender, error });
    }
    sends
}

/// From the first to the last byte of a send, others' in between included; `None`: nobody has told. What went with the SYN
/// (TCP Fast Open) was taken before the place was looked at: too short is no answer either.
fn length(ret: i32, end_seq: u32, start_seq: Option<u32>) -> Option<i64> {
    let len = i64::from(end_seq.wrapping_sub(start_seq?));
    (len >= i64::from(ret)).then_some(len)
}
