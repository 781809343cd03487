//! UDP: a flow is a socket and one of its remotes. connect() and sends that name an address note
//! both; the first datagram, at the cgroup's egress hook, gives the flow its name and its tuple,
//! before TC sees it. (When connect() runs, the port is not chosen yet; and many a socket is
//! connected only to ask for a route: getaddrinfo(3) does so for every address it returns.)

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::programs::{SkBuffContext, SockAddrContext, SockContext};
use fault_common::event::{KIND_BOUND, KIND_CLOSED, KIND_ESTABLISHED};
use fault_common::stats::Global;
use fault_common::table::{
    ANY_PORT, Addr, DatagramKey, Datagrams, FURTHER_REMOTE, Found, MAX_REMOTES, SOCKET_CLOSED,
    SOCKET_DATAGRAM, SOCKET_HOME, SOCKET_LEFT, SOCKET_PICKED, SocketEntry, TAKEN_BEFORE, TAKEN_IN,
    TAKEN_NONE, Tuple, v4,
};

use crate::atomic;
use crate::classify::open_gate;
use crate::condition;
use crate::ctx::Skb;
use crate::emit::{self, About};
use crate::learn::{self, New, Place};
use crate::maps::{DATAGRAMS, SOCKETS, TUPLES, WHOLE};
use crate::parse::{self, Facts, IPPROTO_UDP};
use crate::select;

#[inline(always)]
pub fn on_sendmsg4(ctx: &SockAddrContext) {
    // SAFETY: a readable context field.
    let ip = unsafe { (*ctx.sock_addr).user_ip4 };
    on_sendmsg(ctx, v4(ip));
}

#[inline(always)]
pub fn on_sendmsg6(ctx: &SockAddrContext) {
    on_sendmsg(ctx, learn::user_ip6(ctx));
}

#[inline(always)]
fn on_sendmsg(ctx: &SockAddrContext, raddr: Addr) {
    let Some(network) = learn::network(ctx.as_ptr()) else { return };
    // SAFETY: a readable context field, and a helper that takes the context.
    let (port, cookie) =
        unsafe { ((*ctx.sock_addr).user_port as u16, bpf_get_socket_cookie(ctx.as_ptr())) };
    note(cookie, raddr, u16::from_be(port) as u32, network);
}

