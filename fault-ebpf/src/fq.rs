//! The way into the qdisc fq and back. The decision is made here; fq, on the near end of a veth
//! pair, keeps the packet until its time. What comes out crosses to the far end, is sent back by
//! [`bounce`], and arrives at the near end's ingress ([`give_back`]).

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::programs::TcContext;
use fault_common::capture::DID_HOLD;
use fault_common::decide;
use fault_common::event::NO_RULE;
use fault_common::line::{Back, TAGS, Transit, Waiting, wait};
use fault_common::rule::{CHAIN_LEN, Direction, MAX_FLOWS, chain_index};
use fault_common::stats::Global;

use crate::atomic;
use crate::capture;
use crate::classify::Owned;
use crate::ctx::Skb;
use crate::emit::{self, count};
use crate::judge::{self, Judgement, NO_BANK};
use crate::line::{BARE, TC_ACT_SHOT, send_back};
use crate::maps::{
    CHAIN_TABLE, CONTROL, EPOCH, HOLD, LINE, SLOTS, TAG_NEXT, TRANSIT, WAITING, WAITS,
};
use crate::packet;
use crate::told;

/// Tags that are tried. They are given out in turn, so one that is taken is of a packet that is
/// held for longer than others.
const TRIES: u32 = 4;

/// Sends the packet to fq; `None` if it has to pass instead.
///
/// A function of its own for its stack frame.
#[inline(never)]
pub fn hand_over(skb: Skb, owned: &Owned, way: u8, judgement: &Judgement) -> Option<i32> {
    let dir = way & !BARE;
    let direction = if dir == 0 { Direction::Egress } else { Direction::Ingress };
    let line = *CONTROL.get(LINE)? as u32;
    // The pair goes with the process that holds the far end's network namespace.
    if line == 0 || way & BARE != 0 || !skb.reaches(line) {
        gone(judgement);
        return None;
    }
    // SAFETY: a live map value.
    let slot = unsafe { (*owned.socket).slot };
    let (ns, rule) = held(owned, direction, judgement);
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let transit = TRANSIT.get_ptr_mut(slot * 2 + dir as u32)?;
    let bytes = skb.len();
    let Some((tag, waiting)) = room(bytes, now) else {
        return Some(overflow(skb, owned, direction));
    };
    // SAFETY: a live map value; of two CPUs with one connection either is the later one.
    let due = unsafe { (*transit).release(*CONTROL.get(EPOCH)?, now, ns) };
    waiting.bytes = bytes;
    waiting.back = Back {
        ifindex: skb.ifindex(),
        dir: dir as u32,
        mark: skb.mark(),
        tc_index: skb.tc_index(),
        priority: skb.priority(),
        _pad: 0,
    };
    if rule >> 31 == 0 {
        capture::keep(skb, owned, way, rule, DID_HOLD);
    }
    told::note(&mut waiting.event, skb, owned, direction, rule);
    waiting.event.aux = ((due - now) / 1000) as u32;
    // fq lets packets of TC_PRIO_CONTROL go at once, whatever their time (fq_classify).
    skb.set_priority(0);
    if !skb.deliver_at(due) || !skb.push_tag(tag as u16) {
        skb.set_priority(waiting.back.priority);
        leave(waiting);
        gone(judgement);
        return None;
    }
    let news = told::is_news(owned, direction, false, rule);
    waiting.untold = (news && dir != 0) as u32;
    waiting.due = due;
    // SAFETY: a live map value; `handed` is its first 8 bytes.
    unsafe { atomic::fetch_add(transit.cast(), 1) };
    // Before it goes: it may be back before this ends.
    if news && dir == 0 {
        emit::written(&waiting.event);
    }
    count_held(slot * 2 + dir as u32, rule, owned.facts.segs);
    Some(go(skb, line, direction, waiting))
}

/// For how long the live delays hold it, and the id of the first of them.
#[inline(always)]
fn held(owned: &Owned, dir: Direction, judgement: &Judgement) -> (u64, u32) {
    let (mut ns, mut rule) = (0, NO_RULE);
    // SAFETY: a live map value.
    let flow = unsafe { (*owned.socket).flow };
    if judgement.bank == NO_BANK || flow >= MAX_FLOWS {
        return (ns, rule);
    }
    let Some(chain) = CHAIN_TABLE.get(chain_index(judgement.bank as u64, flow, dir)) else {
        return (ns, rule);
    };
    let facts = &owned.facts;
    let classes = decide::classes(facts.is_tcp(), facts.flags, facts.payload > 0);
    let mut i = 0;
    while i < CHAIN_LEN {
        let more = decide::held(chain, i, classes);
        if more > 0 {
            judge::count_delayed(chain.rules[i].id, facts.segs);
            if ns == 0 {
                rule = chain.rules[i].id;
            }
        }
        ns += more;
        i += 1;
    }
    (ns, rule)
}

/// A tag that nothing has, and room for so many bytes.
#[inline(always)]
fn room(bytes: u32, now: u64) -> Option<(u32, &'static mut Waiting)> {
    let (tag, waiting) = free_tag(now)?;
    let held = add(wait::HELD, bytes as u64) + bytes as u64;
    if held > *CONTROL.get(HOLD)? {
        add(wait::HELD, (bytes as u64).wrapping_neg());
        return None;
    }
    add(wait::WAITING, 1);
    raise(wait::MOST_HELD, held);
    Some((tag, waiting))
}

