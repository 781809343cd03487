//! What a TCP segment says of its connection, kept for those who will speak in its name, and the
//! one thing that is changed in it here: its window.

use aya_ebpf::bindings::__sk_buff;
use fault_common::event::tcp;
use fault_common::rule::{Direction, MAX_FLOWS};
use fault_common::table::{LAST_ACK, LAST_SEEN, LAST_TIMESTAMPS, SocketEntry};

use crate::classify::Owned;
use crate::ctx::Skb;
use crate::parse::Facts;

/// Where the options begin, and what a timestamp option looks like that stands there alone
/// (RFC 7323, appendix A): two NOPs, kind 8, length 10.
const OPTIONS: u32 = 20;
const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];
/// Offset of the window and of the checksum in a TCP header.
const WINDOW: u32 = 14;
const CHECK: u32 = 16;

/// Keeps what the segment says, of sockets with a name.
#[inline(always)]
pub fn remember(skb: Skb, owned: &Owned, dir: Direction) {
    remember_segment(skb.raw(), owned.socket, &raw const *owned.facts, dir as u32);
}

/// Global to the verifier (see `judge::rule_acts`); what it returns means nothing, but it has to be a number.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn remember_segment(
    skb: *mut __sk_buff,
    socket: *mut SocketEntry,
    facts: *const Facts,
    dir: u32,
) -> u32 {
    if !socket.is_null() && !facts.is_null() {
        // SAFETY: not null, and the verifier has held each caller to memory of these sizes; of two CPUs at once either
        // segment may be the last.
        let (socket, facts) = unsafe { (&mut *socket, &*facts) };
        keep(Skb::of_raw(skb), socket, facts, dir == Direction::Egress as u32);
    }
    0
}

#[inline(always)]
fn keep(skb: Skb, socket: &mut SocketEntry, facts: &Facts, egress: bool) {
    if !facts.is_tcp() || socket.flow >= MAX_FLOWS || facts.flags & tcp::RST != 0 {
        return;
    }
    let last = if egress { &mut socket.last[0] } else { &mut socket.last[1] };
    let fin = (facts.flags & tcp::FIN != 0) as u32;
    let end = facts.seq.wrapping_add(facts.payload).wrapping_add(fin);
    // A SYN starts anew; otherwise a retransmission must not turn the end back.
    let ahead = end.wrapping_sub(last.end_seq) as i32 >= 0;
    if last.flags & LAST_SEEN == 0 || facts.flags & tcp::SYN != 0 || ahead {
        last.end_seq = end;
    }
    let mut flags = LAST_SEEN;
    if facts.flags & tcp::ACK != 0 {
        flags |= LAST_ACK;
        last.ack = facts.ack;
    }
    last.window = facts.window;
    if facts.header >= OPTIONS + 12
        && let Some(o) = skb.load::<12>(facts.l4 + OPTIONS)
        && [o[0], o[1], o[2], o[3]] == TIMESTAMPS
    {
        flags |= LAST_TIMESTAMPS;
        last.tsval = u32::from_be_bytes([o[4], o[5], o[6], o[7]]);
        last.tsecr = u32::from_be_bytes([o[8], o[9], o[10], o[11]]);
    }
    last.flags = flags;
}

/// Makes the window of the segment zero; false if that failed.
#[inline(always)]
pub fn close_window(skb: Skb, owned: &Owned) -> bool {
    let facts = &owned.facts;
    let old = facts.window.to_be();
    // The helper knows what the checksum stands for (PARTIAL, NONE, COMPLETE); without the flag
    // for the pseudo-header, of which the window is no part.
    old == 0
        || (skb.replace_checksum(facts.l4 + CHECK, old, 0) && skb.store(facts.l4 + WINDOW, &[0, 0]))
}
