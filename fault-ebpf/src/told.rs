//! What is told of packets: bytes that move, acks that advance, and every fault.

use fault_common::event::{Event, KIND_RX, KIND_TX, NO_RULE, VERDICT_DROP, VERDICT_PASS, tcp};
use fault_common::rule::Direction;

use crate::classify::Owned;
use crate::ctx::Skb;
use crate::emit::{self, About};
use crate::quiet;

/// Emits what the ledger needs of a packet that goes on, or that is lost, now.
#[inline(always)]
pub fn tell(skb: Skb, owned: &Owned, dir: Direction, dropped: bool, rule: u32) {
    if !is_news(owned, dir, dropped, rule) {
        return;
    }
    // No id of a rule has the top bit.
    let apart = dropped || rule >> 31 == 0 || is_control(owned);
    if owned.facts.is_tcp() && quiet::keeps(owned, dir, apart) {
        return;
    }
    // SAFETY: a live map value.
    let about = About::socket(owned.cookie, unsafe { &*owned.socket });
    emit::event(kind(dir), dir as u8, &about, |ev| describe(ev, skb, owned, dir, dropped, rule));
}

/// Emits that a packet is lost by no rule: always, for such losses are counted against events.
#[inline(always)]
pub fn tell_lost(skb: Skb, owned: &Owned, dir: Direction) {
    // SAFETY: a live map value.
    let about = About::socket(owned.cookie, unsafe { &*owned.socket });
    emit::event(kind(dir), dir as u8, &about, |ev| describe(ev, skb, owned, dir, true, NO_RULE));
}

/// Keeps what is to be told of a packet for later.
#[inline(always)]
pub fn note(ev: &mut Event, skb: Skb, owned: &Owned, dir: Direction, rule: u32) {
    // SAFETY: a live map value.
    let about = About::socket(owned.cookie, unsafe { &*owned.socket });
    emit::begin(ev, kind(dir), dir as u8, &about);
    describe(ev, skb, owned, dir, false, rule);
}

const fn kind(dir: Direction) -> u8 {
    match dir {
        Direction::Egress => KIND_TX,
        Direction::Ingress => KIND_RX,
    }
}

#[inline(always)]
fn is_control(owned: &Owned) -> bool {
    owned.facts.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0
}

/// Whether the ledger has to know of it; takes note of the acknowledgement if so.
#[inline(always)]
pub fn is_news(owned: &Owned, dir: Direction, dropped: bool, rule: u32) -> bool {
    // SAFETY: a live map value.
    let socket = unsafe { &mut *owned.socket };
    let facts = &owned.facts;
    let control = is_control(owned);
    let acks = facts.flags & tcp::ACK != 0;
    let news = match dir {
        Direction::Egress => facts.payload > 0,
        Direction::Ingress => acks && facts.ack != socket.last_ack,
    };
    // No id of a rule has the top bit. Not `!= NO_RULE`: see select::concerns.
    let touched = rule >> 31 == 0;
    if !(news || control || touched) {
        return false;
    }
    // Without the flag the field means nothing (RFC 9293, 3.1).
    if matches!(dir, Direction::Ingress) && acks && !dropped {
        socket.last_ack = facts.ack;
    }
    true
}

#[inline(always)]
fn describe(ev: &mut Event, skb: Skb, owned: &Owned, dir: Direction, dropped: bool, rule: u32) {
    let facts = &owned.facts;
    let (lport, rport) = match dir {
        Direction::Egress => (facts.tuple.sport, facts.tuple.dport),
        Direction::Ingress => (facts.tuple.dport, facts.tuple.sport),
    };
    ev.retrans = match dir {
        Direction::Egress => skb.total_retrans(),
        Direction::Ingress => 0,
    };
    ev.ret = facts.judged as i32;
    ev.pid_tgid = if facts.judged == 0 { 0 } else { (facts.pos as u64) << 32 | facts.draw as u64 };
    ev.verdict = if dropped { VERDICT_DROP } else { VERDICT_PASS };
    ev.flags = facts.flags;
    ev.proto = facts.tuple.proto as u8;
    ev.segs = facts.segs as u16;
    ev.rule = rule;
    ev.seq = facts.seq;
    ev.len = facts.payload;
    ev.ack = facts.ack;
    ev.lport = lport;
    ev.rport = rport;
    ev.ifindex = skb.ifindex();
}
