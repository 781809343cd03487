//! What becomes of a packet of a known socket: the live chain of its flow, the shared
//! `decide`, exact counters.

use aya_ebpf::bindings::BPF_NOEXIST;
use fault_common::decide::{self, Facts, Fate};
use fault_common::event::{NO_FLOW, NO_RULE, tcp};
use fault_common::rule::{CHAIN_LEN, Chain, Direction, MAX_FLOWS, Rule, chain_index};
use fault_common::stats::Global;
use fault_common::table::{AttemptKey, SOCKET_IRS, SOCKET_ISN, SeenKey, SocketEntry};

use crate::atomic;
use crate::classify::Owned;
use crate::emit::count;
use crate::maps::{ATTEMPTS, CHAIN_TABLE, CONTROL, EPOCH, LEASE, LEASED, RULES, SEED, SEEN, SLOTS};

/// The verdict, and the rule behind it.
pub struct Judgement {
    pub dropped: bool,
    /// Rule id, or [`NO_RULE`].
    pub rule: u32,
}

/// Judges the packet and counts it.
#[inline(always)]
pub fn judge(owned: &Owned, dir: Direction, now: u64) -> Judgement {
    let packed = judge_apart(owned, dir as u8, now);
    Judgement { dropped: packed >> 32 != 0, rule: packed as u32 }
}

/// A function of its own for its stack frame and so that the verifier walks it apart; the
/// verdict comes back in one register: dropped << 32 | rule.
#[inline(never)]
fn judge_apart(owned: &Owned, dir: u8, now: u64) -> u64 {
    let dir = if dir == 0 { Direction::Egress } else { Direction::Ingress };
    // SAFETY: a live map value; its fields are plain integers.
    let socket = unsafe { &mut *owned.socket };
    let pos = position(socket, owned, dir);
    let judgement = match live_chain(socket.flow, dir, now) {
        Some(chain) => apply(chain, socket, owned, dir, pos),
        None => Judgement { dropped: false, rule: NO_RULE },
    };
    count_packet(socket.slot, owned, dir, judgement.dropped);
    (judgement.dropped as u64) << 32 | judgement.rule as u64
}

/// Stream position of the packet's first byte, relative to the first of its direction.
#[inline(always)]
fn position(socket: &mut SocketEntry, owned: &Owned, dir: Direction) -> u32 {
    let facts = &owned.facts;
    let (bit, base) = match dir {
        Direction::Egress => (SOCKET_ISN, &mut socket.isn),
        Direction::Ingress => (SOCKET_IRS, &mut socket.irs),
    };
    // A SYN restarts the count: the same socket may connect again.
    if socket.state & bit == 0 || facts.flags & tcp::SYN != 0 {
        *base = facts.seq;
        socket.state |= bit;
    }
    facts.seq.wrapping_sub(*base)
}

/// The rules that now hold for a flow, if any.
#[inline(always)]
fn live_chain(flow: u32, dir: Direction, now: u64) -> Option<&'static Chain> {
    if flow == NO_FLOW || flow >= MAX_FLOWS {
        return None;
    }
    let epoch = *CONTROL.get(EPOCH)?;
    if epoch == 0 {
        return None;
    }
    let chain = CHAIN_TABLE.get(chain_index(epoch, flow, dir))?;
    if chain.len == 0 {
        return None;
    }
    // Fail open: a controller that is gone or stuck does not renew its lease.
    if LEASED.load() != 0 && *CONTROL.get(LEASE)? < now {
        count(Global::LeaseExpired, 1);
        return None;
    }
    Some(chain)
}

#[inline(always)]
fn apply(
    chain: &Chain,
    socket: &SocketEntry,
    owned: &Owned,
    dir: Direction,
    pos: u32,
) -> Judgement {
    let segs = owned.facts.segs;
    let placed = owned.facts.has_place();
    let key = attempt_key(socket.slot, owned, dir, placed);
    let chance = has_chance(chain);
    let facts = Facts {
        seed: SEED.load(),
        flow: socket.flow,
        nth: socket.nth,
        pos: pos as u64 | if placed { 0 } else { decide::UNPLACED },
        attempt: if chance { attempts(&key) } else { 0 },
        segs,
    };
    let slot = socket.slot;
    let fate = decide::decide(chain, &facts, |_, rule| seen(slot, rule, segs));
    if chance && !placed {
        remember(&key, facts.attempt + 1);
    }
    match fate {
        Fate::Drop(i) if (i as usize) < CHAIN_LEN => {
            let rule = &chain.rules[i as usize & (CHAIN_LEN - 1)];
            count_rules(chain, i, segs, true);
            if placed && decide::needs_attempt(rule) {
                remember(&key, facts.attempt + 1);
            }
            Judgement { dropped: true, rule: rule.id }
        }
        _ => {
            count_rules(chain, chain.len, segs, false);
            Judgement { dropped: false, rule: NO_RULE }
        }
    }
}

