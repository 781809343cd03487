//! Sets of conditions by prefix. A trie gives the longest prefix of a key and nothing of the shorter ones, so
//! what holds for those has to be part of each longer one.

use std::net::IpAddr;

use fault_common::condition::END_BITS;

use crate::addr;
use crate::scenario::model::{Net, Ports};

/// Bits before an IPv4 address that is mapped into IPv6.
const MAPPED: u32 = 96;

/// The first `bits` bits of a key, and a set of conditions for all keys that begin so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    pub bytes: Vec<u8>,
    pub bits: u32,
    pub set: u64,
    /// It does not hold for mapped IPv4 addresses, though their keys may begin so.
    ipv6: bool,
}

impl Prefix {
    /// Any address of an end.
    pub fn any_address(end: u8, set: u64) -> Self {
        Self { bytes: [vec![end, 0], vec![0; 16]].concat(), bits: END_BITS, set, ipv6: false }
    }

    /// The addresses of a network.
    pub fn net(end: u8, net: Net, set: u64) -> Self {
        let bytes = [vec![end, 0], octets(net.ip)].concat();
        Self { bytes, bits: END_BITS + u32::from(net.bits()), set, ipv6: net.ip.is_ipv6() }
    }

    /// What is true of all mapped addresses, for the shorter prefixes not to reach them.
    pub fn mapped(end: u8) -> Self {
        let bytes = [vec![end, 0], octets([0, 0, 0, 0].into())].concat();
        Self { bytes, bits: END_BITS + MAPPED, set: 0, ipv6: false }
    }

    /// A text from its beginning, or only as a whole.
    pub fn text(bytes: Vec<u8>, set: u64) -> Self {
        Self { bits: 8 * bytes.len() as u32, bytes, set, ipv6: false }
    }

    /// The fewest prefixes that make up a range of ports; with all of them port 0 as well, which
    /// no connection has.
    pub fn ports(end: u8, ports: Ports, set: u64) -> Vec<Self> {
        let all = ports == Ports::ALL;
        let (mut at, last) = (if all { 0 } else { u32::from(ports.first) }, u32::from(ports.last));
        let mut found = Vec::new();
        while at <= last {
            // As many as begin at a multiple of their number, and fit.
            let aligned = if at == 0 { 16 } else { at.trailing_zeros() };
            let fitting = (last - at + 1).ilog2();
            let free = aligned.min(fitting);
            let bytes = [[end, 0], (at as u16).to_be_bytes()].concat();
            found.push(Self { bytes, bits: END_BITS + 16 - free, set, ipv6: false });
            at += 1 << free;
        }
        found
    }

    /// Whether keys that begin like `other` all begin like this one, and it is meant for them.
    fn covers(&self, other: &Self) -> bool {
        let is_mapped = other.bits >= END_BITS + MAPPED
            && begins(&other.bytes, &Self::mapped(other.bytes[0]).bytes, END_BITS + MAPPED);
        self.bits <= other.bits
            && begins(&other.bytes, &self.bytes, self.bits)
            && !(self.ipv6 && is_mapped)
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    addr::words(ip).iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Whether the first bits are the same.
fn begins(a: &[u8], b: &[u8], bits: u32) -> bool {
    let (whole, rest) = ((bits / 8) as usize, bits % 8);
    let head = a.get(..whole).is_some_and(|head| b.get(..whole) == Some(head));
    let byte = |of: &[u8]| of.get(whole).map(|b| u32::from(*b) >> (8 - rest));
    head && (rest == 0 || byte(a) == byte(b))
}

/// Each prefix once, with the sets of all that cover it.
pub fn inherit(prefixes: &[Prefix]) -> Vec<Prefix> {
    let mut rows: Vec<Prefix> = prefixes.to_vec();
    rows.sort_by(|a, b| (a.bits, &a.bytes).cmp(&(b.bits, &b.bytes)));
    rows.dedup_by(|a, b| (a.bits, &a.bytes) == (b.bits, &b.bytes));
    for row in &mut rows {
        let covering = prefixes.iter().filter(|p| p.covers(row));
        row.set = covering.fold(0, |set, p| set | p.set);
    }
    rows
}
