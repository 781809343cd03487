//! Random packets and random chains: mostly plain packets to known sockets, for the decisions
//! are made on those, and a good part of everything else.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fault_common::rule::{
    CHAIN_LEN, Direction, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, P_ALWAYS, Rule, WHEN_ANY,
    WHEN_RST,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::dissect::UDP;
use crate::model::Chains;
use crate::packet::{Body, Extension, Fragment, Length, Packet, Tcp};
use crate::rig::{chain, sockets, with_port};

/// A packet to, from or beside a known socket.
pub fn packet() -> impl Strategy<Value = Packet> {
    let plain = (to_socket(), segs()).prop_map(|(packet, segs)| Packet { segs, ..packet });
    prop_oneof![5 => plain, 4 => odd(), 1 => damaged()]
}

/// A packet that belongs to nobody.
pub fn bystander() -> impl Strategy<Value = Packet> {
    (damaged(), stranger()).prop_map(|(packet, change)| change.apply(packet))
}

fn to_socket() -> impl Strategy<Value = Packet> {
    (select(sockets()), tcp(), 0usize..600).prop_map(|(socket, body, payload)| {
        let plain = Packet::tcp(socket.remote, socket.local, 0, 0, 0);
        let udp = socket.proto == UDP;
        Packet { body: if udp { Body::Udp { payload } } else { Body::Tcp(body) }, ..plain }
    })
}

/// Few positions and few acknowledgement numbers, so that they come again; some of them on both
/// sides of the wrap.
fn tcp() -> impl Strategy<Value = Tcp> {
    let flags = prop_oneof![
        8 => select(vec![0x10u8, 0x18]),
        2 => select(vec![0x02u8, 0x12, 0x11, 0x14, 0x04]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![2 => Just(0usize), 3 => 1usize..1449];
    (flags, 0u32..12, 0u32..6, payload).prop_map(|(flags, place, ack, payload)| Tcp {
        flags,
        seq: 0xffff_f000u32.wrapping_add(place * 1448),
        ack: 0xffff_ffff_u32.wrapping_add(ack * 1000),
        options: 0,
        claims: None,
        payload,
    })
}

fn segs() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0u32), 1 => 1u32..46]
}

/// To a known socket or nearly so, with whatever a header may have that few packets have.
fn odd() -> impl Strategy<Value = Packet> {
    let tags = prop::collection::vec(select(vec![0x8100u16, 0x88a8]), 0..4);
    let extensions = prop::collection::vec(extension(), 0..8);
    let fragment = select(vec![Fragment::Whole, Fragment::Whole, Fragment::First, Fragment::Later]);
    let near = prop_oneof![3 => Just(None), 1 => stranger().prop_map(Some)];
    (to_socket(), segs(), tags, extensions, fragment, near, 0u8..11, 0u8..11, 0usize..20).prop_map(
        |(packet, segs, tags, extensions, fragment, near, options, tcp_options, padding)| {
            let mut packet =
                Packet { segs, tags, extensions, fragment, options, padding, ..packet };
            if let Body::Tcp(tcp) = &mut packet.body {
                tcp.options = tcp_options;
            }
            match near {
                Some(change) => change.apply(packet),
                None => packet,
            }
        },
    )
}

/// An odd one whose lengths lie, or whose end is missing.
fn damaged() -> impl Strategy<Value = Packet> {
    let length = prop_oneof![
        2 => Just(Length::Right),
        1 => Just(Length::Zero),
        2 => (-80i16..80).prop_map(Length::Off),
    ];
    let claims = prop_oneof![2 => Just(None), 1 => (0u8..16).prop_map(Some)];
    let cut = prop_oneof![1 => Just(0usize), 2 => 0usize..200];
    (odd(), length, claims, cut).prop_map(|(packet, length, claims, cut)| {
        let mut packet = Packet { length, cut, ..packet };
        if let Body::Tcp(tcp) = &mut packet.body {
            tcp.claims = claims;
        }
        packet
    })
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        6 => (select(vec![0u8, 43, 60]), 0u8..4).prop_map(|(n, len)| Extension::Plain(n, len)),
        2 => Just(Extension::Fragment(true)),
        1 => Just(Extension::Fragment(false)),
        2 => (0u8..6).prop_map(Extension::Auth),
        // Mobility: of the common form, but nothing that TCP stands behind.
        1 => Just(Extension::Plain(135, 0)),
    ]
}

