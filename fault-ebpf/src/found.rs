//! Sockets that were open before the run: taken in one by one, on the controller's word, and watched
//! until they close.
//!
//! A program does it, because slots and the gate's bits are handed out here while other sockets open: written from
//! userspace they would be lost to a race. `snapshot` calls it where a socket's numbers can be read; elsewhere the
//! controller does (BPF_PROG_TEST_RUN).

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::programs::BtfTracePointContext;
use fault_common::event::KIND_FOUND;
use fault_common::table::{
    Found, SOCKET_ACCEPTED, SOCKET_FOUND, SOCKET_HOME, SOCKET_IRS, SOCKET_ISN, SOCKET_PICKED,
    SOCKET_WHOLE, SocketEntry, TAKEN_BEFORE, TAKEN_IN, TAKEN_NONE,
};

use crate::datagram;
use crate::emit::{self, About};
use crate::learn::{self, New, Place};
use crate::listen;
use crate::maps::{FOUND, OFF_SND_NXT, OFF_SND_UNA, OFF_TOTAL_RETRANS, SOCKETS};
use crate::memory::read;
use crate::parse::IPPROTO_TCP;
use crate::select;
use crate::snapshot::Snapshot;

/// Takes in a socket that stands in `FOUND`, with what is known of its streams.
#[inline(always)]
pub fn take_in(cookie: u64, snapshot: Option<Snapshot>) {
    let Some(p) = FOUND.get_ptr_mut(cookie) else { return };
    // SAFETY: a live map value, which the controller leaves alone meanwhile.
    let found = unsafe { &mut *p };
    found.taken = taken(found, snapshot);
}

#[inline(always)]
fn taken(found: &Found, snapshot: Option<Snapshot>) -> u32 {
    if SOCKETS.get_ptr(found.cookie).is_some() {
        return TAKEN_BEFORE;
    }
    if found.proto != IPPROTO_TCP as u32 && found.state & SOCKET_WHOLE != 0 {
        return datagram::whole(found);
    }
    if found.proto != IPPROTO_TCP as u32 {
        return datagram::found(found);
    }
    let Some(slot) = learn::next_slot() else { return TAKEN_NONE };
    let known = if snapshot.is_some() { SOCKET_ISN | SOCKET_IRS } else { 0 };
    let new = New {
        slot,
        app: found.app,
        state: SOCKET_PICKED | SOCKET_FOUND | found.state | known,
        rport: found.rport,
        raddr: found.raddr,
        pid_tgid: found.pid_tgid,
        uid: found.uid,
        allowed: found.allowed,
        // Before anybody can find it: a packet that comes first would begin to count.
        place: snapshot.as_ref().map_or(Place::START, Snapshot::place),
    };
    if !learn::register(found.cookie, &new) {
        return TAKEN_NONE;
    }
    let Some(p) = SOCKETS.get_ptr_mut(found.cookie) else { return TAKEN_NONE };
    // SAFETY: a live map value.
    let socket = unsafe { &mut *p };
    socket.nth = learn::next_of_app(found.app);
    socket.flow = found.flow;
    socket.role = found.role;
    select::found(found.role);
    // Told before its packets are: a gate that opened first would let theirs come before.
    tell(found, socket, snapshot);
    let local = (found.laddr, found.lport);
    let network = found.state & SOCKET_HOME;
    learn::recognise(found.cookie, local, (found.raddr, found.rport), network);
    TAKEN_IN
}

#[inline(always)]
fn tell(found: &Found, socket: &SocketEntry, snapshot: Option<Snapshot>) {
    let about = About::socket(found.cookie, socket);
    emit::socket_event(KIND_FOUND, &about, found.laddr, found.raddr, |ev| {
        ev.proto = IPPROTO_TCP;
        ev.lport = found.lport as u16;
        ev.flags = (socket.state & SOCKET_ACCEPTED != 0) as u8;
        ev.pid_tgid = socket.pid_tgid;
        if let Some(s) = snapshot {
            ev.verdict = 1;
            ev.seq = s.isn;
            ev.len = s.written as u32;
            ev.ret = (s.written >> 32) as i32;
            ev.ack = s.unacked;
            ev.aux = s.unsent;
        }
    });
}

/// `inet_sock_set_state(sk, oldstate, newstate)`: the callback of sock_ops has to be asked for in another
/// callback of the same socket, and those of an open one never come. That somebody begins to listen is told here in the
/// context of listen(), of which sock_ops may not ask whose it is before Linux 6.10.
#[inline(always)]
pub fn on_state(ctx: &BtfTracePointContext) {
    // SAFETY: sk is the tracepoint's own trusted argument.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.arg::<u64>(0) as *mut c_void) };
    match (ctx.arg::<i32>(1) as u32, ctx.arg::<i32>(2) as u32) {
        // Not to SYN_RECV: a new connection begins as a copy of the listener, on older kernels with its cookie
        // (inet_csk_clone_lock).
        (learn::TCP_LISTEN, learn::TCP_CLOSE) => return listen::listens_no_more(cookie),
        (_, learn::TCP_LISTEN) => return listen::begins_to_listen(cookie),
        _ => {}
    }
    let Some(p) = SOCKETS.get_ptr_mut(cookie) else { return };
    // SAFETY: a live map value.
    let socket = unsafe { &mut *p };
    if socket.state & SOCKET_FOUND == 0 {
        return;
    }
    let sk: u64 = ctx.arg(0);
    let (from, to): (i32, i32) = (ctx.arg(1), ctx.arg(2));
    learn::changed(cookie, socket, (from as u32, to as u32), |ev| {
        ev.seq = read::<u32>(sk, OFF_SND_NXT.load());
        ev.ack = read::<u32>(sk, OFF_SND_UNA.load());
        ev.retrans = read::<u32>(sk, OFF_TOTAL_RETRANS.load());
    });
}
