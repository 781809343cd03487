//! The TC programs' one path, for both directions.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::debug;
use fault_common::capture::{DID_DROP, DID_STALL};
use fault_common::rule::Direction;
use fault_common::stats::Global;

use crate::capture;
use crate::classify::{self, Owned};
use crate::ctx::Skb;
use crate::emit::count;
use crate::fq;
use crate::judge::{self, Judgement, Verdict};
use crate::line;
use crate::maps::{FQ, LOG_LEVEL};
use crate::segment;
use crate::told;

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

/// `lo` has this index in every network namespace (include/net/flow.h; loopback_net_init makes
/// sure).
const LOOPBACK_IFINDEX: u32 = 1;

/// Judges a packet whose link layer header has `l2` bytes, on an interface of the run's network namespace (0) or of
/// the second one (`SOCKET_HOME`).
#[inline(always)]
pub fn on_packet(ctx: &TcContext, dir: Direction, l2: u32, network: u32) -> i32 {
    let skb = Skb::new(ctx);
    let Some(mut owned) = classify::owner(skb, dir, l2, network) else { return TC_ACT_UNSPEC };
    if already_judged(skb, dir) {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let judgement = judge::judge(&mut owned, dir, now);
    if LOG_LEVEL.load() >= 4 {
        log(ctx, &owned, dir, &judgement);
    }
    segment::remember(skb, &owned, dir);
    // No id of a rule has the top bit. Not `!= NO_RULE`: see select::concerns.
    if judgement.rule >> 31 == 0 {
        let did = if judgement.verdict == Verdict::Drop { DID_DROP } else { DID_STALL };
        capture::keep(skb, &owned, line::way(dir, l2), judgement.rule, did);
    }
    if judgement.stalled && judgement.verdict != Verdict::Drop {
        if segment::close_window(skb, &owned) {
            judge::count_stalled(judgement.rule, owned.facts.segs);
        } else {
            count(Global::Unstalled, 1);
        }
    }
    if judgement.verdict == Verdict::Line && network != 0 {
        // The line is in the other one. A scenario that wants this is refused.
        count(Global::LineGone, 1);
    } else if judgement.verdict == Verdict::Line
        && let Some(code) = into_the_line(skb, &owned, line::way(dir, l2), &judgement)
    {
        // What becomes of it the line will tell.
        return code;
    }
    let dropped = judgement.verdict == Verdict::Drop;
    told::tell(skb, &owned, dir, dropped, judgement.rule);
    if dropped { lose(dir) } else { TC_ACT_UNSPEC }
}

/// Takes the mark off.
#[inline(always)]
pub fn forget(ctx: &TcContext) {
    Skb::new(ctx).set_tc_index(0);
}

#[inline(always)]
fn already_judged(skb: Skb, dir: Direction) -> bool {
    let bit = 1 << dir as u32;
    let index = skb.tc_index();
    let bits = if index & JUDGED_MASK == JUDGED { index & !JUDGED_MASK } else { 0 };
    skb.set_tc_index(JUDGED | bits | bit);
    bits & bit != 0
}

/// Lets a packet pass that flowfault itself sends with the addresses of a known socket. Towards a
/// local address it goes over `lo`, where the ingress program would take it for the peer's, so
/// there it counts as judged in both directions. Elsewhere not: the mark crosses a veth, and
/// another run at the far end judges what comes from the network.
///
/// Not skb->mark: policy routing and firewalls read that, and an app may set its own.
#[inline(always)]
pub fn exempt(skb: Skb) {
    if skb.ifindex() == LOOPBACK_IFINDEX {
        skb.set_tc_index(JUDGED | 1 << Direction::Egress as u32 | 1 << Direction::Ingress as u32);
    }
}

#[inline(always)]
fn into_the_line(skb: Skb, owned: &Owned, way: u8, judgement: &Judgement) -> Option<i32> {
    match FQ.load() {
        0 => line::hand_over(skb, owned, way, judgement),
        _ => fq::hand_over(skb, owned, way, judgement),
    }
}

/// The faithful loss of each direction.
#[inline(always)]
pub fn lose(dir: Direction) -> i32 {
    match dir {
        // SAFETY: a helper that takes plain numbers.
        Direction::Egress => (unsafe { bpf_redirect(BLACKHOLE_IFINDEX, 0) }) as i32,
        Direction::Ingress => TC_ACT_SHOT,
    }
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
        match judgement.verdict {
            Verdict::Pass => "passed",
            Verdict::Drop => "dropped",
            Verdict::Line => "into the line",
        },
    );
}