#[inline(always)]
fn free_tag(now: u64) -> Option<(u32, &'static mut Waiting)> {
    let mut tries = 0;
    while tries < TRIES {
        // SAFETY: a live map value of 8 bytes.
        let tag = unsafe { atomic::fetch_add(TAG_NEXT.get_ptr_mut(0)?, 1) } as u32 & (TAGS - 1);
        // SAFETY: a live map value; no other CPU has got this tag in this round.
        let waiting = unsafe { &mut *WAITING.get_ptr_mut(tag)? };
        if waiting.due != 0 && waiting.due + Transit::OVERDUE < now {
            add(wait::LOST, 1);
            leave(waiting);
            done(waiting, 0);
        }
        if waiting.due == 0 {
            return Some((tag, waiting));
        }
        tries += 1;
    }
    None
}

/// Off it goes. What belongs to a socket goes as a copy: fq would hold the socket's send buffer
/// with it, and TCP sends no more than some four segments per round trip then (TCP small queues,
/// tcp_small_queue_check). The packet itself ends as if it had been sent.
#[inline(always)]
fn go(skb: Skb, line: u32, dir: Direction, waiting: &mut Waiting) -> i32 {
    count(Global::Handed, 1);
    if !skb.has_socket() {
        // SAFETY: a helper without pointer arguments.
        return (unsafe { bpf_redirect(line, 0) }) as i32;
    }
    if !skb.send_copy(line) {
        add(wait::LOST, 1);
        leave(waiting);
        done(waiting, 0);
    }
    packet::lose(dir)
}

/// On the near end: sends what fq let go where it was bound for.
#[inline(always)]
pub fn give_back(skb: Skb) -> i32 {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let Some(tag) = skb.vlan_tag() else { return TC_ACT_SHOT };
    let Some(waiting) = WAITING.get_ptr_mut(tag as u32) else { return TC_ACT_SHOT };
    // SAFETY: a live map value; the tag is this packet's until it is free.
    let waiting = unsafe { &mut *waiting };
    if waiting.due == 0 || !skb.pop_tag() || !skb.for_this_host() || !skb.deliver_now() {
        return TC_ACT_SHOT;
    }
    note_time(waiting.due, now);
    if waiting.untold != 0 {
        waiting.event.ts = now;
        emit::written(&waiting.event);
    }
    let back = waiting.back;
    done(waiting, now);
    leave(waiting);
    send_back(skb, &back)
}

/// On the far end.
#[inline(always)]
pub fn bounce(ctx: &TcContext) -> i32 {
    // SAFETY: a helper without pointer arguments.
    (unsafe { bpf_redirect(Skb::new(ctx).ifindex(), 0) }) as i32
}

/// How exactly it was held.
#[inline(always)]
fn note_time(due: u64, now: u64) {
    if now < due {
        add(wait::EARLY, 1);
        return;
    }
    let late = now - due;
    add(wait::BUCKETS + wait::bucket(late), 1);
    raise(wait::LATEST, late);
}

/// The packet's place is free again.
#[inline(always)]
fn leave(waiting: &mut Waiting) {
    add(wait::HELD, (waiting.bytes as u64).wrapping_neg());
    add(wait::WAITING, 1u64.wrapping_neg());
    waiting.due = 0;
}

/// Its connection waits for one less, which came out at `now` (0: it was lost).
#[inline(always)]
fn done(waiting: &Waiting, now: u64) {
    let at = waiting.event.slot * 2 + waiting.back.dir;
    if let Some(transit) = TRANSIT.get_ptr_mut(at) {
        // SAFETY: a live map value; of two CPUs at once either time will do.
        unsafe {
            // First: whoever finds it done must find the time, too.
            if now > (*transit).last_out {
                (*transit).last_out = now;
            }
            atomic::fetch_add(&raw mut (*transit).done, 1);
        }
    }
}

/// The line is gone. What only had to queue behind others may as well pass.
#[inline(always)]
fn gone(judgement: &Judgement) {
    if judgement.bank != NO_BANK {
        count(Global::LineGone, 1);
    }
}

/// No room: lost, and not by a fault.
#[inline(always)]
fn overflow(skb: Skb, owned: &Owned, dir: Direction) -> i32 {
    // SAFETY: a live map value.
    let at = unsafe { (*owned.socket).slot } * 2 + dir as u32;
    if let Some(c) = SLOTS.get_ptr_mut(at) {
        // SAFETY: this CPU's value.
        unsafe { (*c).overflowed += owned.facts.segs as u64 }
    }
    told::tell_lost(skb, owned, dir);
    packet::lose(dir)
}

#[inline(always)]
fn count_held(at: u32, rule: u32, segs: u32) {
    if rule >> 31 != 0 {
        return;
    }
    count(Global::Acted, segs as u64);
    if let Some(c) = SLOTS.get_ptr_mut(at) {
        // SAFETY: this CPU's value.
        unsafe { (*c).delayed += segs as u64 }
    }
}

/// Adds to a word and returns what it was.
#[inline(always)]
fn add(word: u32, n: u64) -> u64 {
    match WAITS.get_ptr_mut(word) {
        // SAFETY: a live map value of 8 bytes.
        Some(p) => unsafe { atomic::fetch_add(p, n) },
        None => 0,
    }
}

/// A maximum; of two CPUs at once one may be forgotten.
#[inline(always)]
fn raise(word: u32, to: u64) {
    if let Some(p) = WAITS.get_ptr_mut(word) {
        // SAFETY: a live map value of 8 bytes.
        unsafe {
            if *p < to {
                *p = to;
            }
        }
    }
}
