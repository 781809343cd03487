//! flowfault's eBPF programs: entry points only. The path of a packet is
//! `packet` -> `classify` (whose is it) -> `judge` (what becomes of it) -> `emit` (what is told).
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "atomics that return the old value have no stable spelling for BPF"
)]

mod atomic;
mod classify;
mod ctx;
mod emit;
mod judge;
mod learn;
mod maps;
mod marker;
mod packet;
mod parse;
mod select;
mod send;

use aya_ebpf::macros::{
    btf_tracepoint, cgroup_sock_addr, classifier, fexit, sock_ops, socket_filter,
};
use aya_ebpf::programs::{
    BtfTracePointContext, FExitContext, SkBuffContext, SockAddrContext, SockOpsContext, TcContext,
};
use fault_common::rule::Direction;

/// Length of an Ethernet header; devices without one (tun, wireguard) use the `_l3` programs.
const ETH_HLEN: u32 = 14;

#[classifier]
pub fn egress_l2(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, ETH_HLEN)
}

#[classifier]
pub fn ingress_l2(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, ETH_HLEN)
}

#[classifier]
pub fn egress_l3(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Egress, 0)
}

#[classifier]
pub fn ingress_l3(ctx: TcContext) -> i32 {
    packet::on_packet(&ctx, Direction::Ingress, 0)
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

#[btf_tracepoint(function = "sock_send_length")]
pub fn send_length(ctx: BtfTracePointContext) -> i32 {
    send::on_sock_send_length(&ctx);
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
