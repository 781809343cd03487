//! What becomes of a packet of a known socket: the live chain of its flow, the shared
//! `decide`, exact counters.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use fault_common::decide::{self, Facts, Fate};
use fault_common::event::{self, NO_FLOW, NO_RULE, tcp};
use fault_common::rule::{CHAIN_LEN, Chain, Direction, MAX_FLOWS, Rule, VIA_HOOK, chain_index};
use fault_common::stats::Global;
use fault_common::table::{AttemptKey, SOCKET_IRS, SOCKET_ISN, SeenKey, SocketEntry};

use crate::atomic;
use crate::classify::Owned;
use crate::emit::count;
use crate::maps::{
    ATTEMPTS, CHAIN_TABLE, CONTROL, EPOCH, FQ, LEASE, LEASED, RULES, SEED, SEEN, SLOTS, TRANSIT,
};
use crate::parse;

/// What is to be done with the packet.
pub struct Judgement {
    pub verdict: Verdict,
    /// The live bank of rules; [`NO_BANK`] if none holds.
    pub bank: u32,
    /// A rule wants its window to be zero.
    pub stalled: bool,
    /// Id of the rule that dropped or stalled it, or [`NO_RULE`].
    pub rule: u32,
}

/// What a decision is made from. In a map and not on the stack: a global function is given memory of which each byte
/// is written, and Linux 6.1 does not take the padding of a struct for that.
#[map]
static ASKED: PerCpuArray<Facts> = PerCpuArray::with_max_entries(1, 0);

/// Where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Drop,
    /// Into the delay line.
    Line,
}

/// Bank of a packet for which no rule holds.
pub const NO_BANK: u32 = 2;

// A judgement in one register: rule, verdict, bank, stall.
const VERDICT_SHIFT: u32 = 32;
const BANK_SHIFT: u32 = 40;
const STALL_SHIFT: u32 = 48;

/// Judges the packet and counts it.
#[inline(always)]
pub fn judge(owned: &mut Owned, dir: Direction, now: u64) -> Judgement {
    let packed = judge_apart(owned.socket, owned.facts, dir as u32, now);
    Judgement {
        verdict: match (packed >> VERDICT_SHIFT) & 0xff {
            1 => Verdict::Drop,
            2 => Verdict::Line,
            _ => Verdict::Pass,
        },
        bank: (packed >> BANK_SHIFT) as u32 & 0xff,
        stalled: (packed >> STALL_SHIFT) & 1 != 0,
        rule: packed as u32,
    }
}

/// Global to the verifier (see [`rule_acts`]), so that it walks it once and not once for each way to the socket.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_apart(
    socket: *mut SocketEntry,
    facts: *mut parse::Facts,
    dir: u32,
    now: u64,
) -> u64 {
    if socket.is_null() || facts.is_null() {
        return NO_RULE as u64 | (NO_BANK as u64) << BANK_SHIFT;
    }
    let dir = if dir == 0 { Direction::Egress } else { Direction::Ingress };
    // SAFETY: not null, and the verifier has held each caller to memory of these sizes: a map's, nobody else's now.
    let owned = &mut Owned { cookie: 0, socket, facts: unsafe { &mut *facts } };
    // SAFETY: as above; its fields are plain integers.
    let socket = unsafe { &mut *socket };
    let pos = position(socket, owned, dir);
    (owned.facts.judged, owned.facts.pos) = (0, pos);
    let mut judgement = match live_chain(socket.flow, dir, now) {
        Some((chain, epoch)) => apply(chain, epoch, socket, owned, dir, pos),
        None => Judgement { verdict: Verdict::Pass, bank: NO_BANK, stalled: false, rule: NO_RULE },
    };
    let at = socket.slot * 2 + dir as u32;
    if judgement.verdict == Verdict::Pass && in_transit(at, now) {
        judgement.verdict = Verdict::Line;
    }
    count_packet(at, owned, judgement.verdict == Verdict::Drop);
    judgement.rule as u64
        | (judgement.verdict as u64) << VERDICT_SHIFT
        | (judgement.bank as u64) << BANK_SHIFT
        | (judgement.stalled as u64) << STALL_SHIFT
}

/// Whether earlier packets of this connection are still in the delay line: this one must not
/// overtake them.
#[inline(always)]
fn in_transit(at: u32, now: u64) -> bool {
    // SAFETY: a live map value, of which `done` is the line's.
    TRANSIT.get_ptr(at).is_some_and(|t| unsafe {
        let done = (&raw const (*t).done).read_volatile();
        if FQ.load() != 0 { (*t).is_taken(done, now) } else { (*t).handed != done }
    })
}

