use std::collections::BTreeSet;

use fault_common::rule::{
    Chain, DELAY, Direction, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, Rule, VIA_LINE,
    WHEN_DATA,
};

use super::super::audit::{Counters, RuleCounters, SlotCounters};
use super::super::entry::{Acked, Judged, Packet, Sent, Standing};
use super::super::lines::{ArmedChain, FlowDirection, LostEvents};
use super::*;
use crate::verdict::Outcome;

fn entry(ts: u64, cookie: u64, flow: Option<u32>, what: What) -> Entry {
    Entry {
        ts,
        cookie,
        pid: 1,
        tid: 2,
        app: 0,
        flow,
        slot: 4,
        proto: 6,
        passive: false,
        lport: 5,
        rport: 6,
        retrans: 0,
        what,
    }
}

fn one_of_each() -> Vec<Entry> {
    let (local, remote) = ("10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let packet = Packet {
        dropped: true,
        discarded: true,
        held_us: 8,
        judged: Some(Judged { epoch: 1, nth: 2, pos: 3, draw: 4 }),
        rule: Some(2),
        flags: 0x18,
        segs: 3,
        seq: 1,
        len: 2,
        ack: 3,
        ifindex: 1,
    };
    let standing = Standing { first: 1, written: u64::MAX, unacked: 3, unsent: 2 };
    let kinds = [
        What::Opened { nth: 1, attempt: 1, later: 0, local, remote },
        What::Bound { local, remote },
        What::Established { accepted: false, local, remote },
        What::Found { accepted: true, local, remote, stream: Some(standing) },
        What::Tx(packet),
        What::Rx(Packet { rule: None, dropped: false, ..packet }),
        What::Send {
            ret: -32,
            end_seq: u32::MAX,
            start_seq: Some(0),
            layered: true,
            sender: Some(1),
            sent: Some(Sent { before_ns: 1, seq: 2, len: 3, segs: 4 }),
            acked: Some(Acked { before_ns: 5, ack: 6 }),
        },
        What::Closed { snd_una: 1, snd_nxt: 2 },
        What::Marker { selector: 1 },
        What::Overflow { selector: 2 },
        What::Multipath,
    ];
    // Above 2^53: a reader that goes through floats would show.
    kinds.map(|what| entry(u64::MAX - 1, (1 << 60) + 1, Some(3), what)).to_vec()
}

fn header() -> Header {
    let rule = RuleName { step: "s".into(), what: "f drop".into(), fault: "f drop".into() };
    let names = Names { apps: vec!["a".into()], flows: vec!["f".into()], rules: vec![rule] };
    let header = Header::new(7, -5, u64::MAX, &names);
    assert_eq!(header.names(), names);
    header
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut writer = JsonlWriter::new(Vec::new(), &header()).unwrap();
    for e in entries {
        writer.write(e).unwrap();
    }
    writer.finish().unwrap()
}

/// One of each line that is no event, with every field set.
fn others() -> Vec<Line> {
    let mut chain = Chain { via: VIA_LINE, stall: 8, ..Chain::EMPTY };
    let rules = [(LOSS_RANDOM, 3), (LOSS_EVERY, 4), (LOSS_FIRST, 5), (LOSS_NTH, 6), (DELAY, 7)];
    for (rule, (kind, arg)) in chain.rules.iter_mut().zip(rules) {
        *rule = Rule { kind, id: arg as u32, when: WHEN_DATA, ..Rule::NONE };
        match kind {
            LOSS_RANDOM => rule.p32 = arg,
            LOSS_NTH => (rule.nth[0], rule.nth[1], rule.nth_len) = (2, arg, 2),
            _ => rule.arg = arg,
        }
        chain.len += 1;
    }
    let armed = ArmedChain::of(1, Direction::Ingress, &chain);
    assert_eq!(armed.to_chain(), Some(chain.sealed()));
    let message = AppMessage {
        app: 0,
        id: "m".into(),
        outcome: Outcome::Ok,
        raw_status: "sent".into(),
        t0: 1,
        t1: 2,
        bytes: Some(3),
        timing_given: true,
        resolution: 4,
        retry_of: Some("x".into()),
    };
    let slot = SlotCounters { slot: 4, direction: Direction::Egress, packets: 2, dropped: 1 };
    let rule =
        RuleCounters { name: "s: f drop".into(), matched: 2, acted: 1, ended: 1, may_miss: false };
    let end = End {
        ts: 9,
        late_after_ns: Some(1),
        armed: vec![FlowDirection { flow: 0, direction: Direction::Egress }],
        gaps: vec![LostEvents { cookie: Some(3), from: 1, to: 2 }],
        recorded: 9,
        counters: Counters { slots: vec![slot], rules: vec![rule], lost: 0, unparsed: 0 },
    };
    let armed = Armed { ts: 5, epoch: 1, chains: vec![armed] };
    vec![Line::Armed(armed), Line::Message(message), Line::End(end)]
}

