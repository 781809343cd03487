//! Evidence of sends: how many bytes a call handed to a socket, and where they end in its
//! stream. Three hooks tell the same; userspace attaches the best that the kernel has.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_socket_cookie};
use aya_ebpf::programs::{BtfTracePointContext, FExitContext};
use fault_common::event::{KIND_MULTIPATH, KIND_SEND, NO_FLOW, NO_RULE, SEND_LAYERED, SEND_PLACED};
use fault_common::table::SOCKET_DATAGRAM;

use crate::chunk;
use crate::classify;
use crate::emit::{self, About};
use crate::learn;
use crate::maps::{
    OFF_FDT_FD, OFF_FILE_PRIVATE, OFF_FILES_FDT, OFF_REGS_FD, OFF_REGS_FD_OUT, OFF_REGS_NR,
    OFF_SK_PROTOCOL, OFF_SKC_COOKIE, OFF_SKC_NUM, OFF_SOCKET_FILE, OFF_SOCKET_SK, OFF_TASK_FILES,
    OFF_ULP_OPS, OFF_WRITE_SEQ, SOCKETS,
};
use crate::memory::read;
use crate::quiet;
use crate::select;

/// linux/in.h.
const IPPROTO_MPTCP: u16 = 262;

/// `sock_send_length(sk, ret, flags)`: every send, sendmsg, write, sendfile (6.3+).
#[inline(always)]
pub fn on_sock_send_length(ctx: &BtfTracePointContext) {
    let sk: u64 = ctx.arg(0);
    let ret: i32 = ctx.arg(1);
    if !classify::gate_open(read::<u16>(sk, OFF_SKC_NUM.load()) as u32) {
        return;
    }
    let placed = chunk::returned(sk, ret);
    // SAFETY: sk is the tracepoint's own trusted argument.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.arg::<u64>(0) as *mut c_void) };
    on_send(sk, cookie, ret, placed);
}

/// `tcp_sendmsg_locked(sk, msg, size) -> ret`, under the socket lock: exact with any number of
/// threads, unless a call waits for room while another one writes.
#[inline(always)]
pub fn on_tcp_sendmsg_locked(ctx: &FExitContext) {
    let sk: u64 = ctx.arg(0);
    let ret: i32 = ctx.arg(3);
    if !classify::gate_open(read::<u16>(sk, OFF_SKC_NUM.load()) as u32) {
        return;
    }
    let placed = chunk::returned(sk, ret);
    on_send(sk, read::<u64>(sk, OFF_SKC_COOKIE.load()), ret, placed);
}

/// `sys_exit(regs, ret)` of write, writev, sendfile, sendto, sendmsg, splice: fd -> file -> socket.
#[inline(always)]
pub fn on_sys_exit(ctx: &BtfTracePointContext) {
    let regs: u64 = ctx.arg(0);
    let ret: i64 = ctx.arg(1);
    // x86-64 numbers: write 1, writev 20, sendfile 40, sendto 44, sendmsg 46, splice 275. (What sendmmsg, 307, returns
    // is a number of messages.)
    let off = match read::<u64>(regs, OFF_REGS_NR.load()) {
        1 | 20 | 40 | 44 | 46 => OFF_REGS_FD.load(),
        275 => OFF_REGS_FD_OUT.load(),
        _ => return,
    };
    let fd = read::<u64>(regs, off) as u32;
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let files = read::<u64>(task, OFF_TASK_FILES.load());
    let fdt = read::<u64>(files, OFF_FILES_FDT.load());
    let table = read::<u64>(fdt, OFF_FDT_FD.load());
    let file = read::<u64>(table, fd.wrapping_mul(8));
    if file == 0 {
        return;
    }
    // private_data is a socket only if that socket points back to the file.
    let socket = read::<u64>(file, OFF_FILE_PRIVATE.load());
    if socket == 0 || read::<u64>(socket, OFF_SOCKET_FILE.load()) != file {
        return;
    }
    let sk = read::<u64>(socket, OFF_SOCKET_SK.load());
    on_send(sk, read::<u64>(sk, OFF_SKC_COOKIE.load()), ret as i32, None);
}

#[inline(always)]
fn on_send(sk: u64, cookie: u64, ret: i32, placed: Option<(u32, u32)>) {
    let Some(p) = SOCKETS.get_ptr_mut(cookie) else { return unknown(sk) };
    select::adopt(p);
    // SAFETY: a live map value.
    let socket = unsafe { &*p };
    // A UDP socket has no write_seq there; its datagrams are evidence by themselves.
    if socket.state & SOCKET_DATAGRAM != 0 {
        return;
    }
    let about = About::socket(cookie, socket);
    let (start, end, flags) = match placed {
        Some((start, end)) => (start, end, SEND_PLACED),
        None => (NO_RULE, read::<u32>(sk, OFF_WRITE_SEQ.load()), 0),
    };
    let layered = if read::<u64>(sk, OFF_ULP_OPS.load()) == 0 { 0 } else { SEND_LAYERED };
    let caller = bpf_get_current_pid_tgid();
    // Whoever opened it mostly sends on it, too; otherwise it was inherited or handed over.
    let other = if caller >> 32 == socket.pid_tgid >> 32 {
        0
    } else {
        learn::current_app().filter(|app| *app != socket.app).map_or(0, |app| app + 1)
    };
    emit::event(KIND_SEND, 0, &about, |ev| {
        ev.pid_tgid = caller;
        ev.seq = end;
        ev.rule = start;
        ev.flags = flags | layered;
        ev.verdict = other as u8;
        ev.ret = ret;
        quiet::carry(socket.slot, ev);
    });
}

/// A socket of a port that an app uses, and not the app's own there: of MPTCP, the one that the app has. Those below
/// it are known, carry parts of it, and never see its calls.
#[inline(always)]
fn unknown(sk: u64) {
    if read::<u16>(sk, OFF_SK_PROTOCOL.load()) != IPPROTO_MPTCP {
        return;
    }
    let Some(app) = learn::current_app() else { return };
    emit::event(KIND_MULTIPATH, 0, &About::flow(NO_FLOW, app), |ev| {
        ev.pid_tgid = bpf_get_current_pid_tgid();
        ev.lport = read::<u16>(sk, OFF_SKC_NUM.load());
    });
}
