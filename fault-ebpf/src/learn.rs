//! Sockets are learned as they are made: labelled in connect() before the SYN, given their
//! tuple when the port is chosen (also before the SYN), marked when they close.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{bpf_sock_addr, bpf_sock_ops};
use aya_ebpf::helpers::generated::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_netns_cookie,
    bpf_get_socket_cookie,
};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::programs::{SockAddrContext, SockOpsContext};
use fault_common::event::{Event, KIND_BOUND, KIND_CLOSED, KIND_ESTABLISHED, KIND_OPENED, NO_FLOW};
use fault_common::stats::Global;
use fault_common::table::{
    Addr, LastSegment, MAX_APPS, SOCKET_ACCEPTED, SOCKET_AWAITED, SOCKET_CLOSED, SOCKET_HOME,
    SOCKET_IRS, SOCKET_ISN, SOCKET_LEFT, SOCKET_PICKED, SocketEntry, Tuple, v4,
};

use crate::atomic;
use crate::classify::open_gate;
use crate::condition;
use crate::datagram;
use crate::emit::{self, About};
use crate::listen;
use crate::maps::{
    APP_OPENED, APPS, HOME, NETNS, PROCESSES, SLOT_NEXT, SLOTS_LEN, SOCKETS, TUPLES,
};
use crate::parse::{IPPROTO_TCP, IPPROTO_UDP};
use crate::select::{self, Connect};

const AF_INET: u32 = 2;
/// `enum` in linux/bpf.h: BPF_SOCK_OPS_TCP_CONNECT_CB and its neighbours.
const TCP_CONNECT_CB: u32 = 3;
const ACTIVE_ESTABLISHED_CB: u32 = 4;
const PASSIVE_ESTABLISHED_CB: u32 = 5;
const STATE_CB: u32 = 10;
const LISTEN_CB: u32 = 11;
pub const STATE_CB_FLAG: i32 = 1 << 2;
const TCP_FIN_WAIT1: u32 = 4;
pub const TCP_CLOSE: u32 = 7;
const TCP_LAST_ACK: u32 = 9;
pub const TCP_LISTEN: u32 = 10;
/// cgroups this deep are still recognised as part of an app.
const MAX_DEPTH: i32 = 8;

#[inline(always)]
pub fn on_connect4(ctx: &SockAddrContext) {
    // SAFETY: a readable context field.
    let ip = unsafe { (*ctx.sock_addr).user_ip4 };
    on_connect(ctx, v4(ip));
}

#[inline(always)]
pub fn on_connect6(ctx: &SockAddrContext) {
    on_connect(ctx, user_ip6(ctx));
}

/// The IPv6 address that the call names.
#[inline(always)]
pub fn user_ip6(ctx: &SockAddrContext) -> Addr {
    let sa = ctx.sock_addr;
    // SAFETY: readable context fields; one by one and volatile, because the verifier refuses
    // the wide load that the compiler would make of four. A mapped address (::ffff:a.b.c.d)
    // already has the form of an IPv4 one.
    unsafe {
        [
            (&raw const (*sa).user_ip6[0]).read_volatile(),
            (&raw const (*sa).user_ip6[1]).read_volatile(),
            (&raw const (*sa).user_ip6[2]).read_volatile(),
            (&raw const (*sa).user_ip6[3]).read_volatile(),
        ]
    }
}

/// The app that the caller belongs to: by its process, its cgroup, or one above it.
#[inline(always)]
pub fn current_app() -> Option<u32> {
    // SAFETY: helpers without pointer arguments; the lookups are null-checked.
    unsafe {
        if let Some(app) = PROCESSES.get_ptr((bpf_get_current_pid_tgid() >> 32) as u32) {
            return Some(*app & (MAX_APPS - 1));
        }
        if let Some(app) = APPS.get_ptr(bpf_get_current_cgroup_id()) {
            return Some(*app);
        }
        for level in 1..MAX_DEPTH {
            let id = bpf_get_current_ancestor_cgroup_id(level);
            if id == 0 {
                break;
            }
            if let Some(app) = APPS.get_ptr(id) {
                return Some(*app);
            }
        }
    }
    None
}

