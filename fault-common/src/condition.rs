//! Which conditions of a scenario a socket fulfils, as a set in one word.
//!
//! A condition is a conjunction: this app, that remote, this user. Each property of a socket is looked up in a
//! table of its own, which gives the set of conditions that it does not contradict, and the intersection of these
//! sets is the answer (bit vectors: Lakshman and Stiliadis, SIGCOMM 1998). So the programs' work does not grow with the
//! number of conditions, and what a range or a network means is decided where the tables are made.

use crate::table::Addr;

/// Conditions that one run may have: a bit each.
pub const CONDITIONS: u32 = 64;
/// The first bit of the conditions that `exclude` makes.
pub const FIRST_EXCLUDED: u32 = 32;

/// The set of just the condition under which selector `i` counts a socket.
#[inline(always)]
pub const fn counts(i: u32) -> u64 {
    1 << (i & 15)
}

/// The set of just the condition under which a counted socket may be what selector `i` means.
#[inline(always)]
pub const fn fits(i: u32) -> u64 {
    1 << (16 + (i & 15))
}

/// [`AddressKey::end`] and [`PortKey::end`]: the peer's.
pub const REMOTE: u8 = 0;
/// The socket's own.
pub const LOCAL: u8 = 1;

/// Addresses and networks that one run may have.
pub const MAX_ADDRESSES: u32 = 4096;

/// Bits of a key before the address or the port.
pub const END_BITS: u32 = 16;

/// Key of the table by address, behind its prefix length.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressKey {
    /// [`REMOTE`] or [`LOCAL`], then zero. Bytes: a prefix is taken of them in their order.
    pub end: [u8; 2],
    /// As [`Addr`] stands in memory: network order, IPv4 mapped.
    pub address: [u16; 8],
}

impl AddressKey {
    /// The key of an address.
    #[inline(always)]
    pub const fn new(end: u8, addr: Addr) -> Self {
        Self { end: [end, 0], address: halves(addr) }
    }
}

/// The same bytes in smaller units, so that they may stand behind two others without padding.
#[inline(always)]
const fn halves(addr: Addr) -> [u16; 8] {
    let [a, b, c, d] = [
        addr[0].to_ne_bytes(),
        addr[1].to_ne_bytes(),
        addr[2].to_ne_bytes(),
        addr[3].to_ne_bytes(),
    ];
    [
        u16::from_ne_bytes([a[0], a[1]]),
        u16::from_ne_bytes([a[2], a[3]]),
        u16::from_ne_bytes([b[0], b[1]]),
        u16::from_ne_bytes([b[2], b[3]]),
        u16::from_ne_bytes([c[0], c[1]]),
        u16::from_ne_bytes([c[2], c[3]]),
        u16::from_ne_bytes([d[0], d[1]]),
        u16::from_ne_bytes([d[2], d[3]]),
    ]
}

/// Key of the table by port, behind its prefix length: a range is a few prefixes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    /// [`REMOTE`] or [`LOCAL`], then zero.
    pub end: [u8; 2],
    /// Network order.
    pub port: [u8; 2],
}

impl PortKey {
    /// The key of a port.
    #[inline(always)]
    pub const fn new(end: u8, port: u16) -> Self {
        Self { end: [end, 0], port: port.to_be_bytes() }
    }
}

/// Key of the table by what a client says first, behind its prefix length; see [`crate::hello`].
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HelloKey(pub [u8; crate::hello::KEY]);

/// Entries of the table by app, protocol and opener.
pub const KINDS: u32 = 256;

/// Index into that table; `app` is below [`crate::table::MAX_APPS`].
#[inline(always)]
pub const fn kind(app: u32, udp: bool, accepted: bool) -> u32 {
    app & 63 | (udp as u32) << 6 | (accepted as u32) << 7
}

/// Key in the table by user of the conditions that no user contradicts: the number that is no user's.
pub const ANY_USER: u32 = u32::MAX;
/// Key in the table by cgroup of the conditions that no cgroup contradicts: no cgroup has this id.
pub const ANY_CGROUP: u64 = 0;
/// Cgroups at most this far below the root can be named: as many levels above a process are looked at.
pub const CGROUP_DEPTH: u32 = 16;

/// A `share` is out of this many.
pub const WHOLE_SHARE: u32 = 1 << 30;

/// Whether a selector with that share takes its `nth` connection: the same for the same seed.
#[inline(always)]
pub const fn in_share(seed: u64, selector: u32, nth: u32, share: u32) -> bool {
    // A purpose of its own: rules draw under the same seed.
    let key = crate::rng::sub(crate::rng::key(seed, selector, selector, nth), 0x0073_6861_7265);
    crate::rng::mix(key) >> 34 < share as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_their_bytes_in_network_order() {
        let address = crate::table::v4(u32::from_ne_bytes([10, 1, 2, 3]));
        let key = AddressKey::new(LOCAL, address);
        let bytes: Vec<u8> = key.address.iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]);
        assert_eq!(PortKey::new(REMOTE, 0x1234).port, [0x12, 0x34]);
    }

    #[test]
    fn selectors_and_kinds_have_bits_and_places_of_their_own() {
        let selectors = 0..crate::table::MAX_SELECTORS;
        let bits = selectors.clone().fold(0u64, |bits, i| bits | counts(i) | fits(i));
        assert_eq!(bits.count_ones(), 2 * crate::table::MAX_SELECTORS);
        assert!(bits < 1 << FIRST_EXCLUDED);
        assert_eq!(kind(crate::table::MAX_APPS - 1, true, true), KINDS - 1);
    }

    #[test]
    fn a_share_is_about_that_share_and_follows_from_the_seed() {
        for (seed, p) in [(1u64, 0.1), (2, 0.5), (3, 0.9)] {
            let share = (p * f64::from(WHOLE_SHARE)) as u32;
            let picked = (1..=20_000).filter(|n| in_share(seed, 3, *n, share)).count();
            assert!((picked as f64 / 20_000.0 - p).abs() < 0.015, "{p}: {picked}");
        }
        let picks = |seed, selector| -> Vec<u32> {
            (1..=64).filter(|n| in_share(seed, selector, *n, WHOLE_SHARE / 2)).collect()
        };
        assert_eq!(picks(7, 0), picks(7, 0));
        assert!(picks(7, 0) != picks(8, 0) && picks(7, 0) != picks(7, 1));
        assert!((1..=1000).all(|n| in_share(5, 0, n, WHOLE_SHARE)), "all of them");
    }
}