/// Whether any rule of the chain draws.
#[inline(always)]
fn has_chance(chain: &Chain) -> bool {
    let mut any = false;
    let mut i = 0;
    while i < CHAIN_LEN {
        any |= decide::needs_attempt(&chain.rules[i]);
        i += 1;
    }
    any
}

/// What counts the attempts of a packet. One that has no place in the stream keeps a count of
/// its own (top bit): it must not change the fate of the bytes that come to stand there.
#[inline(always)]
fn attempt_key(slot: u32, owned: &Owned, dir: Direction, placed: bool) -> AttemptKey {
    let apart = (!placed as u32) << 31;
    AttemptKey { slot_dir: slot * 2 + dir as u32 | apart, seq: owned.facts.seq }
}

/// In place where it can be: inserting into an LRU takes a new entry each time.
#[inline(always)]
fn remember(key: &AttemptKey, attempts: u32) {
    match ATTEMPTS.get_ptr_mut(key) {
        // SAFETY: a live map value; of two CPUs at once one count is lost, as two draws in one.
        Some(p) => unsafe { *p = attempts },
        // A full LRU evicts; the worst case is an attempt counted from 0 again.
        None => {
            let _ = ATTEMPTS.insert(key, attempts, 0);
        }
    }
}

#[inline(always)]
fn attempts(key: &AttemptKey) -> u32 {
    // SAFETY: a live map value.
    ATTEMPTS.get_ptr(key).map_or(0, |p| unsafe { *p })
}

/// Wire packets that the rule had judged on this socket before this one; counts this one in.
#[inline(always)]
fn seen(slot: u32, rule: &Rule, segs: u32) -> u64 {
    let key = SeenKey { slot, rule: rule.id };
    if SEEN.get_ptr(key).is_none() {
        // Another CPU may be first: then its entry is used.
        let _ = SEEN.insert(key, 0, BPF_NOEXIST as u64);
    }
    match SEEN.get_ptr_mut(key) {
        // SAFETY: a live map value of 8 bytes.
        Some(p) => unsafe { atomic::fetch_add(p, segs as u64) },
        None => 0,
    }
}

/// Counts the rules that the packet reached: those before `hit`, and `hit` itself if it acted.
#[inline(always)]
fn count_rules(chain: &Chain, hit: u32, segs: u32, acted: bool) {
    let mut i = 0;
    while i < CHAIN_LEN {
        if i as u32 >= chain.len || i as u32 > hit {
            break;
        }
        let rule = &chain.rules[i];
        if let Some(c) = RULES.get_ptr_mut(rule.id) {
            // SAFETY: this CPU's value; TC programs do not preempt each other on one CPU.
            unsafe {
                (*c).matched += segs as u64;
                if acted && i as u32 == hit {
                    (*c).acted += segs as u64;
                }
                let single = decide::needs_attempt(rule) || decide::needs_ordinal(rule);
                if segs > 1 && single {
                    (*c).whole += 1;
                }
            }
        }
        i += 1;
    }
    if acted {
        count(Global::Acted, segs as u64);
    }
}

#[inline(always)]
fn count_packet(slot: u32, owned: &Owned, dir: Direction, dropped: bool) {
    let segs = owned.facts.segs as u64;
    count(Global::Matched, segs);
    if let Some(c) = SLOTS.get_ptr_mut(slot * 2 + dir as u32) {
        // SAFETY: this CPU's value, as above.
        unsafe {
            (*c).packets += segs;
            (*c).bytes += owned.facts.wire_bytes;
            if dropped {
                (*c).dropped += segs;
            }
        }
    }
}