/// Notes that a socket is about to talk to a remote. The socket is locked meanwhile.
#[inline(always)]
pub fn note(cookie: u64, raddr: Addr, rport: u32, network: u32) {
    // A connected socket's send with control messages comes here without an address.
    if rport == 0 {
        return;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    let key = DatagramKey { cookie, raddr, rport, _pad: 0 };
    if let Some(row) = DATAGRAMS.get_ptr(key) {
        // SAFETY: live map values.
        unsafe {
            if let Some(socket) = SOCKETS.get_ptr_mut((*row).id) {
                (*socket).pid_tgid = pid_tgid;
            }
        }
        return;
    }
    if !select::wants_datagrams(raddr, rport) {
        return;
    }
    let Some(app) = learn::current_app() else { return };
    let first = SOCKETS.get_ptr(cookie).is_none();
    if !first && remotes(cookie) >= MAX_REMOTES as u64 {
        emit::count(Global::SocketsFull, 1);
        return;
    }
    let Some(slot) = learn::next_slot() else { return };
    let id = if first { cookie } else { FURTHER_REMOTE | slot as u64 };
    let uid = bpf_get_current_uid_gid() as u32;
    let (state, allowed) = (SOCKET_DATAGRAM | network, condition::by_caller(uid));
    let place = Place::START;
    let new = New { slot, app, state, rport, raddr, pid_tgid, uid, allowed, place };
    if learn::register(id, &new) && !enlist(&key, id) {
        emit::count(Global::SocketsFull, 1);
    }
}

/// Notes a socket that was connected before the run; its next datagram names it.
#[inline(always)]
pub fn found(found: &Found) -> u32 {
    if !select::wants_datagrams(found.raddr, found.rport) {
        return TAKEN_BEFORE;
    }
    let Some(slot) = learn::next_slot() else { return TAKEN_NONE };
    let (app, rport, raddr, pid_tgid) = (found.app, found.rport, found.raddr, found.pid_tgid);
    let state = SOCKET_DATAGRAM | found.state & SOCKET_HOME;
    let (uid, allowed) = (found.uid, found.allowed);
    let place = Place::START;
    let new = New { slot, app, state, rport, raddr, pid_tgid, uid, allowed, place };
    let key = DatagramKey { cookie: found.cookie, raddr, rport, _pad: 0 };
    let done = learn::register(found.cookie, &new) && enlist(&key, found.cookie);
    if done { TAKEN_IN } else { TAKEN_NONE }
}

/// Notes a socket that is one flow, whoever it talks to. It has its name, which the controller gives it beside.
#[inline(always)]
pub fn whole(found: &Found) -> u32 {
    let Some(slot) = learn::next_slot() else { return TAKEN_NONE };
    let new = New {
        slot,
        app: found.app,
        state: SOCKET_DATAGRAM | SOCKET_PICKED | found.state,
        rport: found.rport,
        raddr: found.raddr,
        pid_tgid: found.pid_tgid,
        uid: found.uid,
        allowed: found.allowed,
        place: Place::START,
    };
    let tuple = Tuple {
        saddr: found.raddr,
        daddr: found.laddr,
        sport: found.rport as u16,
        dport: found.lport as u16,
        proto: IPPROTO_UDP as u32,
    };
    let done = learn::register(found.cookie, &new)
        && insert(&any_of(found.cookie), found.cookie, [0; 4], 0)
        && TUPLES.insert(tuple, found.cookie, 0).is_ok();
    open_gate(found.lport);
    if done { TAKEN_IN } else { TAKEN_NONE }
}

#[inline(always)]
fn any_of(cookie: u64) -> DatagramKey {
    DatagramKey { cookie, raddr: [0; 4], rport: ANY_PORT, _pad: 0 }
}

/// Puts a flow into the table, at the head of its socket's list.
#[inline(always)]
fn enlist(key: &DatagramKey, id: u64) -> bool {
    let head_key = head_of(key.cookie);
    let Some(head) = DATAGRAMS.get_ptr_mut(head_key) else {
        return insert(key, id, [0; 4], 0) && insert(&head_key, 1, key.raddr, key.rport);
    };
    // SAFETY: a live map value; the socket's lock keeps others from writing it.
    unsafe {
        let done = insert(key, id, (*head).next, (*head).next_port);
        if done {
            ((*head).next, (*head).next_port) = (key.raddr, key.rport);
            (*head).id += 1;
        }
        done
    }
}

/// How many remotes a socket has; the head of its list counts them.
#[inline(always)]
fn remotes(cookie: u64) -> u64 {
    // SAFETY: a live map value.
    DATAGRAMS.get_ptr(head_of(cookie)).map_or(0, |head| unsafe { (*head).id })
}

#[inline(always)]
fn head_of(cookie: u64) -> DatagramKey {
    DatagramKey { cookie, raddr: [0; 4], rport: 0, _pad: 0 }
}

#[inline(always)]
fn insert(key: &DatagramKey, id: u64, next: Addr, next_port: u32) -> bool {
    let row = Datagrams { id, sent: 0, named: 0, laddr: [0; 4], lport: 0, next_port, next };
    DATAGRAMS.insert(key, row, 0).is_ok()
}

/// A packet of an app leaves. The first of a noted flow names it, and each that has another
/// source address than the one before makes that known.
#[inline(always)]
pub fn on_datagram(ctx: &SkBuffContext) {
    let skb = Skb::of_cgroup(ctx);
    if !parse::may_be_udp(skb) {
        return;
    }
    // Not the packet programs' memory: softirqs, which those run in, may interrupt this one.
    let mut facts = Facts::NONE;
    if parse::parse_into(skb, 0, &mut facts) == 0 || facts.tuple.proto != IPPROTO_UDP as u32 {
        return;
    }
    let mut tuple = facts.tuple.reversed();
    let (raddr, rport) = (tuple.saddr, tuple.sport as u32);
    let key = DatagramKey { cookie: skb.cookie(), raddr, rport, _pad: 0 };
    let Some(row) = DATAGRAMS.get_ptr_mut(key) else { return };
    // SAFETY: a live map value.
    let row = unsafe { &mut *row };
    if row.lport == tuple.dport as u32 && row.laddr == tuple.daddr {
        return;
    }
    // SAFETY: a live map value.
    tuple.proto |= SOCKETS.get_ptr(row.id).map_or(0, |s| unsafe { (*s).state & SOCKET_HOME });
    bind(row, &tuple);
    // SAFETY: a live map value of 8 bytes. Of two threads at once, one names it.
    if unsafe { atomic::fetch_add(&raw mut row.named, 1) } == 0
        && let Some(socket) = SOCKETS.get_ptr_mut(row.id)
    {
        // SAFETY: a live map value.
        begin(row.id, unsafe { &mut *socket }, tuple.daddr, tuple.dport as u32);
    }
}

/// From here on packets from the remote to that local address are the flow's. A function of its own for its stack frame.
#[inline(never)]
fn bind(row: &mut Datagrams, tuple: &Tuple) {
    if row.lport != 0 {
        let before = Tuple { daddr: row.laddr, dport: row.lport as u16, ..*tuple };
        // Failure means that it is gone already.
        let _ = TUPLES.remove(before);
    }
    if TUPLES.insert(tuple, row.id, 0).is_err() {
        emit::count(Global::SocketsFull, 1);
    }
    (row.laddr, row.lport) = (tuple.daddr, tuple.dport as u32);
    open_gate(row.lport);
}

/// The flow counts and gets its name. There is no handshake to wait for: it is open at once.
/// A function of its own for its stack frame: the chain of calls that parses has its own.
#[inline(never)]
fn begin(id: u64, socket: &mut SocketEntry, laddr: Addr, lport: u32) {
    let late = learn::name(socket, IPPROTO_UDP, laddr, lport);
    learn::opened(id, socket, IPPROTO_UDP, laddr, late);
    let raddr = socket.raddr;
    learn::addressed(KIND_BOUND, id, socket, IPPROTO_UDP, (laddr, lport), raddr);
    learn::addressed(KIND_ESTABLISHED, id, socket, IPPROTO_UDP, (laddr, lport), raddr);
}

/// At TC egress: the flow of a datagram that the socket sends, and its place among the flow's
/// bytes. UDP has no sequence numbers; so that the bytes of a send have a range all the same, the
/// datagrams of a flow are numbered as if they were a stream.
#[inline(always)]
pub fn place(skb: Skb, cookie: u64, facts: &mut Facts) -> Option<(u64, *mut SocketEntry)> {
    let (raddr, rport) = (facts.tuple.daddr, facts.tuple.dport as u32);
    let key = match WHOLE.load() {
        0 => DatagramKey { cookie, raddr, rport, _pad: 0 },
        _ => any_of(cookie),
    };
    let row = DATAGRAMS.get_ptr_mut(key)?;
    // The first fragment stands for all of the datagram: without it the rest is nothing.
    if let Some(length) = skb.load::<2>(facts.l4 + 4) {
        let whole = (u16::from_be_bytes(length) as u32).wrapping_sub(facts.header);
        if whole > facts.payload && whole <= u16::MAX as u32 {
            facts.payload = whole;
        }
    }
    // SAFETY: a live map value; `sent` is a field of 8 bytes.
    let (id, at) =
        unsafe { ((*row).id, atomic::fetch_add(&raw mut (*row).sent, facts.payload as u64)) };
    facts.seq = at as u32;
    Some((id, SOCKETS.get_ptr_mut(id)?))
}

/// The last descriptor of a socket is closed (5.9).
#[inline(always)]
pub fn on_release(ctx: &SockContext) {
    // SAFETY: the helper takes the context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let head = head_of(cookie);
    let Some(row) = DATAGRAMS.get_ptr(head) else { return };
    // SAFETY: a live map value; nobody sends on a socket that is closed.
    let row = unsafe { &*row };
    let mut key = DatagramKey { cookie, raddr: words(&row.next), rport: row.next_port, _pad: 0 };
    for _ in 0..MAX_REMOTES {
        if key.rport == 0 || end_row(&mut key) == 0 {
            break;
        }
    }
    let _ = DATAGRAMS.remove(head);
}

/// Ends the flow of a row, and makes its key that of the next; 0 if there is no such row. Global to the verifier (see
/// `judge::rule_acts`), which would walk it once for each remote that there may be.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn end_row(key: *mut DatagramKey) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier has held the caller to memory of this size.
    let key = unsafe { &mut *key };
    let Some(row) = DATAGRAMS.get_ptr(*key) else { return 0 };
    // SAFETY: a live map value; nobody sends on a socket that is closed.
    let row = unsafe { &*row };
    end(key, row);
    let next = (words(&row.next), row.next_port);
    // Rows are removed only here.
    let _ = DATAGRAMS.remove(*key);
    (key.raddr, key.rport) = next;
    1
}

