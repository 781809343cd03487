use super::*;

/// A record of `len` bytes whose every field differs from its neighbours.
fn record(kind: u8, len: usize) -> Vec<u8> {
    let mut raw = vec![0u8; len];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &11u64.to_ne_bytes());
    put(8, &12u64.to_ne_bytes());
    put(16, &((13u64 << 32) | 14).to_ne_bytes());
    put(24, &[kind, event::VERDICT_PASS, 0x18, 0, 6, 1]);
    put(30, &3u16.to_ne_bytes());
    put(32, &15u32.to_ne_bytes());
    put(36, &16u32.to_ne_bytes());
    put(40, &17u32.to_ne_bytes());
    put(44, &event::NO_RULE.to_ne_bytes());
    put(48, &18u32.to_ne_bytes());
    put(52, &19u32.to_ne_bytes());
    put(56, &20u32.to_ne_bytes());
    put(60, &(-32i32).to_ne_bytes());
    put(64, &21u32.to_ne_bytes());
    put(68, &22u32.to_ne_bytes());
    put(72, &23u16.to_ne_bytes());
    put(74, &24u16.to_ne_bytes());
    put(76, &25u32.to_ne_bytes());
    if len == SOCKET_EVENT_LEN {
        put(80, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 2]);
        put(96, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    }
    raw
}

#[test]
fn packet_fields_arrive_where_they_belong() {
    let e = Entry::decode(&record(event::KIND_TX, EVENT_LEN)).unwrap();
    // Where other events have the caller, a packet has its decision.
    assert_eq!((e.ts, e.cookie, e.pid, e.tid), (11, 12, 0, 0));
    assert_eq!((e.slot, e.flow, e.app, e.proto, e.passive), (15, Some(16), 17, 6, true));
    assert_eq!((e.retrans, e.lport, e.rport), (21, 23, 24));
    let want = Packet {
        dropped: false,
        discarded: false,
        held_us: 22,
        judged: Some(Judged { epoch: 0xffff, nth: 0xffe0, pos: 13, draw: 14 }),
        rule: None,
        flags: 0x18,
        segs: 3,
        seq: 18,
        len: 19,
        ack: 20,
        ifindex: 25,
    };
    assert_eq!(e.what, What::Tx(want));
}

/// Of a send two fields mean something of its own: who called, and what it tells besides.
fn send_record() -> Vec<u8> {
    let mut raw = record(event::KIND_SEND, EVENT_LEN);
    (raw[25], raw[26]) = (26, 0);
    raw
}

#[test]
fn a_send_has_its_caller() {
    let e = Entry::decode(&send_record()).unwrap();
    assert_eq!(
        (e.pid, e.tid, e.what),
        (
            13,
            14,
            What::Send {
                ret: -32,
                end_seq: 18,
                start_seq: None,
                layered: false,
                sender: Some(25),
                sent: None,
                acked: None
            }
        )
    );
}

#[test]
fn a_packet_that_no_rule_judged_says_nothing_of_a_decision() {
    let mut raw = record(event::KIND_TX, EVENT_LEN);
    raw[60..64].fill(0);
    let What::Tx(packet) = Entry::decode(&raw).unwrap().what else { panic!("a packet") };
    assert_eq!(packet.judged, None);
}

#[test]
fn addresses_are_network_order_and_mapped_ipv4_is_ipv4() {
    let e = Entry::decode(&record(event::KIND_OPENED, SOCKET_EVENT_LEN)).unwrap();
    let (local, remote) = ("127.0.0.2".parse().unwrap(), "2001:db8::9".parse().unwrap());
    assert_eq!(e.what, What::Opened { nth: 19, attempt: 22, later: 18, local, remote });
}

#[test]
fn every_kind_decodes() {
    let send = Entry::decode(&send_record()).unwrap();
    assert_eq!(
        send.what,
        What::Send {
            ret: -32,
            end_seq: 18,
            start_seq: None,
            layered: false,
            sender: Some(25),
            sent: None,
            acked: None
        }
    );
    let closed = Entry::decode(&record(event::KIND_CLOSED, EVENT_LEN)).unwrap();
    assert_eq!(closed.what, What::Closed { snd_una: 20, snd_nxt: 18 });
    let marker = Entry::decode(&record(event::KIND_MARKER, EVENT_LEN)).unwrap();
    assert_eq!(marker.what, What::Marker { selector: 22 });
    let overflow = Entry::decode(&record(event::KIND_OVERFLOW, EVENT_LEN)).unwrap();
    assert_eq!(overflow.what, What::Overflow { selector: 22 });
    let bound = Entry::decode(&record(event::KIND_BOUND, SOCKET_EVENT_LEN)).unwrap();
    assert!(matches!(bound.what, What::Bound { .. }));
    let up = Entry::decode(&record(event::KIND_ESTABLISHED, SOCKET_EVENT_LEN)).unwrap();
    assert!(matches!(up.what, What::Established { accepted: false, .. }));
}

