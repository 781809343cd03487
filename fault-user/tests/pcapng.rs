//! `dropped.pcapng` as Wireshark reads it: comments, directions, interfaces, link types, nanoseconds. Made of
//! packets of our own, so no privileges are needed; those of a run are `root_wire`'s matter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;
use std::process::Command;

use etherparse::PacketBuilder;
use fault_common::rule::Direction;
use fault_user::capture::{Did, Link, Packet, Page, write};
use fault_user::correlate::names::{Names, RuleName};
use fault_user::ledger::build::build;
use fault_user::ledger::entry::{Entry, Packet as TxPacket, What};
use fault_user::report::model::SendReport;
use fault_user::verdict::{Cause, Confidence, Outcome, Verdict};

const COOKIE: u64 = 77;
/// The app's first byte has this number: the stream wraps after 16 bytes.
const ISN: u32 = 0xffff_fff0;
/// CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
const CLOCK: i64 = 1_700_000_000_123_456_789;

fn tcp(ethernet: bool, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (from, to) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    if ethernet {
        let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
        packet.tcp(4000, 443, seq, 1000).ack(5).write(&mut bytes, payload).unwrap();
    } else {
        let packet = PacketBuilder::ipv4(from, to, 64);
        packet.tcp(4000, 443, seq, 1000).ack(5).write(&mut bytes, payload).unwrap();
    }
    bytes
}

fn packet(ts: u64, ifindex: u32, direction: Direction, bytes: Vec<u8>) -> Packet {
    Packet {
        ts,
        cookie: COOKIE,
        ifindex,
        direction,
        rules: vec![0],
        did: Did::Lost,
        segs: 1,
        proto: 6,
        seq: ISN,
        payload: 10,
        ack: None,
        len: bytes.len() as u32,
        bare: false,
        bytes,
    }
}

fn send(id: &str, stream: [u64; 2]) -> SendReport {
    SendReport {
        app: "sender".into(),
        id: Some(id.into()),
        flow: Some("chat".into()),
        cookie: Some(COOKIE),
        outcome: Outcome::Ok,
        verdict: Verdict::SilentLoss,
        cause: Cause::Hit,
        rule: None,
        confidence: Confidence::Exact,
        started_ms: 0.0,
        finished_ms: 0.0,
        bytes: stream[1] - stream[0],
        stream: Some(stream),
        first_sent_ms: None,
        acked_ms: None,
        drops: 1,
        retransmits: 0,
        via: Vec::new(),
        why: String::new(),
    }
}

/// A data packet on record.
fn tx(ts: u64, seq: u32, len: u32) -> Entry {
    let packet = TxPacket {
        dropped: true,
        discarded: false,
        rule: Some(0),
        held_us: 0,
        judged: None,
        flags: 0x18,
        segs: 1,
        seq,
        len,
        ack: 0,
        ifindex: 1,
    };
    Entry {
        ts,
        cookie: COOKIE,
        pid: 1,
        tid: 1,
        app: 0,
        flow: Some(0),
        slot: 0,
        proto: 6,
        passive: false,
        lport: 4000,
        rport: 443,
        retrans: 0,
        what: What::Tx(packet),
    }
}

fn names() -> Names {
    Names {
        apps: vec!["sender".into()],
        flows: vec!["chat".into()],
        rules: vec![RuleName {
            step: "outage".into(),
            what: "chat egress drop = 1".into(),
            fault: "drop = 1".into(),
        }],
    }
}

