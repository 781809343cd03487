//! Flows that are picked by what the client says first. At the cgroup's egress hook: it comes before TC, so that the packet
//! that says it can itself be faulted; only the apps' packets meet it; and it has a stack and a verifier's
//! budget of its own.

use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::programs::SkBuffContext;
use fault_common::condition::HelloKey;
use fault_common::event::{KIND_NAMED, tcp};
use fault_common::hello::{Hello, KEPT, Known, Said};
use fault_common::rule::MAX_FLOWS;
use fault_common::table::{SOCKET_AWAITED, SOCKET_ISN, SocketEntry};

use crate::ctx::Skb;
use crate::emit::{self, About};
use crate::maps::{BY_HELLO, HELLOS, NO_HELLO, SOCKETS};
use crate::parse::{self, Facts, IPPROTO_TCP};
use crate::select::{self, Connect};

/// A packet of an app leaves. If selectors wait for the first bytes of its socket, notes where they stand.
#[inline(always)]
pub fn listen(ctx: &SkBuffContext) {
    let skb = Skb::of_cgroup(ctx);
    let cookie = skb.cookie();
    let Some(socket) = SOCKETS.get_ptr(cookie) else { return };
    // SAFETY: a live map value.
    if unsafe { (*socket).state } & SOCKET_AWAITED == 0 {
        return;
    }
    // Not the packet programs' memory: see `datagram::on_datagram`.
    let mut facts = Facts::NONE;
    if parse::parse_into(skb, 0, &mut facts) == 0 || !facts.is_tcp() || facts.payload == 0 {
        return;
    }
    let Some(hello) = kept(cookie) else { return };
    // SAFETY: a live map value of this socket's, whose lock keeps others out.
    unsafe {
        (*hello).said = Said {
            laddr: facts.tuple.saddr,
            lport: facts.tuple.sport as u32,
            seq: facts.seq,
            data: facts.l4 + facts.header,
            payload: facts.payload,
            syn: (facts.flags & tcp::SYN != 0) as u32,
        };
    }
}

/// The same packet, next: if its bytes complete what selectors wait for, the socket gets its flow. A program of its own, for
/// the verifier would walk all of it again for each kind of header that a packet may have.
#[inline(always)]
pub fn understand(ctx: &SkBuffContext) {
    let skb = Skb::of_cgroup(ctx);
    let cookie = skb.cookie();
    let Some(hello) = HELLOS.get_ptr_mut(cookie) else { return };
    let Some(socket) = SOCKETS.get_ptr_mut(cookie) else { return };
    // SAFETY: live map values; the socket is locked while it sends.
    let (hello, socket) = unsafe { (&mut *hello, &mut *socket) };
    // An acknowledgement, between two parts of the first bytes.
    if hello.said.payload == 0 {
        return;
    }
    let known = take(skb, socket, hello);
    hello.said.payload = 0;
    if !known {
        return;
    }
    socket.state &= !SOCKET_AWAITED;
    let said = by_hello(hello);
    name(cookie, socket, hello, said);
    // Failure means that it was the oldest and gave way to another one.
    let _ = HELLOS.remove(cookie);
}

/// A word that has gone through memory.
#[inline(always)]
fn word(value: &u32) -> u32 {
    // SAFETY: a live reference.
    unsafe { (value as *const u32).read_volatile() }
}

/// What the socket has said so far. The stack has no room for it.
#[inline(always)]
fn kept(cookie: u64) -> Option<*mut Hello> {
    if let Some(hello) = HELLOS.get_ptr_mut(cookie) {
        return Some(hello);
    }
    let empty = NO_HELLO.get(0)?;
    HELLOS.insert(cookie, empty, 0).ok()?;
    HELLOS.get_ptr_mut(cookie)
}

/// Adds what the packet has of the first bytes; whether all is known now.
#[inline(always)]
fn take(skb: Skb, socket: &SocketEntry, hello: &mut Hello) -> bool {
    let payload = word(&hello.said.payload);
    // With TCP Fast Open a SYN carries the first bytes, and TC has not seen it yet.
    let position = match word(&hello.said.syn) != 0 || socket.state & SOCKET_ISN == 0 {
        true => 0,
        false => word(&hello.said.seq).wrapping_sub(socket.isn),
    };
    let have = word(&hello.have);
    // What is there already, it says again; and before a gap nobody knows what was said.
    let again = have.wrapping_sub(position);
    if have >= KEPT || again > have {
        return true;
    }
    if again >= payload {
        return false;
    }
    let (fresh, room) = (payload - again, KEPT - have);
    let len = if fresh < room { fresh } else { room };
    let from = word(&hello.said.data).wrapping_add(again);
    if !skb.load_some(from, hello.bytes.as_mut_ptr(), have & (KEPT - 1), len) {
        return true;
    }
    hello.have = have + len;
    hello.read() == Known::All
}

/// The conditions that it does not contradict.
#[inline(always)]
fn by_hello(hello: &Hello) -> u64 {
    // SAFETY: `key_bits` and `key` stand behind each other in a repr(C) struct, as in the packed Key; both are
    // plain numbers of a live map value.
    let key = unsafe { &*(&raw const hello.key_bits).cast::<Key<HelloKey>>() };
    BY_HELLO.get(key).map_or(0, |set| *set)
}

/// Gives the socket its flow, unless it has one by now. A function of its own for its stack frame.
#[inline(never)]
fn name(cookie: u64, socket: &mut SocketEntry, hello: &Hello, said: u64) {
    select::adopt(socket);
    if socket.flow < MAX_FLOWS {
        return;
    }
    let connect = Connect {
        app: socket.app,
        proto: IPPROTO_TCP as u32,
        laddr: hello.said.laddr,
        lport: hello.said.lport,
        raddr: socket.raddr,
        rport: socket.rport,
        pid_tgid: socket.pid_tgid,
        allowed: socket.allowed & said,
        accepted: false,
    };
    let picked = select::pick_by_hello(&connect);
    if picked.role == 0 {
        return;
    }
    socket.flow = picked.flow;
    socket.role = picked.role;
    socket.nth = picked.nth;
    emit::event(KIND_NAMED, 0, &About::socket(cookie, socket), |ev| {
        ev.proto = IPPROTO_TCP;
        ev.len = picked.nth;
    });
}