/// Stream position of the packet's first byte, relative to the first of its direction.
#[inline(always)]
fn position(socket: &mut SocketEntry, owned: &Owned, dir: Direction) -> u32 {
    let facts = &owned.facts;
    let (bit, base, reach) = match dir {
        Direction::Egress => (SOCKET_ISN, &mut socket.isn, &mut socket.reach[0]),
        Direction::Ingress => (SOCKET_IRS, &mut socket.irs, &mut socket.reach[1]),
    };
    // A SYN restarts the count: the same socket may connect again.
    if socket.state & bit == 0 || facts.flags & tcp::SYN != 0 {
        *base = facts.seq;
        *reach = 0;
        socket.state |= bit;
    }
    let pos = facts.seq.wrapping_sub(*base);
    let ahead = whole_position(*reach, pos).wrapping_sub(*reach) as i64;
    if ahead > 0 {
        *reach = reach.wrapping_add(ahead as u64);
    }
    pos
}

/// The position in a stream of any length that these low 32 bits mean: the one next to the highest so far.
#[inline(always)]
pub fn whole_position(reach: u64, low: u32) -> u64 {
    reach.wrapping_add(low.wrapping_sub(reach as u32) as i32 as i64 as u64)
}

/// The rules that now hold for a flow, if any, and their epoch.
#[inline(always)]
fn live_chain(flow: u32, dir: Direction, now: u64) -> Option<(&'static Chain, u64)> {
    if flow == NO_FLOW || flow >= MAX_FLOWS {
        return None;
    }
    let epoch = *CONTROL.get(EPOCH)?;
    if epoch == 0 {
        return None;
    }
    let chain = CHAIN_TABLE.get(chain_index(epoch, flow, dir))?;
    if chain.len == 0 && chain.via == VIA_HOOK && chain.stall == 0 {
        return None;
    }
    // Fail open: a controller that is gone or stuck does not renew its lease.
    if LEASED.load() != 0 && *CONTROL.get(LEASE)? < now {
        count(Global::LeaseExpired, 1);
        return None;
    }
    Some((chain, epoch))
}

/// The same number by way of a map's memory, of which the verifier does not remember what is in
/// it. Otherwise it walks all that comes after once for each value that it knows to be possible.
#[inline(always)]
fn forget(scratch: &mut u32, value: u32) -> u32 {
    // SAFETY: a live reference.
    unsafe {
        (scratch as *mut u32).write_volatile(value);
        (scratch as *const u32).read_volatile()
    }
}

#[inline(always)]
fn apply(
    chain: &Chain,
    epoch: u64,
    socket: &SocketEntry,
    owned: &mut Owned,
    dir: Direction,
    pos: u32,
) -> Judgement {
    let (segs, bank) = (owned.facts.segs, epoch as u32 & 1);
    let placed = owned.facts.has_place();
    let key = attempt_key(socket.slot, owned, dir, placed);
    let chance = chain.chance != 0;
    let classes = decide::classes(owned.facts.is_tcp(), owned.facts.flags, owned.facts.payload > 0);
    let pass = Judgement { verdict: Verdict::Pass, bank: NO_BANK, stalled: false, rule: NO_RULE };
    let Some(asked) = ASKED.get_ptr_mut(0) else { return pass };
    // SAFETY: this CPU's value, and this packet's alone (see `parse::Facts`).
    let facts = unsafe { &mut *asked };
    *facts = Facts {
        seed: SEED.load(),
        flow: socket.flow,
        nth: socket.nth,
        pos: pos as u64 | if placed { 0 } else { decide::UNPLACED },
        attempt: if chance { attempts(&key) } else { 0 },
        segs,
        classes,
    };
    let slot = socket.slot;
    note(owned, chain, epoch, socket.nth, facts.attempt);
    let facts = &*facts;
    let parse::Facts { draw, scratch, .. } = &mut *owned.facts;
    let count = |_, rule: &Rule| {
        let before = seen(slot, rule, segs);
        *draw = before as u32;
        before
    };
    let fate = decide::decide_by(chain, facts, count, |kind, rule, facts, before| {
        rule_acts(rule, facts, kind, before) != 0
    });
    if chance && !placed {
        remember(&key, facts.attempt + 1);
    }
    match fate {
        Fate::Drop(i) => {
            let i = forget(scratch, i);
            let rule = &chain.rules[i as usize & (CHAIN_LEN - 1)];
            count_rules(chain, facts, i, true);
            if placed && decide::needs_attempt(rule) {
                remember(&key, facts.attempt + 1);
            }
            Judgement { verdict: Verdict::Drop, bank, stalled: false, rule: rule.id }
        }
        Fate::Pass => {
            count_rules(chain, facts, chain.len, false);
            let stalled = decide::stalls(chain, facts);
            let verdict = if chain.via == VIA_HOOK { Verdict::Pass } else { Verdict::Line };
            let rule = if stalled { chain.stall - 1 } else { NO_RULE };
            Judgement { verdict, bank, stalled, rule }
        }
    }
}

