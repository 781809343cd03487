use etherparse::{SlicedPacket, TcpOptionElement, TransportSlice};

use super::*;

const SENT: LastSegment =
    LastSegment { end_seq: 1000, ack: 500, window: 77, timestamps: Some((11, 22)), has_ack: true };
const RECEIVED: LastSegment =
    LastSegment { end_seq: 600, ack: 900, window: 88, timestamps: Some((33, 44)), has_ack: true };
const SYN: LastSegment =
    LastSegment { end_seq: 1000, ack: 0, window: 64240, timestamps: Some((11, 0)), has_ack: false };

fn connection(sent: Option<LastSegment>, received: Option<LastSegment>) -> Connection {
    Connection {
        cookie: 1,
        protocol: Protocol::Tcp,
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "10.0.0.2:443".parse().unwrap(),
        ifindex: 0,
        sent,
        received,
    }
}

fn numbers_of(segments: &[Segment]) -> Vec<(u32, Option<u32>)> {
    segments.iter().map(|s| (s.seq, s.ack)).collect()
}

#[test]
fn a_reset_is_sent_for_each_number_that_may_be_the_expected_one() {
    let both = connection(Some(SENT), Some(RECEIVED));
    let local = both.resets_to_local().unwrap();
    assert_eq!(numbers_of(&local), [(500, Some(1000)), (600, Some(1000))]);
    assert!(local.iter().all(|s| s.reset && s.source == both.remote));
    assert!(local.iter().all(|s| s.destination == both.local && s.timestamps.is_none()));

    let peer = both.resets_to_peer().unwrap();
    assert_eq!(numbers_of(&peer), [(1000, Some(500)), (900, Some(500))]);
    assert!(peer.iter().all(|s| s.source == both.local && s.destination == both.remote));
}

#[test]
fn an_idle_connection_gets_one_reset() {
    let idle = LastSegment { end_seq: 500, ack: 1000, ..RECEIVED };
    let idle = connection(Some(SENT), Some(idle));
    assert_eq!(numbers_of(&idle.resets_to_local().unwrap()), [(500, Some(1000))]);
    assert_eq!(numbers_of(&idle.resets_to_peer().unwrap()), [(1000, Some(500))]);
}

#[test]
fn one_direction_on_record_is_enough() {
    let only = connection(Some(SENT), None);
    assert_eq!(numbers_of(&only.resets_to_local().unwrap()), [(500, Some(1000))]);
    let only = connection(None, Some(RECEIVED));
    assert_eq!(numbers_of(&only.resets_to_local().unwrap()), [(600, Some(900))]);
    assert_eq!(numbers_of(&only.resets_to_peer().unwrap()), [(900, Some(600))]);
}

#[test]
fn a_syn_is_refused_by_acknowledging_it() {
    let opening = connection(Some(SYN), None);
    assert_eq!(numbers_of(&opening.resets_to_local().unwrap()), [(0, Some(1000))]);
    assert_eq!(numbers_of(&opening.resets_to_peer().unwrap()), [(1000, None)]);
}

#[test]
fn without_numbers_there_is_nothing_to_send() {
    let unseen = connection(None, None);
    let datagrams =
        Connection { protocol: Protocol::Udp, ..connection(Some(SENT), Some(RECEIVED)) };
    for nothing in [unseen, datagrams] {
        assert!(matches!(nothing.resets_to_local(), Err(ActError::NoNumbers { .. })));
        assert!(matches!(nothing.resets_to_peer(), Err(ActError::NoNumbers { .. })));
        assert!(matches!(nothing.window_to_peer(), Err(ActError::NoNumbers { .. })));
        assert!(matches!(nothing.window_to_local(), Err(ActError::NoNumbers { .. })));
    }
    let opening = connection(Some(SYN), None);
    assert!(matches!(opening.window_to_peer(), Err(ActError::NoNumbers { .. })));
}

#[test]
fn a_window_update_is_the_last_acknowledgement_once_more() {
    let both = connection(Some(SENT), Some(RECEIVED));
    let expected = Segment {
        source: both.local,
        destination: both.remote,
        seq: 1000,
        ack: Some(500),
        window: 77,
        reset: false,
        timestamps: Some((11, 22)),
    };
    assert_eq!(both.window_to_peer().unwrap(), expected);
    let expected = Segment {
        source: both.remote,
        destination: both.local,
        seq: 600,
        ack: Some(900),
        window: 88,
        timestamps: Some((33, 44)),
        ..expected
    };
    assert_eq!(both.window_to_local().unwrap(), expected);
}

/// Ones' complement sum (RFC 1071); right data with its checksum gives 0xffff.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

#[test]
fn the_packet_says_what_the_segment_says() {
    let ends = [("10.0.0.1:40000", "10.0.0.2:443"), ("[fd77::1]:40000", "[fd77::2]:443")];
    for (source, destination) in ends {
        let segment = Segment {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            seq: 0xfffe_0001,
            ack: Some(0x0102_0304),
            window: 0xabcd,
            reset: false,
            timestamps: Some((5, 6)),
        };
        let packet = segment.packet().unwrap();
        let sliced = SlicedPacket::from_ip(&packet).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP: {sliced:?}") };
        assert_eq!((tcp.source_port(), tcp.destination_port()), (40000, 443));
        assert_eq!(
            (tcp.sequence_number(), tcp.acknowledgment_number()),
            (0xfffe_0001, 0x0102_0304)
        );
        assert_eq!((tcp.rst(), tcp.ack(), tcp.syn(), tcp.fin()), (false, true, false, false));
        assert_eq!((tcp.window_size(), tcp.payload().len()), (0xabcd, 0));
        let options: Vec<_> = tcp.options_iterator().flatten().collect();
        assert!(options.contains(&TcpOptionElement::Timestamp(5, 6)), "{options:?}");

        let (header, addresses) = if segment.source.is_ipv4() { (20, 12..20) } else { (40, 8..40) };
        let pseudo = [0, 6, 0, (packet.len() - header) as u8];
        assert_eq!(sum(&[&packet[addresses], &pseudo, &packet[header..]]), 0xffff);
        if segment.source.is_ipv4() {
            assert_eq!(sum(&[&packet[..20]]), 0xffff);
        }
    }
}

#[test]
fn a_reset_without_acknowledgement_has_no_flag_for_one() {
    let opening = connection(Some(SYN), None);
    let packet = opening.resets_to_peer().unwrap()[0].packet().unwrap();
    // Flags are byte 13 of the TCP header: RST alone.
    assert_eq!(packet[20 + 13], 0x04);
}

#[test]
fn families_do_not_mix() {
    let mixed =
        Connection { remote: "[fd77::2]:443".parse().unwrap(), ..connection(Some(SENT), None) };
    let segment = mixed.resets_to_local().unwrap()[0];
    assert!(matches!(segment.packet(), Err(ActError::Families { .. })));
}