fn with_others() -> Vec<u8> {
    let mut writer = JsonlWriter::new(Vec::new(), &header()).unwrap();
    one_of_each().iter().for_each(|e| writer.write(e).unwrap());
    others().iter().for_each(|l| writer.write_line(l).unwrap());
    writer.finish().unwrap()
}

#[test]
fn the_other_lines_are_read_again() {
    let events = read(&with_others()[..]).unwrap();
    assert_eq!(events.entries, one_of_each());
    let armed = events.armed.into_iter().map(Line::Armed);
    let messages = events.messages.into_iter().map(Line::Message);
    let all: Vec<Line> = armed.chain(messages).chain(events.end.map(Line::End)).collect();
    assert_eq!(all, others());
}

fn keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                into.insert(key.clone());
                keys(value, into);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| keys(v, into)),
        _ => {}
    }
}

#[test]
fn every_key_and_kind_is_documented_and_nothing_else_is() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md"));
    assert!(page.contains(&format!("schema {SCHEMA}")), "docs/events.md is of another version");
    let (mut written, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for line in String::from_utf8(with_others()).unwrap().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        kinds.insert(value["kind"].as_str().unwrap().to_owned());
        keys(&value, &mut written);
    }
    // Rows of its tables begin with the key, its headings with the kind.
    let first = |line: &str| Some(line.split('`').nth(1)?.to_owned());
    let rows = page.lines().filter(|l| l.starts_with("| `"));
    let documented: BTreeSet<String> = rows.filter_map(first).collect();
    assert_eq!(documented, written);
    let headings = page.lines().filter(|l| l.starts_with("## `"));
    let described: BTreeSet<String> =
        headings.flat_map(|l| l.split('`').skip(1).step_by(2).map(str::to_owned)).collect();
    assert_eq!(described, kinds);
}

#[test]
fn what_is_written_is_read_again() {
    let events = read(&written(&one_of_each())[..]).unwrap();
    assert_eq!((events.header, events.entries), (header(), one_of_each()));
    assert!(!events.truncated && events.end.is_none());
}

#[test]
fn a_line_that_broke_off_is_not_an_error() {
    let mut raw = written(&one_of_each());
    raw.truncate(raw.len() - 5);
    let events = read(&raw[..]).unwrap();
    assert!(events.truncated);
    assert_eq!(events.entries.len(), one_of_each().len() - 1);
}

#[test]
fn what_is_no_event_file_is_refused() {
    assert!(matches!(read(&b""[..]), Err(ReadError::NoHeader)));
    assert!(matches!(read(&b"{\"a\":1}\n"[..]), Err(ReadError::NoHeader)));
    assert!(matches!(
        read(&b"{\"kind\":\"header\",\"schema\":9}\n"[..]),
        Err(ReadError::Schema(9))
    ));
    let mut raw = written(&one_of_each());
    raw.extend_from_slice(b"{\"ts\":1}\n");
    assert!(matches!(read(&raw[..]), Err(ReadError::Line { number: 13, .. })));
}

#[test]
fn live_facts_are_per_flow_and_keep_the_earliest_moment() {
    let ip = "10.0.0.1".parse().unwrap();
    let up = What::Established { accepted: false, local: ip, remote: ip };
    let mut ledger = Ledger::new();
    ledger.push(entry(20, 1, Some(0), up));
    ledger.push(entry(
        10,
        1,
        Some(0),
        What::Opened { nth: 1, attempt: 1, later: 0, local: ip, remote: ip },
    ));
    ledger.push(entry(
        12,
        1,
        Some(0),
        What::Opened { nth: 1, attempt: 2, later: 0, local: ip, remote: ip },
    ));
    ledger.push(entry(
        30,
        2,
        Some(0),
        What::Send {
            ret: 1,
            end_seq: 1,
            start_seq: Some(0),
            layered: false,
            sender: None,
            sent: None,
            acked: None,
        },
    ));
    ledger.push(entry(40, 3, None, up));
    ledger.push(entry(50, 1, Some(0), What::Closed { snd_una: 0, snd_nxt: 0 }));
    ledger.push(entry(60, 0, Some(0), What::Marker { selector: 0 }));
    let known: Vec<_> = ledger.sockets(0).collect();
    let first = LiveSocket { opened: Some(10), established: Some(20), closed: Some(50) };
    assert_eq!(known, [(1, first), (2, LiveSocket::default())]);
    assert_eq!(ledger.sockets(1).count(), 0);
    assert_eq!(ledger.entries().len(), 7);
}
