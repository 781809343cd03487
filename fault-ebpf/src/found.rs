//! Sockets that were open before the run: taken in one by one, on the controller's word, and watched
//! until they close.
//!
//! A program does it, run by the controller (BPF_PROG_TEST_RUN), because slots and the gate's bits are
//! handed out here while other sockets open: written from userspace they would be lost to a race.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::programs::BtfTracePointContext;
use fault_common::event::KIND_FOUND;
use fault_common::table::{SOCKET_FOUND, SOCKET_PICKED, TAKEN_BEFORE, TAKEN_IN, TAKEN_NONE};

use crate::datagram;
use crate::learn::{self, New};
use crate::listen;
use crate::maps::{FOUND, OFF_SND_NXT, OFF_SND_UNA, OFF_TOTAL_RETRANS, SOCKETS};
use crate::memory::read;
use crate::parse::IPPROTO_TCP;
use crate::select;

/// Takes in the socket that stands in `FOUND`; returns one of `TAKEN_*`.
#[inline(always)]
pub fn take_in() -> u32 {
    let Some(found) = FOUND.get(0) else { return TAKEN_NONE };
    if SOCKETS.get_ptr(found.cookie).is_some() {
        return TAKEN_BEFORE;
    }
    if found.proto != IPPROTO_TCP as u32 {
        return datagram::found(found);
    }
    let Some(slot) = learn::next_slot() else { return TAKEN_NONE };
    let new = New {
        slot,
        app: found.app,
        state: SOCKET_PICKED | SOCKET_FOUND | found.state,
        rport: found.rport,
        raddr: found.raddr,
        pid_tgid: found.pid_tgid,
        uid: found.uid,
        allowed: found.allowed,
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
    let local = (found.laddr, found.lport);
    // Told before its packets are: a gate that opened first would let theirs come before.
    learn::addressed(KIND_FOUND, found.cookie, socket, IPPROTO_TCP, local, found.raddr);
    learn::recognise(found.cookie, local, (found.raddr, found.rport), 0);
    TAKEN_IN
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