#[test]
fn the_none_numbers_become_none() {
    let mut raw = record(event::KIND_TX, EVENT_LEN);
    raw[36..40].copy_from_slice(&event::NO_FLOW.to_ne_bytes());
    raw[44..48].copy_from_slice(&7u32.to_ne_bytes());
    raw[25] = event::VERDICT_DROP;
    let e = Entry::decode(&raw).unwrap();
    assert_eq!(e.flow, None);
    assert!(matches!(e.what, What::Tx(Packet { dropped: true, rule: Some(7), .. })));
}

#[test]
fn a_wrong_size_is_named() {
    for got in [0, 79] {
        let raw = &record(event::KIND_TX, EVENT_LEN)[..got];
        assert_eq!(Entry::decode(raw), Err(DecodeError::Size { got, want: 80 }));
    }
    let long = record(event::KIND_TX, SOCKET_EVENT_LEN);
    assert_eq!(Entry::decode(&long), Err(DecodeError::Size { got: 112, want: 80 }));
    let short = record(event::KIND_OPENED, EVENT_LEN);
    assert_eq!(Entry::decode(&short), Err(DecodeError::Size { got: 80, want: 112 }));
}

#[test]
fn an_unknown_number_is_named() {
    let with = |kind, at: usize, v| {
        let mut raw = record(kind, EVENT_LEN);
        raw[at] = v;
        Entry::decode(&raw)
    };
    assert_eq!(with(event::KIND_TX, 24, 0), Err(DecodeError::Kind(0)));
    assert_eq!(with(event::KIND_TX, 24, 200), Err(DecodeError::Kind(200)));
    assert_eq!(with(event::KIND_TX, 25, 9), Err(DecodeError::Verdict(9)));
    assert_eq!(with(event::KIND_TX, 27, 1), Err(DecodeError::Direction(1)));
    assert_eq!(with(event::KIND_RX, 27, 0), Err(DecodeError::Direction(0)));
    assert_eq!(with(event::KIND_RX, 27, 5), Err(DecodeError::Direction(5)));
    let mut raw = record(event::KIND_TX, EVENT_LEN);
    raw[30..32].copy_from_slice(&[0, 0]);
    assert_eq!(Entry::decode(&raw), Err(DecodeError::Segments(0)));
    assert!(DecodeError::Kind(200).to_string().contains("200"));
}

#[test]
fn what_the_receiver_throws_away_is_lost_too() {
    let mut raw = record(event::KIND_RX, EVENT_LEN);
    raw[27] = 1;
    raw[25] = event::VERDICT_DISCARDED;
    let e = Entry::decode(&raw).unwrap();
    assert!(matches!(e.what, What::Rx(Packet { dropped: true, discarded: true, .. })));
}

#[test]
fn what_a_send_tells_besides_comes_apart() {
    let mut raw = send_record();
    raw[26] = event::WITH_RUN | event::WITH_ACK;
    let e = Entry::decode(&raw).unwrap();
    let sent = Sent { before_ns: 22, seq: 25, len: 19, segs: 3 };
    let acked = Acked { before_ns: 21, ack: 20 };
    let both = What::Send {
        ret: -32,
        end_seq: 18,
        start_seq: None,
        layered: false,
        sender: Some(25),
        sent: Some(sent),
        acked: Some(acked),
    };
    assert_eq!((e.what, e.retrans), (both, 0));

    let e = Entry { ts: 1000, ..e };
    let [send, tx, rx] = e.parts().collect::<Vec<_>>()[..] else { panic!("three parts") };
    assert_eq!(
        send.what,
        What::Send {
            ret: -32,
            end_seq: 18,
            start_seq: None,
            layered: false,
            sender: Some(25),
            sent: None,
            acked: None
        }
    );
    assert_eq!((send.ts, send.tid, tx.ts, tx.tid, rx.ts), (1000, 14, 978, 0, 979));
    let What::Tx(run) = tx.what else { panic!("{tx:?}") };
    assert_eq!((run.seq, run.len, run.segs, run.dropped, run.rule), (25, 19, 3, false, None));
    let What::Rx(ack) = rx.what else { panic!("{rx:?}") };
    assert_eq!((ack.ack, ack.flags, ack.dropped), (20, tcp::ACK, false));
    assert_eq!(send.parts().collect::<Vec<_>>(), [send], "nothing is told twice");

    raw[30..32].copy_from_slice(&0u16.to_ne_bytes());
    assert_eq!(Entry::decode(&raw), Err(DecodeError::Segments(0)));
}
