//! Who listens where, of apps whose accepted connections a flow may mean: a handshake that the peer began ends in no
//! process's context, and the listening address tells whose the connection is.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::programs::SockOpsContext;
use fault_common::stats::Global;
use fault_common::table::{Listener, ListenerKey, Listens, MAX_APPS, SOCKET_ACCEPTED, v4};

use crate::atomic;
use crate::condition;
use crate::emit;
use crate::learn::{self, New, Place};
use crate::maps::{ACCEPTING, LISTENERS, LISTENING, LISTENS};

/// listen(), in the context of the process that calls it.
#[inline(always)]
pub fn begins_to_listen(cookie: u64) {
    let Some(app) = learn::current_app() else { return };
    if ACCEPTING.load() & 1 << (app & (MAX_APPS - 1)) == 0 {
        return;
    }
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let allowed = condition::by_caller(bpf_get_current_uid_gid() as u32);
    if LISTENS.insert(cookie, Listens { app, pid, allowed }, 0).is_err() {
        emit::count(Global::SocketsFull, 1);
    }
}

/// The same call, once its address is chosen: from now on it is known whose connections are that are accepted there.
#[inline(always)]
pub fn listens(ctx: &SockOpsContext, cookie: u64, network: u32) {
    let Some(p) = LISTENS.get_ptr(cookie) else { return };
    // SAFETY: a live map value, copied before it goes.
    let Listens { app, pid, allowed } = unsafe { *p };
    let _ = LISTENS.remove(cookie);
    let (laddr, _) = learn::addresses(ctx);
    let any = laddr == [0; 4] || laddr == v4(0);
    let addr = if any { [0; 4] } else { laddr };
    let key = ListenerKey { addr, port: ctx.local_port() | network << 8 };
    // A second listen() on the same socket only changes its backlog.
    if LISTENING.get_ptr(cookie).is_some() {
        return;
    }
    let known = match LISTENERS.get_ptr_mut(key) {
        Some(p) => {
            // SAFETY: a live map value; its count is changed by atomics only.
            unsafe { atomic::fetch_add(&raw mut (*p).sockets, 1) };
            true
        }
        None => LISTENERS.insert(key, Listener { app, pid, sockets: 1, allowed }, 0).is_ok(),
    };
    if !known || LISTENING.insert(cookie, key, 0).is_err() {
        emit::count(Global::SocketsFull, 1);
    }
    // What it accepts inherits this (tcp_create_openreq_child), as its own callback asks for anyway.
    let _ = ctx.set_cb_flags(learn::STATE_CB_FLAG);
}

/// A listening socket is closed: the address may be somebody else's.
#[inline(always)]
pub fn listens_no_more(cookie: u64) {
    let Some(key) = LISTENING.get_ptr(cookie) else { return };
    // SAFETY: a live map value, copied before it goes.
    let key = unsafe { *key };
    let _ = LISTENING.remove(cookie);
    let Some(p) = LISTENERS.get_ptr_mut(key) else { return };
    // SAFETY: a live map value; the word wraps around on purpose.
    let before = unsafe { atomic::fetch_add(&raw mut (*p).sockets, u64::MAX) };
    if before <= 1 {
        let _ = LISTENERS.remove(key);
    }
}

/// Notes a socket whose handshake the peer began, if an app listens there. Its own SYN-ACK has left.
#[inline(always)]
pub fn accepted(ctx: &SockOpsContext, cookie: u64, network: u32) {
    let (laddr, raddr) = learn::addresses(ctx);
    let port = ctx.local_port() | network << 8;
    let listener = |addr| {
        // SAFETY: a live map value.
        LISTENERS.get_ptr(ListenerKey { addr, port }).map(|p| unsafe { *p })
    };
    let Some(whose) = listener(laddr).or_else(|| listener([0; 4])) else { return };
    let Some(slot) = learn::next_slot() else { return };
    let (app, pid_tgid, allowed) = (whose.app, (whose.pid as u64) << 32, whose.allowed);
    let rport = u32::from_be(ctx.remote_port());
    let state = SOCKET_ACCEPTED | network;
    let place = Place::START;
    learn::register(
        cookie,
        &New { slot, app, state, rport, raddr, pid_tgid, uid: 0, allowed, place },
    );
}
