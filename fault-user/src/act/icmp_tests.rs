use etherparse::{Icmpv4Slice, Icmpv6Slice, SlicedPacket, TransportSlice};

use super::*;
use crate::act::LastSegment;

fn connection(protocol: Protocol, local: &str, remote: &str) -> Connection {
    Connection {
        cookie: 1,
        protocol,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        ifindex: 0,
        sent: None,
        received: None,
    }
}

const SYN: LastSegment =
    LastSegment { end_seq: 1, ack: 0, window: 9, timestamps: None, has_ack: false };

#[test]
fn an_error_quotes_as_much_as_fits() {
    let long = vec![7; 2000];
    for (from, to, header, longest) in
        [("10.0.0.2", "10.0.0.1", 20, 576), ("fd77::2", "fd77::1", 40, 1280)]
    {
        let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let kind = Unreachable::Port.type_and_code(to.is_ipv6());
        for (quote, length) in [(&long[..], longest), (&long[..48], header + 8 + 48)] {
            let packet = error_packet(from, to, kind, quote).unwrap();
            assert_eq!(packet.len(), length);
            assert_eq!((packet[header], packet[header + 1]), kind);
            assert!(packet[header + 8..].iter().all(|byte| *byte == 7));
        }
    }
}

#[test]
fn checksums_are_right() {
    let v4 = error_packet([10, 0, 0, 2].into(), [10, 0, 0, 1].into(), (3, 1), &[1, 2, 3]).unwrap();
    let slice = Icmpv4Slice::from_slice(&v4[20..]).unwrap();
    assert_eq!(slice.icmp_type().calc_checksum(slice.payload()), slice.checksum());
    let (from, to): (IpAddr, IpAddr) = ("fd77::2".parse().unwrap(), "fd77::1".parse().unwrap());
    let v6 = error_packet(from, to, (1, 4), &[1, 2, 3]).unwrap();
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else { unreachable!() };
    let slice = Icmpv6Slice::from_slice(&v6[40..]).unwrap();
    assert!(slice.is_checksum_valid(from.octets(), to.octets()));
}

#[test]
fn a_syn_is_quoted_with_its_own_number_and_data_with_the_next() {
    let tcp = connection(Protocol::Tcp, "10.0.0.1:4000", "10.0.0.2:80");
    let quoted = |sent| {
        let quote = Connection { sent: Some(sent), ..tcp }.quote().unwrap();
        let sliced = SlicedPacket::from_ip(&quote).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("{sliced:?}") };
        assert_eq!((tcp.source_port(), tcp.destination_port()), (4000, 80));
        (tcp.sequence_number(), tcp.syn(), tcp.ack())
    };
    assert_eq!(quoted(SYN), (0, true, false));
    assert_eq!(quoted(LastSegment { end_seq: 9, has_ack: true, ..SYN }), (9, false, true));
    assert!(matches!(tcp.quote(), Err(ActError::NoNumbers { .. })));
}

#[test]
fn a_datagram_needs_no_numbers() {
    let quote = connection(Protocol::Udp, "[fd77::1]:4000", "[fd77::2]:53").quote().unwrap();
    let sliced = SlicedPacket::from_ip(&quote).unwrap();
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { panic!("{sliced:?}") };
    assert_eq!((udp.source_port(), udp.destination_port()), (4000, 53));
}
