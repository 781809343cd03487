//! The way into the delay line and back. The line is a TAP device whose other end a thread of the
//! controller holds; what it needs to know of a packet stands in shared memory under the tag that
//! the packet carries. Whatever goes wrong here lets the packet pass.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::programs::TcContext;
use fault_common::line::{Back, TAGS};
use fault_common::rule::Direction;
use fault_common::stats::Global;

use crate::atomic;
use crate::classify::Owned;
use crate::ctx::Skb;
use crate::emit::count;
use crate::fq;
use crate::judge::{self, Judgement};
use crate::maps::{BACK, CONTROL, FQ, HANDED, LINE, TAG_NEXT, TRANSIT};
use crate::packet;

/// The packet is somebody else's: this device carries only what we put there.
pub const TC_ACT_SHOT: i32 = 2;
/// bpf.h: BPF_F_INGRESS.
const F_INGRESS: u64 = 1;

/// Bit of a way: the packet has no Ethernet header. For its way through the line it gets one, which
/// the redirect back takes off (__bpf_redirect_no_mac).
pub const BARE: u8 = 1 << 7;

/// Direction and [`BARE`] in one number: a BPF function has five arguments at most.
#[inline(always)]
pub fn way(dir: Direction, l2: u32) -> u8 {
    dir as u8 | if l2 == 0 { BARE } else { 0 }
}

/// Sends the packet into the line; `None` if it has to pass instead.
///
/// A function of its own for its stack frame.
#[inline(never)]
pub fn hand_over(skb: Skb, owned: &Owned, way: u8, judgement: &Judgement) -> Option<i32> {
    let dir = way & !BARE;
    let line = *CONTROL.get(LINE)? as u32;
    // The device goes with the process that holds it, however that ends; a redirect to a device
    // that is gone would be a black hole.
    if line == 0 || !skb.reaches(line) {
        count(Global::LineGone, 1);
        return None;
    }
    // SAFETY: a live map value of 8 bytes.
    let tag = unsafe { atomic::fetch_add(TAG_NEXT.get_ptr_mut(0)?, 1) } as u32 & (TAGS - 1);
    // SAFETY: live map values.
    let (socket, handed) = unsafe { (&*owned.socket, &mut *HANDED.get_ptr_mut(tag)?) };
    let facts = &owned.facts;
    // SAFETY: a helper without arguments.
    handed.ts = unsafe { bpf_ktime_get_ns() };
    handed.cookie = owned.cookie;
    handed.slot = socket.slot;
    handed.flow = socket.flow;
    handed.app = socket.app;
    handed.nth = socket.nth;
    handed.base = match (facts.is_tcp(), dir == Direction::Egress as u8) {
        // Minus the place of this datagram, whose header has no number.
        (false, _) => facts.seq.wrapping_neg(),
        (true, true) => socket.isn,
        (true, false) => socket.irs,
    };
    handed.ifindex = skb.ifindex();
    handed.mark = skb.mark();
    handed.tc_index = skb.tc_index();
    handed.priority = skb.priority();
    handed.retrans = if dir == Direction::Egress as u8 { skb.total_retrans() } else { 0 };
    handed.dir = dir as u32;
    handed.bank = judgement.bank;
    handed.segs = facts.segs;
    handed.wire_bytes = facts.wire_bytes as u32;
    handed.payload = facts.payload;
    let reach = if dir == Direction::Egress as u8 { socket.reach[0] } else { socket.reach[1] };
    handed.above = match facts.is_tcp() {
        true => (judge::whole_position(reach, facts.pos) >> 32) as u32,
        false => 0,
    };
    let transit = TRANSIT.get_ptr_mut(socket.slot * 2 + dir as u32)?;
    let bare = way & BARE != 0;
    if bare && !skb.make_room_for_ethernet() {
        count(Global::LineGone, 1);
        return None;
    }
    if (bare && !skb.write_ethertype()) || !skb.push_tag(tag as u16) {
        count(Global::LineGone, 1);
        // The header cannot be taken off again, and the packet's own device would take it for IP.
        return if bare { Some(packet::lose(direction(dir))) } else { None };
    }
    // SAFETY: a live map value; `handed` is its first 8 bytes.
    unsafe { atomic::fetch_add(transit.cast(), 1) };
    count(Global::Handed, 1);
    // SAFETY: a helper without pointer arguments.
    Some(unsafe { bpf_redirect(line, 0) } as i32)
}

#[inline(always)]
fn direction(dir: u8) -> Direction {
    if dir == 0 { Direction::Egress } else { Direction::Ingress }
}

/// On the line's own device: sends what comes out of it where its tag says.
#[inline(always)]
pub fn give_back(ctx: &TcContext) -> i32 {
    let skb = Skb::new(ctx);
    if FQ.load() != 0 {
        return fq::give_back(skb);
    }
    let Some(tag) = skb.vlan_tag() else { return TC_ACT_SHOT };
    let Some(back) = BACK.get(tag as u32) else { return TC_ACT_SHOT };
    if back.ifindex == 0 || !skb.pop_tag() || !skb.for_this_host() {
        return TC_ACT_SHOT;
    }
    send_back(skb, back)
}

/// Sends it where it was bound for.
#[inline(always)]
pub fn send_back(skb: Skb, back: &Back) -> i32 {
    skb.restore(back.mark, back.tc_index, back.priority);
    let flags = if back.dir == Direction::Ingress as u32 { F_INGRESS } else { 0 };
    // SAFETY: a helper without pointer arguments.
    (unsafe { bpf_redirect(back.ifindex, flags) }) as i32
}
