//! What the line tells of packets: the same events as the packet programs', so that the ledger
//! need not know who saw a packet go.

use std::ops::Range;

use fault_common::event::{
    Event, KIND_RX, KIND_TX, NO_RULE, VERDICT_DISCARDED, VERDICT_DROP, VERDICT_PASS, tcp,
};
use fault_common::line::Handed;
use fault_common::rule::Direction;

use super::frame::Frame;

const EGRESS: u32 = Direction::Egress as u32;

/// The wire packets `of` go on. `spoilt`: the receiver's stack will throw them away.
pub fn passed(
    handed: &Handed,
    frame: &Frame,
    of: Range<u32>,
    keep: Option<u32>,
    rule: Option<u32>,
    spoilt: bool,
) -> Event {
    let mut event = event(handed, frame, &of, rule);
    if let Some(keep) = keep {
        event.len = keep;
        event.flags &= !tcp::FIN;
    }
    event.verdict = if spoilt { VERDICT_DISCARDED } else { VERDICT_PASS };
    event
}

/// The wire packets `of` go no further.
pub fn ended(handed: &Handed, frame: &Frame, of: Range<u32>, rule: Option<u32>) -> Event {
    Event { verdict: VERDICT_DROP, ..event(handed, frame, &of, rule) }
}

/// What of a wire packet lies beyond the `keep` payload bytes that go on.
pub fn beyond(handed: &Handed, frame: &Frame, index: u32, keep: u32, rule: Option<u32>) -> Event {
    let event = ended(handed, frame, index..index + 1, rule);
    Event { seq: event.seq.wrapping_add(keep), len: event.len.saturating_sub(keep), ..event }
}

/// A packet that was to go on had no room.
pub fn overflowed(event: Event) -> Event {
    Event { verdict: VERDICT_DROP, rule: NO_RULE, ..event }
}

/// It has gone on. What came in is told of when it arrives; of what is plain acknowledgement
/// only what is new.
pub fn went(mut event: Event, came: u64, left: u64, last_ack: &mut Option<u32>) -> Option<Event> {
    event.aux = u32::try_from(left.saturating_sub(came) / 1000).unwrap_or(u32::MAX);
    let control = event.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0;
    let acks = event.flags & tcp::ACK != 0;
    let faulted = event.rule != NO_RULE || event.verdict != VERDICT_PASS;
    let news = if event.kind == KIND_RX {
        event.ts = left;
        let new = acks && *last_ack != Some(event.ack);
        if acks && event.verdict == VERDICT_PASS {
            *last_ack = Some(event.ack);
        }
        new
    } else {
        event.len > 0
    };
    (news || control || faulted).then_some(event)
}

fn event(handed: &Handed, frame: &Frame, of: &Range<u32>, rule: Option<u32>) -> Event {
    let egress = handed.dir == EGRESS;
    let (from, to) =
        (frame.source().map_or(0, |s| s.port()), frame.destination().map_or(0, |d| d.port()));
    let (lport, rport) = if egress { (from, to) } else { (to, from) };
    let said = said(handed, frame, of);
    Event {
        ts: handed.ts,
        cookie: handed.cookie,
        pid_tgid: 0,
        kind: if egress { KIND_TX } else { KIND_RX },
        verdict: VERDICT_PASS,
        flags: said.flags,
        dir: handed.dir as u8,
        proto: frame.ip_protocol().unwrap_or(0),
        passive: 0,
        segs: u16::try_from(of.len()).unwrap_or(u16::MAX),
        slot: handed.slot,
        flow: handed.flow,
        app: handed.app,
        rule: rule.unwrap_or(NO_RULE),
        // A datagram has no number; its place is in the base.
        seq: if frame.tcp().is_some() { said.seq } else { handed.base.wrapping_neg() },
        len: said.len,
        ack: frame.tcp().map_or(0, |t| t.ack),
        ret: 0,
        retrans: handed.retrans,
        aux: 0,
        lport,
        rport,
        ifindex: handed.ifindex,
    }
}

/// Of wire packets that follow each other.
struct Said {
    flags: u8,
    seq: u32,
    len: u32,
}

fn said(handed: &Handed, frame: &Frame, of: &Range<u32>) -> Said {
    let last = of.end.checked_sub(1).and_then(|last| frame.segment(last));
    if let (Some(first), Some(last)) = (frame.segment(of.start), last) {
        let syn = first.flags & tcp::SYN != 0;
        return Said {
            flags: first.flags | last.flags,
            seq: first.seq.wrapping_add(u32::from(syn)),
            len: (last.payload.end - first.payload.start) as u32,
        };
    }
    // It cannot be taken apart. Of TCP it is not known then where its bytes stand, and to tell of
    // none is better than to tell of others.
    let udp = frame.ip_protocol() == Some(libc::IPPROTO_UDP as u8);
    Said { flags: 0, seq: 0, len: if udp { handed.payload } else { 0 } }
}
