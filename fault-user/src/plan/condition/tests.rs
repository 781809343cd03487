//! The tables say of every socket what the conditions themselves say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fault_common::condition::{ANY_USER, LOCAL, REMOTE, kind};
use proptest::prelude::*;

use super::*;
use crate::addr;
use crate::scenario::model::{Host, Net, Ports};

/// What a trie answers: the set of the longest prefix.
fn lookup(rows: &[Prefix], key: &[u8]) -> u64 {
    let bit = |bytes: &[u8], i: u32| bytes[(i / 8) as usize] >> (7 - i % 8) & 1;
    let matches = |p: &&Prefix| (0..p.bits).all(|i| bit(&p.bytes, i) == bit(key, i));
    rows.iter().filter(matches).max_by_key(|p| p.bits).map_or(0, |p| p.set)
}

fn by_end(tables: &Tables, end: u8, ip: IpAddr, port: u16) -> u64 {
    let octets: Vec<u8> = addr::words(ip).iter().flat_map(|w| w.to_ne_bytes()).collect();
    lookup(&tables.addresses, &[vec![end, 0], octets].concat())
        & lookup(&tables.ports, &[[end, 0], port.to_be_bytes()].concat())
}

#[derive(Debug)]
struct Socket {
    remote: (IpAddr, u16),
    local: (IpAddr, u16),
    uid: u32,
    cgroup: u64,
    app: usize,
    udp: bool,
    accepted: bool,
}

fn holds(c: &Condition, s: &Socket, names: &Addresses, cgroups: &BTreeMap<String, u64>) -> bool {
    let named = |r: &Remote| match &r.host {
        Host::Name(name) => names[name].clone(),
        _ => Vec::new(),
    };
    c.remote.as_ref().is_none_or(|r| r.is(&named(r), s.remote.0, s.remote.1))
        && c.local.is_none_or(|l| l.is(s.local.0, s.local.1))
        && c.uid.is_none_or(|uid| uid == s.uid)
        && c.cgroup.as_ref().is_none_or(|name| cgroups[name] == s.cgroup)
        && c.app.is_none_or(|app| app == s.app)
        && c.udp.is_none_or(|udp| udp == s.udp)
        && c.accepted.is_none_or(|accepted| accepted == s.accepted)
}

/// Few bits vary, so that networks and addresses meet.
fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..4, 0u8..3).prop_map(|(a, b)| IpAddr::V4(Ipv4Addr::new(10, a, 0, b))),
        (0u16..4, 0u16..3).prop_map(|(a, b)| IpAddr::V6(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, b))),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1u16..20, Just(u16::MAX), Just(u16::MAX - 1), any::<u16>().prop_map(|p| p.max(1))]
}

fn ports() -> impl Strategy<Value = Ports> {
    let range = (port(), port());
    let range = range.prop_map(|(a, b)| Ports { first: a.min(b), last: a.max(b) });
    prop_oneof![Just(Ports::ALL), range]
}

fn net() -> impl Strategy<Value = Net> {
    (ip(), 0u8..=128).prop_map(|(ip, prefix)| {
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        Net::around(ip, prefix.min(longest)).unwrap()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let host = prop_oneof![
        Just(Host::Any),
        net().prop_map(Host::Net),
        Just(Host::Name("one".into())),
        Just(Host::Name("two".into())),
    ];
    let remote = (host, ports()).prop_map(|(host, ports)| Remote { host, ports });
    let local = (proptest::option::of(net()), proptest::option::of(ports()));
    let local = local.prop_map(|(net, ports)| Local { net, ports });
    let cgroup = prop_oneof![Just("a".to_owned()), Just("b".to_owned())];
    use proptest::option::of;
    (
        of(0usize..3),
        of(any::<bool>()),
        of(any::<bool>()),
        of(remote),
        of(local),
        of(0u32..3),
        of(cgroup),
    )
        .prop_map(|(app, udp, accepted, remote, local, uid, cgroup)| Condition {
            app,
            udp,
            accepted,
            remote,
            local,
            uid,
            cgroup,
            hello: None,
        })
}

fn socket() -> impl Strategy<Value = Socket> {
    let rest = (0u32..4, 1u64..4, 0usize..3, any::<bool>(), any::<bool>());
    ((ip(), port()), (ip(), port()), rest).prop_map(|(remote, local, rest)| {
        let (uid, cgroup, app, udp, accepted) = rest;
        Socket { remote, local, uid, cgroup, app, udp, accepted }
    })
}

proptest! {
    #[test]
    fn tables_agree_with_the_conditions(
        conditions in proptest::collection::btree_map(0u32..64, condition(), 1..24),
        sockets in proptest::collection::vec(socket(), 64),
        one in proptest::collection::vec(ip(), 0..4),
        two in proptest::collection::vec(ip(), 0..4),
    ) {
        let names = Addresses::from([("one".into(), one), ("two".into(), two)]);
        let cgroups = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let tables = Tables::new(&conditions, &names, &cgroups);
        for s in &sockets {
            let found = by_end(&tables, REMOTE, s.remote.0, s.remote.1)
                & by_end(&tables, LOCAL, s.local.0, s.local.1)
                & tables.allowed(s.uid, [s.cgroup])
                & tables.kinds[kind(s.app as u32, s.udp, s.accepted) as usize];
            for (bit, c) in &conditions {
                prop_assert_eq!(found >> bit & 1 != 0, holds(c, s, &names, &cgroups), "{:?} {:?}", c, s);
            }
            prop_assert!(!tables.users.contains_key(&ANY_USER) || found & !conditions_mask(&conditions) == 0);
        }
    }

    #[test]
    fn a_range_of_ports_is_few_prefixes(ports in ports()) {
        prop_assert!(Prefix::ports(REMOTE, ports, 1).len() <= 30);
    }
}

fn conditions_mask(conditions: &BTreeMap<u32, Condition>) -> u64 {
    conditions.keys().fold(0, |mask, bit| mask | 1 << bit)
}