/// Whether a rule, of that kind to this packet, loses it.
///
/// Global to the verifier (BTF linkage; Linux 5.6, with pointers to memory 5.13): it walks the function once, believing nothing of its
/// arguments, and each call is one step. Inlined into the loop over the rules it was two thirds of the packet programs.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rule_acts(rule: *const Rule, facts: *const Facts, kind: u32, seen: u64) -> u32 {
    if rule.is_null() || facts.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier has held each caller to memory of this size.
    let (rule, facts) = unsafe { (&*rule, &*facts) };
    decide::decide_kind(kind, rule, facts, seen) as u32
}

/// Keeps what the decision is made from. What has no room in an event is not noted, and the audit passes
/// that decision over.
#[inline(always)]
fn note(owned: &mut Owned, chain: &Chain, epoch: u64, nth: u32, attempt: u32) {
    let fits = chain.len > 0 && epoch <= event::EPOCH_MAX as u64 && nth <= event::NTH_MAX;
    owned.facts.judged = if fits { (epoch as u32) << event::EPOCH_SHIFT | nth } else { 0 };
    owned.facts.draw = attempt;
}

/// What counts the attempts of a packet. One that has no place in the stream keeps a count of
/// its own (top bit): it must not change the fate of the bytes that come to stand there.
#[inline(always)]
fn attempt_key(slot: u32, owned: &Owned, dir: Direction, placed: bool) -> AttemptKey {
    let apart = (!placed as u32) << 31;
    AttemptKey { slot_dir: (slot * 2 + dir as u32) | apart, seq: owned.facts.seq }
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

/// Counts a packet whose window a stall has rewritten.
#[inline(always)]
pub fn count_stalled(rule: u32, segs: u32) {
    if let Some(c) = RULES.get_ptr_mut(rule) {
        // SAFETY: this CPU's value, as above.
        unsafe {
            (*c).matched += segs as u64;
            (*c).acted += segs as u64;
        }
    }
    count(Global::Acted, segs as u64);
}

/// Counts a packet that a delay holds.
#[inline(always)]
pub fn count_delayed(rule: u32, segs: u32) {
    if let Some(c) = RULES.get_ptr_mut(rule) {
        // SAFETY: this CPU's value, as above. What it has matched is counted with the others.
        unsafe { (*c).acted += segs as u64 }
    }
}

/// Counts the rules that the packet reached and that meant it: those before `hit`, and `hit`
/// itself if it acted.
#[inline(always)]
fn count_rules(chain: &Chain, facts: &Facts, hit: u32, acted: bool) {
    let segs = facts.segs as u64;
    let mut i = 0;
    while i < CHAIN_LEN {
        if i as u32 >= chain.len || i as u32 > hit {
            break;
        }
        let rule = &chain.rules[i];
        let means = decide::means(rule, facts) as u64;
        if let Some(c) = RULES.get_ptr_mut(rule.id) {
            // SAFETY: this CPU's value; TC programs do not preempt each other on one CPU.
            unsafe {
                (*c).matched += segs * means;
                if acted && i as u32 == hit {
                    (*c).acted += segs;
                }
                let single = decide::needs_attempt(rule) || decide::needs_ordinal(rule.kind);
                (*c).whole += means & (segs > 1 && single) as u64;
            }
        }
        i += 1;
    }
    if acted {
        count(Global::Acted, segs);
    }
}

#[inline(always)]
fn count_packet(at: u32, owned: &Owned, dropped: bool) {
    let segs = owned.facts.segs as u64;
    count(Global::Matched, segs);
    if let Some(c) = SLOTS.get_ptr_mut(at) {
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