/// What makes a packet to a known socket one to nobody.
#[derive(Debug, Clone)]
pub enum Change {
    Local(u16),
    Remote(u16),
    Peer(u8),
    Reversed,
    Protocol(u8),
    Ethertype(u16),
    OtherTransport,
}

fn stranger() -> impl Strategy<Value = Change> {
    prop_oneof![
        // The ports of other sockets are behind the gate; the rest is not.
        select(vec![40_005u16, 443, 53, 6, 0]).prop_map(Change::Local),
        select(vec![40_001u16, 40_002, 444, 0]).prop_map(Change::Remote),
        (2u8..9).prop_map(Change::Peer),
        Just(Change::Reversed),
        select(vec![1u8, 58, 59, 132, 50]).prop_map(Change::Protocol),
        select(vec![0x0806u16, 0x88cc, 0x0026, 0x86de]).prop_map(Change::Ethertype),
        Just(Change::OtherTransport),
    ]
}

impl Change {
    fn apply(self, packet: Packet) -> Packet {
        let (src, dst) = (packet.src, packet.dst);
        match self {
            Self::Local(port) => Packet { dst: with_port(dst, port), ..packet },
            Self::Remote(port) => Packet { src: with_port(src, port), ..packet },
            Self::Peer(last) => Packet { src: with_last(src, last), ..packet },
            Self::Reversed => Packet { src: dst, dst: src, ..packet },
            Self::Protocol(number) => Packet { body: Body::Other(number), ..packet },
            Self::Ethertype(number) => Packet { ethertype: Some(number), ..packet },
            Self::OtherTransport => {
                let body = match packet.body {
                    Body::Tcp(tcp) => Body::Udp { payload: tcp.payload },
                    Body::Udp { payload } => Packet::tcp(src, dst, 0x10, 1, payload).body,
                    other @ Body::Other(_) => other,
                };
                Packet { body, ..packet }
            }
        }
    }
}

/// The address with another last byte that no test's socket has.
fn with_last(of: SocketAddr, last: u8) -> SocketAddr {
    let ip = match of.ip() {
        IpAddr::V4(ip) => {
            let mut octets = ip.octets();
            octets[3] = 100 + last;
            IpAddr::from(octets)
        }
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            octets[15] = 100 + last;
            IpAddr::from(octets)
        }
    };
    SocketAddr::new(ip, of.port())
}

/// Chains of up to `CHAIN_LEN` rules for the flows of the tests; the rules' ids begin at 0.
pub fn chains() -> impl Strategy<Value = Chains> {
    let one = prop::collection::vec(rule(), 0..=CHAIN_LEN);
    prop::collection::vec(one, 4).prop_map(|lists| {
        let places = (0..2).flat_map(|flow| Direction::BOTH.map(|dir| (flow, dir)));
        let mut id = 0;
        let number = |mut rules: Vec<Rule>| {
            for rule in &mut rules {
                (rule.id, id) = (id, id + 1);
            }
            chain(&rules)
        };
        places.zip(lists.into_iter().map(number)).collect::<BTreeMap<_, _>>()
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let p32 = prop_oneof![
        6 => 0..P_ALWAYS,
        3 => 0..P_ALWAYS / 10,
        1 => select(vec![0, 1, P_ALWAYS - 1, P_ALWAYS]),
    ];
    let nth = prop::collection::btree_set(1u64..80, 0..20);
    let kind = prop_oneof![
        3 => p32.prop_map(|p32| Rule { kind: LOSS_RANDOM, p32, ..Rule::NONE }),
        1 => (1u64..9).prop_map(|arg| Rule { kind: LOSS_EVERY, arg, ..Rule::NONE }),
        1 => (0u64..9).prop_map(|arg| Rule { kind: LOSS_FIRST, arg, ..Rule::NONE }),
        1 => nth.prop_map(|list| {
            let mut rule = Rule { kind: LOSS_NTH, nth_len: list.len() as u32, ..Rule::NONE };
            for (place, n) in rule.nth.iter_mut().zip(list) {
                *place = n;
            }
            rule
        }),
    ];
    // One more than there are: what is unknown means no packet.
    (kind, prop_oneof![3 => Just(WHEN_ANY), 1 => WHEN_ANY..=WHEN_RST + 1])
        .prop_map(|(rule, when)| Rule { when, ..rule })
}
