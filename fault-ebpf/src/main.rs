//! flowfault's eBPF programs: entry points only. The path of a packet is
//! `packet` -> `classify` (whose is it) -> `judge` (what becomes of it) -> `emit` (what is told),
//! and -> `line` for what the delay line does to it.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "atomics that return the old value have no stable spelling for BPF"
)]

mod atomic;
mod capture;
mod children;
mod chunk;
mod classify;
mod condition;
mod ctx;
mod datagram;
mod emit;
mod found;
mod fq;
mod hello;
mod judge;
mod learn;
mod line;
mod listen;
mod maps;
mod marker;
mod memory;
mod packet;
mod parse;
mod quiet;
mod segment;
mod select;
mod send;
mod snapshot;
mod told;

use aya_ebpf::macros::{
    btf_tracepoint, cgroup_skb, cgroup_sock, cgroup_sock_addr, classifier, fexit, sock_ops,
    socket_filter,
};
use aya_ebpf::programs::{
    BtfTracePointContext, FExitContext, SkBuffContext, SockAddrContext, SockContext,
    SockOpsContext, TcContext,
};
use fault_common::rule::Direction;
use fault_common::table::SOCKET_HOME;

/// Length of an Ethernet header; devices without one (tun, wireguard) use the `_l3` programs.
const ETH_HLEN: u32 = 14;

#[classifier]
pub fn egress_l2(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, ETH_HLEN, 0)
}

#[classifier]
pub fn ingress_l2(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, ETH_HLEN, 0)
}

#[classifier]
pub fn egress_l3(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, 0, 0)
}

#[classifier]
pub fn ingress_l3(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, 0, 0)
}

/// For tests that show the same packet many times: what marks it as judged is taken off first.
#[classifier]
pub fn ingress_again(ctx: TcContext) -> i32 {
    packet::forget(&ctx);
    packet::on_packet(&ctx, Direction::Ingress, ETH_HLEN, 0)
}

// The same in the run's second network namespace.

#[classifier]
pub fn egress_l2_home(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, ETH_HLEN, SOCKET_HOME)
}

#[classifier]
pub fn ingress_l2_home(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, ETH_HLEN, SOCKET_HOME)
}

#[classifier]
pub fn egress_l3_home(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, 0, SOCKET_HOME)
}

#[classifier]
pub fn ingress_l3_home(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, 0, SOCKET_HOME)
}

/// On the delay line's device.
#[classifier]
pub fn line_return(ctx: TcContext) -> i32 {
    line::give_back(&ctx)
}

/// On the far end of the veth pair whose near end has fq: sends what fq let go back to the near
/// end, into the network namespace that it came from.
#[classifier]
pub fn line_bounce(ctx: TcContext) -> i32 {
    fq::bounce(&ctx)
}

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    learn::on_connect4(&ctx);
    1
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    learn::on_connect6(&ctx);
    1
}

#[sock_ops]
pub fn socket_state(ctx: SockOpsContext) -> u32 {
    learn::on_sock_ops(&ctx);
    1
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    datagram::on_sendmsg4(&ctx);
    1
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    datagram::on_sendmsg6(&ctx);
    1
}

/// The apps' packets on their way out, before TC.
#[cgroup_skb(egress)]
pub fn datagram_out(ctx: SkBuffContext) -> i32 {
    datagram::on_datagram(&ctx);
    1
}

/// The same, for flows that are picked by what is said first.
#[cgroup_skb(egress)]
pub fn hello_heard(ctx: SkBuffContext) -> i32 {
    hello::listen(&ctx);
    1
}

/// Attached after it.
#[cgroup_skb(egress)]
pub fn hello_known(ctx: SkBuffContext) -> i32 {
    hello::understand(&ctx);
    1
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    datagram::on_release(&ctx);
    1
}

/// Run by the controller; the "packet" is the cookie of the socket that is meant.
#[classifier]
pub fn take_in(ctx: TcContext) -> i32 {
    if let Ok(cookie) = ctx.load::<u64>(ETH_HLEN as usize) {
        found::take_in(cookie, None);
    }
    0
}

/// Walks all TCP sockets of a network namespace. aya-ebpf has no macro for iterators.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub fn take_in_all(ctx: *mut snapshot::IterTcp) -> i32 {
    snapshot::on_socket(ctx);
    0
}

/// Run by the controller, for the slot in the packet.
#[classifier]
pub fn tell_rest(ctx: TcContext) -> i32 {
    quiet::tell_rest(&ctx);
    0
}

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn found_state(ctx: BtfTracePointContext) -> i32 {
    found::on_state(&ctx);
    0
}

#[btf_tracepoint(function = "sched_process_fork")]
pub fn child_forked(ctx: BtfTracePointContext) -> i32 {
    children::on_fork(&ctx);
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
pub fn child_exited(ctx: BtfTracePointContext) -> i32 {
    children::on_exit(&ctx);
    0
}

#[btf_tracepoint(function = "sock_send_length")]
pub fn send_length(ctx: BtfTracePointContext) -> i32 {
    send::on_sock_send_length(&ctx);
    0
}

#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub fn send_chunk(ctx: BtfTracePointContext) -> i32 {
    chunk::on_chunk(&ctx);
    0
}

#[fexit(function = "tcp_sendmsg_locked")]
pub fn send_fexit(ctx: FExitContext) -> i32 {
    send::on_tcp_sendmsg_locked(&ctx);
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub fn send_sys_exit(ctx: BtfTracePointContext) -> i32 {
    send::on_sys_exit(&ctx);
    0
}

/// On flowfault's end of an app's stdout or stderr: runs inside the app's own write().
#[socket_filter]
pub fn output_marker(ctx: SkBuffContext) -> i64 {
    marker::on_write(&ctx);
    // -1: keep the whole message.
    -1
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier refuses a program with a path to it that it cannot prune.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