/// In which of the run's network namespaces the socket of a hook is: 0, or `SOCKET_HOME` for the second one.
#[inline(always)]
pub fn network(ctx: *mut c_void) -> Option<u32> {
    let there = NETNS.load();
    if there == 0 {
        return Some(0);
    }
    // SAFETY: the helper takes the context (connect and sendmsg since 5.7, sock_ops since 5.15).
    let cookie = unsafe { bpf_get_netns_cookie(ctx) };
    if cookie == there {
        Some(0)
    } else if cookie == HOME.load() {
        Some(SOCKET_HOME)
    } else {
        None
    }
}

#[inline(always)]
fn on_connect(ctx: &SockAddrContext, raddr: Addr) {
    let Some(network) = network(ctx.as_ptr()) else { return };
    let sa: *mut bpf_sock_addr = ctx.sock_addr;
    // SAFETY: readable context fields.
    let (proto, port, cookie) = unsafe {
        let port = u16::from_be((*sa).user_port as u16) as u32;
        ((*sa).protocol, port, bpf_get_socket_cookie(ctx.as_ptr()))
    };
    if proto == IPPROTO_UDP as u32 {
        datagram::note(cookie, raddr, port, network);
        return;
    }
    if proto != IPPROTO_TCP as u32 {
        return;
    }
    let Some(app) = current_app() else { return };
    let pid_tgid = bpf_get_current_pid_tgid();
    if again(cookie, raddr, port, pid_tgid) {
        return;
    }
    let Some(slot) = next_slot() else { return };
    let uid = bpf_get_current_uid_gid() as u32;
    let allowed = condition::by_caller(uid);
    let place = Place::START;
    let new = New { slot, app, state: network, rport: port, raddr, pid_tgid, uid, allowed, place };
    register(cookie, &new);
}

/// What is known of a socket when it is noted.
pub struct New {
    pub slot: u32,
    pub app: u32,
    pub state: u32,
    pub rport: u32,
    pub raddr: Addr,
    pub pid_tgid: u64,
    pub uid: u32,
    /// Conditions that its caller does not contradict.
    pub allowed: u64,
    pub place: Place,
}

/// Where its streams stand, if `state` says that it is known.
#[derive(Clone, Copy)]
pub struct Place {
    pub isn: u32,
    pub irs: u32,
    /// See [`SocketEntry::reach`].
    pub reach: [u64; 2],
}

impl Place {
    /// Before the first byte.
    pub const START: Self = Self { isn: 0, irs: 0, reach: [0; 2] };
}

/// Puts a socket without a name into the table; false if that is full.
#[inline(always)]
pub fn register(id: u64, new: &New) -> bool {
    let socket = SocketEntry {
        slot: new.slot,
        flow: NO_FLOW,
        app: new.app,
        nth: 0,
        attempt: 1,
        state: new.state,
        uid: new.uid,
        role: 0,
        isn: new.place.isn,
        irs: new.place.irs,
        last_ack: 0,
        rport: new.rport,
        raddr: new.raddr,
        pid_tgid: new.pid_tgid,
        allowed: new.allowed,
        reach: new.place.reach,
        last: [LastSegment { end_seq: 0, ack: 0, tsval: 0, tsecr: 0, window: 0, flags: 0 }; 2],
    };
    let done = SOCKETS.insert(id, socket, 0).is_ok();
    if !done {
        emit::count(Global::SocketsFull, 1);
    }
    done
}

/// The same socket connects again to the same remote (most often after a refusal): an attempt,
/// not another connection.
#[inline(always)]
fn again(cookie: u64, raddr: Addr, port: u32, pid_tgid: u64) -> bool {
    let Some(p) = SOCKETS.get_ptr_mut(cookie) else { return false };
    // SAFETY: a live map value.
    let socket = unsafe { &mut *p };
    if socket.raddr != raddr || socket.rport != port {
        return false;
    }
    socket.attempt += 1;
    socket.pid_tgid = pid_tgid;
    true
}

#[inline(always)]
pub fn next_slot() -> Option<u32> {
    let p = SLOT_NEXT.get_ptr_mut(0)?;
    // SAFETY: a live map value of 8 bytes.
    let slot = unsafe { atomic::fetch_add(p, 1) };
    if slot >= SLOTS_LEN.load() as u64 {
        emit::count(Global::SocketsFull, 1);
        return None;
    }
    Some(slot as u32)
}

