//! Evidence of sends: how many bytes a call handed to a socket, and where they end in its
//! stream. Three hooks tell the same; userspace attaches the best that the kernel has.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_socket_cookie};
use aya_ebpf::programs::{BtfTracePointContext, FExitContext};
use fault_common::event::KIND_SEND;
use fault_common::table::SOCKET_DATAGRAM;

use crate::classify;
use crate::emit::{self, About};
use crate::maps::{
    OFF_FDT_FD, OFF_FILE_PRIVATE, OFF_FILES_FDT, OFF_REGS_FD, OFF_REGS_NR, OFF_SKC_COOKIE,
    OFF_SKC_NUM, OFF_SOCKET_FILE, OFF_SOCKET_SK, OFF_TASK_FILES, OFF_WRITE_SEQ, SOCKETS,
};
use crate::memory::read;
use crate::quiet;
use crate::select;

/// `sock_send_length(sk, ret, flags)`: every send, sendmsg, write, sendfile (6.3+).
#[inline(always)]
pub fn on_sock_send_length(ctx: &BtfTracePointContext) {
    let sk: u64 = ctx.arg(0);
    let ret: i32 = ctx.arg(1);
    if !classify::gate_open(read::<u16>(sk, OFF_SKC_NUM.load()) as u32) {
        return;
    }
    // SAFETY: sk is the tracepoint's own trusted argument.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.arg::<u64>(0) as *mut c_void) };
    on_send(sk, cookie, ret);
}

/// `tcp_sendmsg_locked(sk, msg, size) -> ret`, under the socket lock: exact with any number of
/// threads.
#[inline(always)]
pub fn on_tcp_sendmsg_locked(ctx: &FExitContext) {
    let sk: u64 = ctx.arg(0);
    let ret: i32 = ctx.arg(3);
    if !classify::gate_open(read::<u16>(sk, OFF_SKC_NUM.load()) as u32) {
        return;
    }
    on_send(sk, read::<u64>(sk, OFF_SKC_COOKIE.load()), ret);
}

/// `sys_exit(regs, ret)` of write, writev, sendto, sendmsg: fd -> file -> socket.
#[inline(always)]
pub fn on_sys_exit(ctx: &BtfTracePointContext) {
    let regs: u64 = ctx.arg(0);
    let ret: i64 = ctx.arg(1);
    // x86-64 numbers: write 1, writev 20, sendto 44, sendmsg 46.
    if !matches!(read::<u64>(regs, OFF_REGS_NR.load()), 1 | 20 | 44 | 46) {
        return;
    }
    let fd = read::<u64>(regs, OFF_REGS_FD.load()) as u32;
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
    on_send(sk, read::<u64>(sk, OFF_SKC_COOKIE.load()), ret as i32);
}

#[inline(always)]
fn on_send(sk: u64, cookie: u64, ret: i32) {
    let Some(p) = SOCKETS.get_ptr_mut(cookie) else { return };
    select::adopt(p);
    // SAFETY: a live map value.
    let socket = unsafe { &*p };
    // A UDP socket has no write_seq there; its datagrams are evidence by themselves.
    if socket.state & SOCKET_DATAGRAM != 0 {
        return;
    }
    let about = About::socket(cookie, socket);
    let end = read::<u32>(sk, OFF_WRITE_SEQ.load());
    emit::event(KIND_SEND, 0, &about, |ev| {
        ev.pid_tgid = bpf_get_current_pid_tgid();
        ev.seq = end;
        ev.ret = ret;
        quiet::carry(socket.slot, ev);
    });
}
