//! Packets that no fault touches, of sockets on which none is armed: told in runs, and with the sends
//! (`fault_common::quiet`). Nothing depends on when: the ledger puts everything in order of time, and the controller
//! has told what is left (`tell_rest`).

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use fault_common::event::{Event, KIND_RX, KIND_TX, WITH_ACK, WITH_RUN, tcp};
use fault_common::quiet::{Keep, Quiet};
use fault_common::rule::{Direction, MAX_FLOWS, VIA_HOOK, chain_index};
use fault_common::table::SocketEntry;

use crate::atomic;
use crate::classify::Owned;
use crate::ctx::Skb;
use crate::emit::{self, About};
use crate::maps::{CHAIN_TABLE, CONTROL, EPOCH, EVERY_PACKET, QUIET, SOCKETS};
use crate::parse::{Facts, IPPROTO_TCP};
use crate::select;

/// Where the slot stands in the packet of [`tell_rest`].
const SLOT_AT: u32 = 32;
/// An event has 32 bits for how long ago something was.
const LONG_AGO: u64 = 1 << 32;

/// Takes note of news of a TCP socket. True: it is kept, to be told later. `apart`: it is not to be.
///
#[inline(always)]
pub fn keeps(owned: &Owned, dir: Direction, apart: bool) -> bool {
    quiet_keeps(owned.socket, &raw const *owned.facts, owned.cookie, dir as u32, apart as u32) != 0
}

/// Global to the verifier (see `judge::rule_acts`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn quiet_keeps(
    socket: *const SocketEntry,
    facts: *const Facts,
    cookie: u64,
    dir: u32,
    apart: u32,
) -> u32 {
    if socket.is_null() || facts.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier has held each caller to memory of these sizes.
    let (socket, facts) = unsafe { (&*socket, &*facts) };
    let Some(quiet) = take(socket.slot) else { return 0 };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let egress = dir == Direction::Egress as u32;
    quiet.cookie = cookie;
    let apart = apart != 0 || EVERY_PACKET.load() == 1 || armed(socket.flow);
    let keep = match (apart, egress) {
        (true, _) => Keep::Told,
        (_, true) => quiet.run(now, facts.seq, facts.payload, facts.segs),
        (_, false) => quiet.acknowledged(now, facts.ack),
    };
    let full = matches!(keep, Keep::Full);
    // A retransmission must not come to stand before an acknowledgement that was there first.
    let all = apart || (egress && matches!(keep, Keep::Told));
    tell(cookie, socket, quiet, all || (full && egress), all || (full && !egress));
    match (full, egress) {
        (true, true) => quiet.begin_run(now, facts.seq, facts.payload, facts.segs),
        (true, false) => quiet.begin_ack(now, facts.ack),
        (false, true) if facts.flags & tcp::SYN != 0 => quiet.restart(facts.seq),
        (false, true) => quiet.reach(facts.seq, facts.payload),
        (false, false) => {}
    }
    give_back(quiet);
    !matches!(keep, Keep::Told) as u32
}

/// Whether some fault holds for the flow, in either direction.
#[inline(always)]
fn armed(flow: u32) -> bool {
    let Some(epoch) = CONTROL.get(EPOCH) else { return false };
    if *epoch == 0 || flow >= MAX_FLOWS {
        return false;
    }
    let acts = |dir| {
        let chain = CHAIN_TABLE.get(chain_index(*epoch, flow, dir));
        chain.is_some_and(|c| c.len != 0 || c.via != VIA_HOOK || c.stall != 0)
    };
    acts(Direction::Egress) || acts(Direction::Ingress)
}

/// Tells of a socket what was kept.
#[inline(always)]
fn tell(cookie: u64, socket: &SocketEntry, quiet: &mut Quiet, run: bool, ack: bool) {
    let about = About::socket(cookie, socket);
    if run && quiet.has_run() {
        emit::event(KIND_TX, Direction::Egress as u8, &about, |ev| {
            (ev.ts, ev.proto) = (quiet.sent_at, IPPROTO_TCP);
            (ev.seq, ev.len, ev.segs) = (quiet.seq, quiet.len, quiet.segs as u16);
        });
        quiet.clear_run();
    }
    if ack && quiet.has_ack() {
        emit::event(KIND_RX, Direction::Ingress as u8, &about, |ev| {
            (ev.ts, ev.proto, ev.segs) = (quiet.acked_at, IPPROTO_TCP, 1);
            (ev.ack, ev.flags) = (quiet.ack, tcp::ACK);
        });
        quiet.clear_ack();
    }
}

/// Puts what was kept of a socket into the event of its send.
#[inline(always)]
pub fn carry(slot: u32, ev: &mut Event) {
    let Some(quiet) = take(slot) else { return };
    // After this moment as well as too long before it there is no room: it stays kept.
    let before = ev.ts.wrapping_sub(quiet.sent_at);
    if quiet.has_run() && before < LONG_AGO {
        ev.flags |= WITH_RUN;
        (ev.aux, ev.ifindex) = (before as u32, quiet.seq);
        (ev.len, ev.segs) = (quiet.len, quiet.segs as u16);
        quiet.clear_run();
    }
    let before = ev.ts.wrapping_sub(quiet.acked_at);
    if quiet.has_ack() && before < LONG_AGO {
        ev.flags |= WITH_ACK;
        (ev.retrans, ev.ack) = (before as u32, quiet.ack);
        quiet.clear_ack();
    }
    give_back(quiet);
}

/// Tells what is left, of the slot that stands in the packet.
#[inline(always)]
pub fn tell_rest(ctx: &TcContext) {
    let Some(slot) = Skb::new(ctx).direct::<u32>(SLOT_AT) else { return };
    let Some(quiet) = take(slot) else { return };
    if let Some(p) = SOCKETS.get_ptr_mut(quiet.cookie) {
        select::adopt(p);
        // SAFETY: a live map value.
        tell(quiet.cookie, unsafe { &*p }, quiet, true, true);
    }
    give_back(quiet);
}

/// What is kept of a socket, if nobody else is at work on it: sends return outside of the socket's lock, and packets
/// come in on any CPU. Nobody waits, so a holder that is interrupted holds nobody up.
#[inline(always)]
fn take(slot: u32) -> Option<&'static mut Quiet> {
    let quiet = QUIET.get_ptr_mut(slot)?;
    // SAFETY: a live map value, whose first field has 8 bytes.
    let busy = unsafe { atomic::fetch_or(&raw mut (*quiet).busy, 1) };
    // SAFETY: a live map value that is nobody else's now.
    if busy == 0 { Some(unsafe { &mut *quiet }) } else { None }
}

#[inline(always)]
fn give_back(quiet: &mut Quiet) {
    // SAFETY: a live reference. Volatile, and after an atomic: what was written before stays before it.
    unsafe { (&raw mut quiet.busy).write_volatile(0) }
}