/// Number of the connection among all of its app, from 1.
#[inline(always)]
pub fn next_of_app(app: u32) -> u32 {
    match APP_OPENED.get_ptr_mut(app & (MAX_APPS - 1)) {
        // SAFETY: a live map value of 8 bytes.
        Some(p) => (unsafe { atomic::fetch_add(p, 1) }) as u32 + 1,
        None => 1,
    }
}

#[inline(always)]
pub fn on_sock_ops(ctx: &SockOpsContext) {
    let op = ctx.op();
    if !matches!(
        op,
        TCP_CONNECT_CB | ACTIVE_ESTABLISHED_CB | PASSIVE_ESTABLISHED_CB | STATE_CB | LISTEN_CB
    ) {
        return;
    }
    let Some(network) = network(ctx.as_ptr()) else { return };
    // SAFETY: the helper takes the context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    match op {
        LISTEN_CB => return listen::listens(ctx, cookie, network),
        PASSIVE_ESTABLISHED_CB => listen::accepted(ctx, cookie, network),
        STATE_CB if ctx.arg(0) == TCP_LISTEN && ctx.arg(1) == TCP_CLOSE => {
            return listen::listens_no_more(cookie);
        }
        _ => {}
    }
    let Some(p) = SOCKETS.get_ptr_mut(cookie) else { return };
    select::adopt(p);
    // SAFETY: a live map value.
    let socket = unsafe { &mut *p };
    match op {
        TCP_CONNECT_CB | PASSIVE_ESTABLISHED_CB => bound(ctx, cookie, socket),
        ACTIVE_ESTABLISHED_CB => established(ctx, cookie, socket),
        _ => state(ctx, cookie, socket),
    }
}

/// Local and remote address of a sock_ops call.
#[inline(always)]
pub fn addresses(ctx: &SockOpsContext) -> (Addr, Addr) {
    let o: *mut bpf_sock_ops = ctx.ops;
    // SAFETY: readable context fields, one by one as in `on_connect6`.
    unsafe {
        if (*o).family == AF_INET {
            return (v4((*o).local_ip4), v4((*o).remote_ip4));
        }
        let word = |p: *const u32| p.read_volatile();
        (
            [
                word(&raw const (*o).local_ip6[0]),
                word(&raw const (*o).local_ip6[1]),
                word(&raw const (*o).local_ip6[2]),
                word(&raw const (*o).local_ip6[3]),
            ],
            [
                word(&raw const (*o).remote_ip6[0]),
                word(&raw const (*o).remote_ip6[1]),
                word(&raw const (*o).remote_ip6[2]),
                word(&raw const (*o).remote_ip6[3]),
            ],
        )
    }
}

/// The port is chosen and the SYN not yet sent: now the connection counts and gets its name (a
/// connect() that fails for want of a route never comes here), and from here on packets both
/// ways are recognised.
#[inline(always)]
fn bound(ctx: &SockOpsContext, cookie: u64, socket: &mut SocketEntry) {
    let (laddr, raddr) = addresses(ctx);
    let lport = ctx.local_port();
    let rport = u32::from_be(ctx.remote_port());
    let late = name(socket, IPPROTO_TCP, laddr, lport);
    opened(cookie, socket, IPPROTO_TCP, laddr, late);
    recognise(cookie, (laddr, lport), (raddr, rport), socket.state & SOCKET_HOME);
    // Failure leaves the socket without close events; the report then shows it as open.
    let _ = ctx.set_cb_flags(STATE_CB_FLAG);
    addressed(KIND_BOUND, cookie, socket, IPPROTO_TCP, (laddr, lport), raddr);
    if socket.state & SOCKET_ACCEPTED != 0 {
        established(ctx, cookie, socket);
    }
}

/// From here on packets of a TCP socket are recognised both ways.
#[inline(always)]
pub fn recognise(cookie: u64, local: (Addr, u32), remote: (Addr, u32), network: u32) {
    let tuple = Tuple {
        saddr: remote.0,
        daddr: local.0,
        sport: remote.1 as u16,
        dport: local.1 as u16,
        proto: IPPROTO_TCP as u32 | network,
    };
    if TUPLES.insert(tuple, cookie, 0).is_err() {
        emit::count(Global::SocketsFull, 1);
    }
    open_gate(local.1);
    // The control socket's replies on behalf of a closed socket: see classify::outgoing.
    open_gate(IPPROTO_TCP as u32);
}

