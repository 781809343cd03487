//! From events to [`FlowRecord`]s.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fault_common::event::tcp;

use super::datagrams::{self, UDP};
use super::entry::{Entry, What};
use super::flow::{FlowRecord, SendCall};
use super::interleaved;
use super::replay::Replay;
use super::stream::{RangeIndex, Unwrapper};

/// One record per socket, in order of opening.
///
/// The ring keeps the order of submission, which across CPUs is only almost the order of time, so
/// the entries may come in any order.
pub fn build(entries: &[Entry]) -> Vec<FlowRecord> {
    let mut by_cookie: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    for e in entries {
        // These are about no socket in particular.
        if !matches!(e.what, What::Marker { .. } | What::Overflow { .. } | What::Multipath) {
            by_cookie.entry(e.cookie).or_default().push(*e);
        }
    }
    let mut flows: Vec<_> = by_cookie
        .into_values()
        .map(|mut list| {
            list.sort_by_key(|e| e.ts);
            one(&list)
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
    // Open before the run: the lowest byte that anything on record touches. Which number is lower says its distance from
    // those around it in time; over all of a long run they may have wrapped.
    let mut marks = list.iter().filter_map(|e| match e.what {
        What::Send { ret, end_seq, start_seq, .. } if ret > 0 => {
            Some(start_seq.unwrap_or_else(|| end_seq.wrapping_sub(ret as u32)))
        }
        What::Tx(p) if p.len > 0 => Some(p.seq),
        _ => None,
    });
    let Some(first) = marks.next() else { return 0 };
    let mut seq = Unwrapper::new(first);
    let lowest = marks.fold(0, |low: i64, mark| {
        let at = seq.offset(mark);
        seq.advance(at);
        low.min(at)
    });
    first.wrapping_add(lowest as u32)
}

fn one(list: &[Entry]) -> FlowRecord {
    let base = base(list);
    let seq = Unwrapper::new(base);
    let mut flow = FlowRecord { seq_base: base, ..empty(list) };
    flow.sends = if flow.proto == UDP { datagrams::sends(list, seq) } else { sends(list, seq) };
    list.iter().for_each(|e| identity(&mut flow, e));
    let has_tx = list.iter().any(|e| matches!(e.what, What::Tx(p) if p.len > 0));
    let mut replay = Replay::new(flow, seq, has_tx);
    list.iter().for_each(|e| replay.event(e));
    replay.finish()
}

fn identity(f: &mut FlowRecord, e: &Entry) {
    f.retransmits = f.retransmits.max(e.retrans);
    f.flow = f.flow.or(e.flow);
    f.passive |= e.passive;
    if f.pid == 0 {
        f.pid = e.pid;
    }
    match e.what {
        What::Opened { nth, attempt, local, remote, .. } => {
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
        What::Found { accepted, local, remote } => {
            f.passive |= accepted;
            addresses(f, e, local, remote);
        }
        What::Named { nth } => f.nth = Some(nth),
        What::Closed { .. } => {
            f.closed.get_or_insert(e.ts);
        }
        _ => {}
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
    let mut unplaced = Vec::new();
    let mut end = 0;
    for e in list {
        let What::Send { ret, end_seq, start_seq, layered, sender } = e.what else {
            continue;
        };
        let error = (ret < 0).then(|| -ret);
        let (ts, tid, written) = (e.ts, e.tid, ret.max(0) as u64);
        let mut range = end..end;
        if ret > 0 {
            let stop = seq.offset(end_seq);
            let len = length(ret, end_seq, start_seq);
            range = match len {
                Some(len) => stop - len..stop,
                // What was written is shorter than what it became: it begins where the one before ended.
                None if layered => end.min(stop)..stop,
                None => stop - i64::from(ret)..stop,
            };
            if len.is_none() && !layered {
                unplaced.push(sends.len());
            }
            seq.advance(stop);
            end = end.max(stop);
        }
        let exact = range.end - range.start == written as i64;
        sends.push(SendCall { ts, tid, range, written, exact, sender, error });
    }
    interleaved::settle(&mut sends, unplaced);
    sends
}

/// From the first to the last byte of a send, others' in between included; `None`: nobody has told. What went with the SYN
/// (TCP Fast Open) was taken before the place was looked at: too short is no answer either.
fn length(ret: i32, end_seq: u32, start_seq: Option<u32>) -> Option<i64> {
    let len = i64::from(end_seq.wrapping_sub(start_seq?));
    (len >= i64::from(ret)).then_some(len)
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
        // Not every kind of event has it.
        proto: list.iter().map(|e| e.proto).find(|p| *p != 0).unwrap_or(0),
        passive: false,
        local: None,
        remote: None,
        seq_base: 0,
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
