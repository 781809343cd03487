use super::super::entry::Packet;
use super::*;

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
        discarded: false,
        held_us: 0,
        rule: Some(2),
        flags: 0x18,
        segs: 3,
        seq: 1,
        len: 2,
        ack: 3,
        ifindex: 1,
    };
    let kinds = [
        What::Opened { nth: 1, attempt: 1, later: 0, local, remote },
        What::Bound { local, remote },
        What::Established { accepted: false, local, remote },
        What::Tx(packet),
        What::Rx(Packet { rule: None, dropped: false, ..packet }),
        What::Send { ret: -32, end_seq: u32::MAX },
        What::Closed { snd_una: 1, snd_nxt: 2 },
        What::Marker { selector: 1 },
        What::Overflow { selector: 2 },
    ];
    // Above 2^53: a reader that goes through floats would show.
    kinds.map(|what| entry(u64::MAX - 1, (1 << 60) + 1, Some(3), what)).to_vec()
}

fn header() -> Header {
    Header::new(7, vec!["a".into()], vec!["f".into()], vec!["s: f drop".into()])
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut writer = JsonlWriter::new(Vec::new(), &header()).unwrap();
    for e in entries {
        writer.write(e).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let events = read(&written(&one_of_each())[..]).unwrap();
    assert_eq!(events, Events { header: header(), entries: one_of_each(), truncated: false });
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
    assert!(matches!(read(&raw[..]), Err(ReadError::Line { number: 11, .. })));
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
    ledger.push(entry(30, 2, Some(0), What::Send { ret: 1, end_seq: 1 }));
    ledger.push(entry(40, 3, None, up));
    ledger.push(entry(50, 1, Some(0), What::Closed { snd_una: 0, snd_nxt: 0 }));
    ledger.push(entry(60, 0, Some(0), What::Marker { selector: 0 }));
    let known: Vec<_> = ledger.sockets(0).collect();
    let first = LiveSocket { opened: Some(10), established: Some(20), closed: Some(50) };
    assert_eq!(known, [(1, first), (2, LiveSocket::default())]);
    assert_eq!(ledger.sockets(1).count(), 0);
    assert_eq!(ledger.entries().len(), 7);
}