/// Tells of a socket with both its addresses.
#[inline(always)]
pub fn addressed(
    kind: u8,
    cookie: u64,
    socket: &SocketEntry,
    proto: u8,
    local: (Addr, u32),
    raddr: Addr,
) {
    emit::socket_event(kind, &About::socket(cookie, socket), local.0, raddr, |ev| {
        ev.proto = proto;
        ev.lport = local.1 as u16;
        ev.flags = (socket.state & SOCKET_ACCEPTED != 0) as u8;
        ev.pid_tgid = socket.pid_tgid;
    });
}

/// Gives the socket its role, once; when it connects again after a close, its place back. Returns the
/// conditions of the selectors that the controller will ask.
#[inline(always)]
pub fn name(socket: &mut SocketEntry, proto: u8, laddr: Addr, lport: u32) -> u64 {
    if socket.state & SOCKET_LEFT != 0 {
        select::come_back(socket.role);
    }
    socket.state &= !(SOCKET_CLOSED | SOCKET_LEFT | SOCKET_ISN | SOCKET_IRS);
    if socket.state & SOCKET_PICKED != 0 {
        return 0;
    }
    socket.state |= SOCKET_PICKED;
    let (proto, app) = (proto as u32, socket.app);
    let (raddr, rport, pid_tgid) = (socket.raddr, socket.rport, socket.pid_tgid);
    let (allowed, accepted) = (socket.allowed, socket.state & SOCKET_ACCEPTED != 0);
    let connect = Connect { app, proto, laddr, lport, raddr, rport, pid_tgid, allowed, accepted };
    let picked = select::pick(&connect);
    let of_app = next_of_app(app);
    socket.nth = if picked.nth == 0 { of_app } else { picked.nth };
    socket.flow = picked.flow;
    socket.role = picked.role;
    if picked.awaited && picked.role == 0 && proto == IPPROTO_TCP as u32 {
        socket.state |= SOCKET_AWAITED;
    }
    picked.later
}

#[inline(always)]
pub fn opened(cookie: u64, socket: &SocketEntry, proto: u8, laddr: Addr, late: u64) {
    let about = About::socket(cookie, socket);
    emit::socket_event(KIND_OPENED, &about, laddr, socket.raddr, |ev| {
        ev.pid_tgid = socket.pid_tgid;
        ev.proto = proto;
        ev.len = socket.nth;
        ev.aux = socket.attempt;
        ev.seq = late as u32;
    });
}

#[inline(always)]
fn established(ctx: &SockOpsContext, cookie: u64, socket: &SocketEntry) {
    let (laddr, raddr) = addresses(ctx);
    let local = (laddr, ctx.local_port());
    addressed(KIND_ESTABLISHED, cookie, socket, IPPROTO_TCP, local, raddr);
}

#[inline(always)]
fn state(ctx: &SockOpsContext, cookie: u64, socket: &mut SocketEntry) {
    let o = ctx.ops;
    changed(cookie, socket, (ctx.arg(0), ctx.arg(1)), |ev| {
        // SAFETY: readable context fields.
        let (nxt, una, retrans) = unsafe { ((*o).snd_nxt, (*o).snd_una, (*o).total_retrans) };
        (ev.seq, ev.ack, ev.retrans) = (nxt, una, retrans);
    });
}

/// A TCP state gives way to another. When the app closes the socket it gives its role back: in an
/// outage TCP goes on with it for minutes, while the app has long opened the next one. The entry
/// stays even at the end: the RST of a close with unread data leaves after it.
#[inline(always)]
pub fn changed(
    cookie: u64,
    socket: &mut SocketEntry,
    (from, to): (u32, u32),
    fill: impl FnOnce(&mut Event),
) {
    if !matches!(to, TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSE) {
        return;
    }
    if socket.state & SOCKET_LEFT == 0 {
        socket.state |= SOCKET_LEFT;
        select::leave(socket.role);
    }
    if to != TCP_CLOSE || socket.state & SOCKET_CLOSED != 0 {
        return;
    }
    socket.state |= SOCKET_CLOSED;
    emit::event(KIND_CLOSED, 0, &About::socket(cookie, socket), |ev| {
        ev.proto = IPPROTO_TCP;
        ev.aux = from;
        fill(ev);
    });
}
