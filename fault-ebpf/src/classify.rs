//! Whose packet is it? The gate that every packet on the machine meets, and the exact tables
//! behind it.

use fault_common::rule::Direction;
use fault_common::stats::Global;
use fault_common::table::{SOCKET_CLOSED, SocketEntry, Tuple};

use crate::atomic;
use crate::ctx::Skb;
use crate::datagram;
use crate::emit;
use crate::maps::{EXEMPT, PORTS, SOCKETS, TUPLES, WHOLE};
use crate::packet;
use crate::parse::{self, Facts, IPPROTO_RAW, IPPROTO_TCP, Ports};
use crate::select;

/// A packet of a known socket.
pub struct Owned {
    pub cookie: u64,
    pub socket: *mut SocketEntry,
    pub facts: &'static mut Facts,
}

/// Finds the socket of a packet in one of the run's network namespaces (`SOCKET_HOME` or 0); `None` for everybody else's.
#[inline(always)]
pub fn owner(skb: Skb, dir: Direction, l2: u32, network: u32) -> Option<Owned> {
    match dir {
        Direction::Egress => outgoing(skb, l2, network),
        Direction::Ingress => incoming(skb, l2, network),
    }
}

/// Opens the gate for a port of a known socket.
#[inline(always)]
pub fn open_gate(port: u32) {
    // SAFETY: the index is masked to the array; bits are set atomically and never cleared.
    unsafe {
        let word = (&raw mut PORTS).cast::<u64>().add(((port >> 6) & 1023) as usize);
        atomic::fetch_or(word, 1 << (port & 63));
    }
}

#[inline(always)]
pub fn gate_open(port: u32) -> bool {
    // SAFETY: the index is masked to the array; volatile, because other CPUs set bits.
    let word = unsafe {
        (&raw const PORTS).cast::<u64>().add(((port >> 6) & 1023) as usize).read_volatile()
    };
    (word >> (port & 63)) & 1 != 0
}

/// A socket's own packets carry it. Replies that the kernel makes without one (RST, ACKs of
/// TIME_WAIT) come from its control socket, whose "port" is its protocol number: those go by
/// tuple, for a dead network lets no RST out either.
#[inline(always)]
fn outgoing(skb: Skb, l2: u32, network: u32) -> Option<Owned> {
    let (local, remote) = skb.sock_ports()?;
    if !gate_open(local) && !gate_open(remote) {
        return None;
    }
    let cookie = skb.cookie();
    if let Some(socket) = SOCKETS.get_ptr_mut(cookie) {
        let Some(facts) = parse::parse(skb, l2) else {
            emit::count(Global::Unparsed, 1);
            return None;
        };
        let (cookie, socket) = match facts.is_tcp() {
            true => (cookie, socket),
            false => datagram::place(skb, cookie, facts)?,
        };
        select::adopt(socket);
        return Some(Owned { cookie, socket, facts });
    }
    if local == IPPROTO_RAW as u32 && EXEMPT.get_ptr(cookie).is_some() {
        packet::exempt(skb);
        return None;
    }
    let facts = parse::parse(skb, l2)?;
    if local == IPPROTO_TCP as u32 {
        let mut tuple = facts.tuple.reversed();
        tuple.proto |= network;
        return by_tuple(&tuple, facts);
    }
    if facts.is_first_syn() {
        let mut tuple = facts.tuple.reversed();
        tuple.proto |= network;
        release(&tuple);
    }
    None
}

/// At ingress there is no socket to trust (on veth `skb->sk` is still the sender's): tuple only.
#[inline(always)]
fn incoming(skb: Skb, l2: u32, network: u32) -> Option<Owned> {
    match parse::ports(skb, l2) {
        Ports::Known(src, dst) if !gate_open(src) && !gate_open(dst) => return None,
        Ports::Other => return None,
        Ports::Known(..) | Ports::Unclear => {}
    }
    let facts = parse::parse(skb, l2)?;
    let mut tuple = facts.tuple;
    tuple.proto |= network;
    if WHOLE.load() != 0 && !facts.is_tcp() {
        widen(&mut tuple);
    }
    by_tuple(&tuple, facts)
}

/// A socket that is not connected takes what comes to its address, or to its port, from anybody. Of two sockets the kernel
/// prefers the one that says more (compute_score), and so do these lookups.
#[inline(always)]
fn widen(tuple: &mut Tuple) {
    if is_known(tuple) {
        return;
    }
    (tuple.saddr, tuple.sport) = ([0; 4], 0);
    if !is_known(tuple) {
        // Of IPv4 the mark of a mapped address stays.
        let is_v6 = tuple.daddr[0] | tuple.daddr[1] != 0;
        tuple.daddr = [0, 0, if is_v6 { 0 } else { tuple.daddr[2] }, 0];
    }
}

#[inline(always)]
fn is_known(tuple: &Tuple) -> bool {
    TUPLES.get_ptr(tuple).is_some()
}

#[inline(always)]
fn by_tuple(tuple: &Tuple, facts: &'static mut Facts) -> Option<Owned> {
    let cookie = *TUPLES.get_ptr(tuple).map(|p| {
        // SAFETY: a live map value; tuples are only replaced as a whole.
        unsafe { &*p }
    })?;
    let socket = SOCKETS.get_ptr_mut(cookie)?;
    select::adopt(socket);
    Some(Owned { cookie, socket, facts })
}

/// Another socket opens a connection with the tuple of a closed one of ours: from now on that
/// tuple is a bystander's.
#[inline(always)]
fn release(tuple: &Tuple) {
    let Some(cookie) = TUPLES.get_ptr(tuple) else { return };
    // SAFETY: live map values, null-checked.
    let closed =
        unsafe { SOCKETS.get_ptr(*cookie).is_some_and(|s| (*s).state & SOCKET_CLOSED != 0) };
    if closed {
        // Failure means that somebody else removed it: the aim is reached.
        let _ = TUPLES.remove(tuple);
    }
}
