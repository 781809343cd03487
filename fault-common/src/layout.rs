//! The border between kernel and userspace: sizes that must not change by accident, and the
//! plain-old-data impls that aya asks for.

use core::mem::{offset_of, size_of};

use crate::capture::Head;
use crate::condition::{AddressKey, HelloKey, PortKey};
use crate::event::{Event, SocketEvent};
use crate::hello::{Hello, KEY};
use crate::line::{Back, Handed, Transit, Waiting};
use crate::quiet::Quiet;
use crate::rule::{CHAIN_LEN, Chain, NTH_LEN, Rule};
use crate::stats::{RuleCounters, SlotCounters};
use crate::table::{
    ArmKey, AttemptKey, DatagramKey, Datagrams, Found, LastSegment, Listener, ListenerKey, Listens,
    MarkerEntry, MarkerSet, SeenKey, Selector, SelectorState, SocketEntry, Tuple,
};

/// Version of all layouts here; the loader refuses an object with another one.
pub const ABI_VERSION: u32 = 7;

// No struct may have implicit padding: uninitialised bytes would cross the border (and the
// verifier refuses to store them). Each size is the sum of its fields.
const _: () = {
    assert!(size_of::<Event>() == 80);
    assert!(offset_of!(Event, slot) == 32);
    assert!(size_of::<SocketEvent>() == 80 + 32);
    assert!(size_of::<Rule>() == 32 + 8 * NTH_LEN);
    assert!(size_of::<Chain>() == 16 + CHAIN_LEN * size_of::<Rule>());
    assert!(size_of::<Selector>() == 8 * 4 + 8);
    assert!(size_of::<SelectorState>() == 24);
    assert!(size_of::<HelloKey>() == KEY);
    // `key_bits` and `key` are one key of a trie.
    assert!(offset_of!(Hello, key) == offset_of!(Hello, key_bits) + 4);
    assert!(size_of::<Hello>() == 3 * 4 + 16 + 5 * 4 + 4 + KEY + 8192);
    assert!(size_of::<ListenerKey>() == 20);
    assert!(size_of::<AddressKey>() == 2 + 16);
    assert!(size_of::<PortKey>() == 4);
    assert!(size_of::<Tuple>() == 40);
    assert!(size_of::<DatagramKey>() == 8 + 16 + 2 * 4);
    assert!(size_of::<Datagrams>() == 3 * 8 + 16 + 2 * 4 + 16);
    assert!(size_of::<SocketEntry>() == 12 * 4 + 16 + 4 * 8 + 2 * 20);
    assert!(size_of::<Found>() == 3 * 8 + 2 * 16 + 10 * 4);
    assert!(size_of::<Listener>() == 2 * 4 + 2 * 8);
    assert!(size_of::<Listens>() == 2 * 4 + 8);
    assert!(size_of::<LastSegment>() == 20);
    assert!(size_of::<Handed>() == 80);
    assert!(size_of::<Back>() == 24);
    assert!(size_of::<Waiting>() == 8 + 80 + 8 + 24);
    assert!(size_of::<Transit>() == 48);
    assert!(size_of::<ArmKey>() == 8);
    assert!(size_of::<SeenKey>() == 8);
    assert!(size_of::<AttemptKey>() == 8);
    assert!(size_of::<MarkerEntry>() == 24);
    assert!(size_of::<MarkerSet>() == 96);
    assert!(size_of::<SlotCounters>() == 64);
    assert!(size_of::<RuleCounters>() == 24);
    assert!(size_of::<Head>() == 64);
    assert!(size_of::<Quiet>() == 6 * 8 + 6 * 4);
};

#[cfg(feature = "user")]
mod pod {
    use super::*;

    macro_rules! pod {
        ($($t:ty),*) => {$(
            // SAFETY: repr(C), only integers and arrays of them, no padding (asserted above),
            // so every bit pattern is a value.
            unsafe impl aya::Pod for $t {}
        )*};
    }

    pod!(
        Event,
        SocketEvent,
        Handed,
        Back,
        Waiting,
        Transit,
        Rule,
        Chain,
        Selector,
        SelectorState,
        AddressKey,
        PortKey,
        HelloKey,
        ListenerKey,
        Listener,
        Tuple,
        DatagramKey,
        Datagrams,
        SocketEntry,
        Found,
        ArmKey,
        SeenKey,
        AttemptKey,
        MarkerEntry,
        MarkerSet,
        SlotCounters,
        RuleCounters,
        Head,
        Quiet
    );
}
