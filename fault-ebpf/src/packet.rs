//! The TC programs' one path, for both directions.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::debug;
use fault_common::event::{KIND_RX, KIND_TX, VERDICT_DROP, VERDICT_PASS, tcp};
use fault_common::rule::Direction;

use crate::classify::{self, Owned};
use crate::ctx::Skb;
use crate::emit::{self, About};
use crate::judge::{self, Judgement};
use crate::maps::LOG_LEVEL;

/// "No opinion": with TCX and with clsact the packet goes on.
const TC_ACT_UNSPEC: i32 = -1;
const TC_ACT_SHOT: i32 = 2;

/// An interface that does not exist. Redirecting there loses the packet *after* the local TCP
/// was told that it went out: in flight, then lost, as in a real network. TC_ACT_SHOT at egress
/// returns NET_XMIT_DROP instead, and TCP acts as if it had never sent (no RTO, no retransmit).
const BLACKHOLE_IFINDEX: u32 = 0x7fff_ffff;

/// Marks in `tc_index` that a packet was judged in a direction: on stacked devices (bridge,
/// VLAN, bond) the same packet passes several hooks, and a probability must hold once.
const JUDGED: u32 = 0xf1a0;
const JUDGED_MASK: u32 = 0xfffc;

/// Judges a packet whose link layer header has `l2` bytes.
#[inline(always)]
pub fn on_packet(ctx: &TcContext, dir: Direction, l2: u32) -> i32 {
    let skb = Skb::new(ctx);
    let Some(owned) = classify::owner(skb, dir, l2) else { return TC_ACT_UNSPEC };
    if already_judged(skb, dir) {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let judgement = judge::judge(&owned, dir, now);
    tell(skb, &owned, dir, &judgement);
    if LOG_LEVEL.load() >= 4 {
        log(ctx, &owned, dir, &judgement);
    }
    if judgement.dropped { lose(dir) } else { TC_ACT_UNSPEC }
}

#[inline(always)]
fn already_judged(skb: Skb, dir: Direction) -> bool {
    let bit = 1 << dir as u32;
    let index = skb.tc_index();
    let bits = if index & JUDGED_MASK == JUDGED { index & !JUDGED_MASK } else { 0 };
    skb.set_tc_index(JUDGED | bits | bit);
    bits & bit != 0
}

/// The faithful loss of each direction.
#[inline(always)]
fn lose(dir: Direction) -> i32 {
    match dir {
        // SAFETY: a helper that takes plain numbers.
        Direction::Egress => (unsafe { bpf_redirect(BLACKHOLE_IFINDEX, 0) }) as i32,
        Direction::Ingress => TC_ACT_SHOT,
    }
}

/// Emits what the ledger needs: bytes that move, acks that advance, and every fault.
#[inline(always)]
fn tell(skb: Skb, owned: &Owned, dir: Direction, judgement: &Judgement) {
    // SAFETY: a live map value.
    let socket = unsafe { &mut *owned.socket };
    let facts = &owned.facts;
    let control = facts.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0;
    let acks = facts.flags & tcp::ACK != 0;
    let news = match dir {
        Direction::Egress => facts.payload > 0,
        Direction::Ingress => acks && facts.ack != socket.last_ack,
    };
    if !(news || control || judgement.dropped) {
        return;
    }
    let (kind, lport, rport) = match dir {
        Direction::Egress => (KIND_TX, facts.tuple.sport, facts.tuple.dport),
        Direction::Ingress => (KIND_RX, facts.tuple.dport, facts.tuple.sport),
    };
    // Without the flag the field means nothing (RFC 9293, 3.1).
    if matches!(dir, Direction::Ingress) && acks && !judgement.dropped {
        socket.last_ack = facts.ack;
    }
    let retrans = match dir {
        Direction::Egress => skb.total_retrans(),
        Direction::Ingress => 0,
    };
    emit::event(kind, dir as u8, &About::socket(owned.cookie, socket), |ev| {
        ev.verdict = if judgement.dropped { VERDICT_DROP } else { VERDICT_PASS };
        ev.flags = facts.flags;
        ev.proto = facts.tuple.proto as u8;
        ev.segs = facts.segs as u16;
        ev.rule = judgement.rule;
        ev.seq = facts.seq;
        ev.len = facts.payload;
        ev.ack = facts.ack;
        ev.lport = lport;
        ev.rport = rport;
        ev.ifindex = skb.ifindex();
        ev.retrans = retrans;
    });
}

/// Apart, so that its stack is not part of every packet's.
#[inline(never)]
fn log(ctx: &TcContext, owned: &Owned, dir: Direction, judgement: &Judgement) {
    let facts = &owned.facts;
    // SAFETY: a helper without arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    debug!(
        ctx,
        "cpu {} cookie {} dir {} flags {:x} seq {} len {} ack {} segs {}: {}",
        cpu,
        owned.cookie,
        dir as u8,
        facts.flags,
        facts.seq,
        facts.payload,
        facts.ack,
        facts.segs,
        if judgement.dropped { "dropped" } else { "passed" },
    );
}
