//! From events to [`FlowRecord`]s.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fault_common::event::tcp;

use super::datagrams::{self, UDP};
use super::entry::{Entry, What};
use super::flow::{FlowRecord, SendCall};
use super::replay::Replay;
use super::stream::{RangeIndex, Unwrapper};

/// One record per socket, in order of opening.
///
/// The ring keeps the order of submission, which across CPUs is only almost the order of time, so
/// the entries may come in any order.
pub fn build(entries: &[Entry]) -> Vec<FlowRecord> {
    let mut by_cookie: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    for e in entries.iter().flat_map(Entry::parts) {
        // These two name a selector, not a socket.
        if !matches!(e.what, What::Marker { .. } | What::Overflow { .. }) {
            by_cookie.entry(e.cookie).or_default().push(e);
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
    // Open before the run: the lowest byte that anything on record touches.
    let first_send = list.iter().find_map(|e| match e.what {
        What::Send { ret, end_seq, .. } if ret > 0 => Some(end_seq.wrapping_sub(ret as u32)),
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
    let mut end = 0;
    for e in list {
        let What::Send { ret, end_seq, .. } = e.what else {
            continue;
        };
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