/// Fields of each packet, as tshark reads them.
fn tshark(packets: &[Packet], fields: &[&str]) -> Vec<Vec<String>> {
    let link = |name: &str, ethernet| Link { name: name.into(), ethernet };
    let links =
        BTreeMap::from([(1, link("lo", true)), (4, link("tun0", false)), (9, link("eth0", true))]);
    // Two messages: bytes 0 to 10, and 10 to 30, which is beyond the wrap.
    let flows = build(&[tx(10, ISN, 10), tx(20, ISN.wrapping_add(10), 20)]);
    let sends = [send("msg-1", [0, 10]), send("msg\n2", [10, 30])];
    let (names, clock) = (names(), CLOCK);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let page = Page {
        packets,
        links: &links,
        snaplen: 256,
        flows: &flows,
        sends: &sends,
        names: &names,
        clock,
    };
    write(&mut file, &page).unwrap();
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file.path()).args(["-n", "-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let out =
        command.output().unwrap_or_else(|e| panic!("cannot run tshark (is it installed?): {e}"));
    let (stdout, stderr) =
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{stderr}");
    stdout.lines().map(|l| l.split('|').map(str::to_owned).collect()).collect()
}

#[test]
fn wireshark_sees_addresses_direction_interface_and_time() {
    let raw = Packet { bare: true, ..packet(25, 4, Direction::Ingress, tcp(false, ISN, &[1; 10])) };
    // From the delay line, which gives each packet an Ethernet header.
    let line = packet(26, 4, Direction::Egress, tcp(true, ISN, &[1; 10]));
    let packets = [packet(10, 9, Direction::Egress, tcp(true, ISN, &[1; 10])), raw, line];
    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.time_epoch",
        "ip.src",
        "tcp.srcport",
        "ip.dst",
        "tcp.dstport",
        "tcp.seq_raw",
        "tcp.len",
        "frame.encap_type",
    ];
    let tuple = ["10.0.0.1", "4000", "10.0.0.2", "443", "4294967280", "10"];
    let row = |head: [&str; 3], link: &str| -> Vec<String> {
        let all = head.iter().chain(&tuple).copied().chain([link]);
        all.map(str::to_owned).collect()
    };
    let seen = tshark(&packets, &fields);
    assert_eq!(
        seen,
        [
            row(["eth0", "0x00000002", "1700000000.123456799"], "1"),
            row(["tun0", "0x00000001", "1700000000.123456814"], "7"),
            row(["tun0", "0x00000002", "1700000000.123456815"], "7"),
        ]
    );
}

#[test]
fn comments_name_rule_fault_and_message() {
    let second = Packet {
        seq: ISN.wrapping_add(12),
        segs: 2,
        ..packet(20, 1, Direction::Egress, tcp(true, ISN.wrapping_add(12), &[1; 10]))
    };
    // A lost acknowledgement of all 30 bytes.
    let ack = Packet {
        payload: 0,
        ack: Some(ISN.wrapping_add(30)),
        ..packet(30, 1, Direction::Ingress, tcp(true, 5, &[]))
    };
    let both = Packet { payload: 20, ..packet(10, 1, Direction::Egress, tcp(true, ISN, &[1; 20])) };
    let seen = tshark(&[both, second, ack], &["frame.comment"]);
    let head =
        "fate=lost\\nrule=outage: chat egress drop = 1\\nfault=drop = 1\\nflow=chat\\ncookie=77\\n";
    assert_eq!(
        seen.concat(),
        [
            format!("{head}message=msg-1\\nmessage=msg 2"),
            format!("{head}message=msg 2\\nwire packets=2"),
            format!("{head}acknowledges=msg-1\\nacknowledges=msg 2"),
        ]
    );
}

#[test]
fn a_packet_that_was_cut_says_how_long_it_was() {
    let whole = tcp(true, ISN, &[7; 500]);
    let cut = Packet {
        len: whole.len() as u32,
        bytes: whole[..64].to_vec(),
        ..packet(1, 1, Direction::Egress, Vec::new())
    };
    let seen = tshark(&[cut], &["frame.len", "frame.cap_len"]);
    assert_eq!(seen, [[whole.len().to_string(), "64".to_owned()]]);
}

#[test]
fn an_empty_file_is_valid() {
    assert_eq!(tshark(&[], &["frame.number"]), Vec::<Vec<String>>::new());
}