/// Copies an address word by word: the compiler's own copy is a loop over its bytes, which the
/// verifier would walk for each remote again.
#[inline(always)]
fn words(addr: &Addr) -> Addr {
    // SAFETY: references to words of an array.
    unsafe {
        [
            (&raw const addr[0]).read_volatile(),
            (&raw const addr[1]).read_volatile(),
            (&raw const addr[2]).read_volatile(),
            (&raw const addr[3]).read_volatile(),
        ]
    }
}

/// The flow is over: its tuple may be anybody's from now on, and its role is free.
#[inline(always)]
fn end(key: &DatagramKey, row: &Datagrams) {
    // SAFETY: a live map value.
    let network = SOCKETS.get_ptr(row.id).map_or(0, |s| unsafe { (*s).state & SOCKET_HOME });
    if row.lport != 0 {
        // Failure means that it is gone already.
        let _ = TUPLES.remove(Tuple {
            saddr: words(&key.raddr),
            daddr: words(&row.laddr),
            sport: key.rport as u16,
            dport: row.lport as u16,
            proto: IPPROTO_UDP as u32 | network,
        });
    }
    let Some(socket) = SOCKETS.get_ptr_mut(row.id) else { return };
    // SAFETY: a live map value.
    let socket = unsafe { &mut *socket };
    // One that never sent anything has no name and no role, and nobody has heard of it.
    if socket.state & SOCKET_PICKED == 0 {
        return;
    }
    select::adopt(socket);
    socket.state |= SOCKET_CLOSED | SOCKET_LEFT;
    select::leave(socket.role);
    emit::event(KIND_CLOSED, 0, &About::socket(row.id, socket), |ev| ev.proto = IPPROTO_UDP);
}
