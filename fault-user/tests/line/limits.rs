//! Limits, and packets that are answered.

use fault_common::event::{VERDICT_DROP, VERDICT_PASS};
use fault_common::fate::{Fault, Limit, Model, Then};
use fault_common::rule::Direction;
use fault_user::line::{Answer, Reached};
use proptest::prelude::*;

use crate::rig::{A, BASE, Conn, MS, MSS, Rig, delay, fault, within};

fn limit(bytes: u64, then: Then) -> Fault {
    fault(9, Model::Limit(Limit { bytes, then }))
}

/// Bytes of the stream that an event's packets have.
fn range(e: &fault_common::event::Event) -> std::ops::Range<u64> {
    let from = u64::from(e.seq.wrapping_sub(BASE));
    from..from + u64::from(e.len)
}

proptest! {
    /// Whatever the segmentation, and however often it is tried.
    #[test]
    fn so_many_bytes_pass_and_no_more(
        bytes in 0..9000u64,
        lens in prop::collection::vec(1..4 * MSS, 1..6),
    ) {
        let mut rig = Rig::under(&[limit(bytes, Then::Drop)]);
        let mut total = 0;
        for len in &lens {
            rig.bytes(A, total, *len);
            total += *len as u64;
        }
        let through = |rig: &Rig| rig.seen().iter().map(|s| s.payload.len() as u64).sum::<u64>();
        let below = bytes.min(total);
        prop_assert_eq!(through(&rig), below);
        let mut end = 0;
        for s in rig.seen() {
            prop_assert_eq!(s.pos, end, "each byte once, in order");
            end += s.payload.len() as u64;
        }
        let of = |verdict| rig.out.events.iter().filter(move |e| e.verdict == verdict).map(range);
        prop_assert!(of(VERDICT_PASS).all(|r| r.end <= bytes));
        prop_assert!(of(VERDICT_DROP).all(|r| r.start >= bytes));
        prop_assert_eq!(of(VERDICT_DROP).map(|r| r.end - r.start).sum::<u64>(), total - below);
        // All of it comes again.
        let once = rig.wire_packets();
        for at in (below..total).step_by(MSS) {
            rig.bytes(A, at, MSS.min((total - at) as usize));
        }
        prop_assert_eq!(rig.wire_packets(), once);
        if below > 0 {
            rig.bytes(A, 0, below as usize);
            prop_assert_eq!(through(&rig), 2 * below, "what is below passes again");
        }
    }
}

#[test]
fn a_fin_is_beyond_the_last_byte() {
    let mut rig = Rig::under(&[limit(100, Then::Drop)]);
    rig.like.tcp.as_mut().unwrap().flags = 0x19;
    rig.bytes(A, 0, 150);
    let wire = &rig.out.written[0].wire[0];
    assert_eq!((wire.payload.len(), wire.flags), (100, 0x10), "no FIN, no PSH of what follows");
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.verdict, range(e), e.flags & 1)).collect();
    assert_eq!(told, [(VERDICT_DROP, 100..150, 1), (VERDICT_PASS, 0..100, 0)]);
    rig.bytes(A, 100, 0);
    assert_eq!(rig.wire_packets(), 1, "the FIN alone");
}

/// TCP Fast Open: the connection still opens.
#[test]
fn of_a_syn_with_data_the_syn_passes() {
    let mut rig = Rig::under(&[limit(0, Then::Drop)]);
    rig.like.tcp.as_mut().unwrap().flags = 0x02;
    rig.bytes(A, 0, 500);
    let wire = &rig.out.written[0].wire[0];
    assert!(wire.good());
    assert_eq!((wire.payload.len(), wire.flags), (0, 2));
    assert_eq!(rig.tally(A).dropped, 1);
}

/// A signature covers the payload: the rest would not be taken.
#[test]
fn of_a_signed_packet_nothing_passes() {
    let mut rig = Rig::under(&[limit(100, Then::Drop)]);
    rig.like.tcp.as_mut().unwrap().options = [vec![19, 18], vec![0; 16], vec![1, 1]].concat();
    rig.bytes(A, 0, 150);
    assert_eq!(rig.wire_packets(), 0);
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.verdict, e.rule, range(e))).collect();
    assert_eq!(told, [(VERDICT_DROP, 9, 0..150)]);
    assert_eq!(rig.tally(A).dropped, 1);
    assert_eq!(rig.engine.tally.rules[&9].ended, 1);
}

#[test]
fn a_reset_is_asked_for_once_for_each_connection() {
    let mut rig = Rig::under(&[limit(1500, Then::Reset)]);
    for _ in 0..2 {
        rig.bytes(A, 0, 4 * MSS);
        rig.bytes(A, 1500, MSS);
    }
    let other = Conn { slot: 9, ..A };
    rig.bytes(other, 0, 4 * MSS);
    let asked = rig.out.answers.iter().map(|a| match a {
        Answer::Reset { reached, rule } => (reached.cookie, *rule),
        Answer::Reject { .. } => panic!("not a reject"),
    });
    assert_eq!(asked.collect::<Vec<_>>(), [(103, Some(9)), (109, Some(9))]);
    let passed: usize = rig.seen().iter().map(|s| s.payload.len()).sum();
    assert_eq!(passed, 3 * 1500, "what lies below");
}

/// The reset must not overtake the bytes that the limit lets through, however long those wait.
#[test]
fn a_reset_waits_for_the_bytes_before_it_and_says_where_they_end() {
    let mut rig = Rig::under(&[limit(1500, Then::Reset), delay(8, MS)]);
    rig.bytes(A, 0, MSS);
    rig.wait(MS / 2);
    rig.bytes(A, MSS as u64, 3 * MSS);
    // What comes later (an acknowledgement, a retransmission) does not put it off.
    rig.wait(MS / 4);
    rig.bytes(A, 0, MSS);
    rig.wait(MS / 2);
    assert!(rig.out.answers.is_empty(), "{:?} is still held", rig.places());
    rig.wait(MS / 4);
    let passed: usize = rig.seen().iter().map(|s| s.payload.len()).sum();
    assert_eq!(passed, 1500);
    match &rig.out.answers[..] {
        [Answer::Reset { reached, .. }] => {
            let end_seq = BASE.wrapping_add(1500);
            let direction = Direction::Egress;
            assert_eq!(*reached, Reached { cookie: 103, direction, end_seq });
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refused_packet_is_answered_and_ends() {
    let mut rig = Rig::under(&[within(MSS as u64, 2 * MSS as u64, fault(9, Model::Reject(2)))]);
    rig.bytes(A, 0, MSS);
    assert!(rig.out.answers.is_empty());
    rig.bytes(A, MSS as u64, MSS);
    rig.bytes(A, 2 * MSS as u64, MSS);
    assert_eq!(rig.places(), [0, 2 * MSS as u64]);
    match &rig.out.answers[..] {
        [Answer::Reject { kind: 2, frame, handed }] => {
            assert_eq!(frame.tcp().unwrap().seq, BASE.wrapping_add(MSS as u32));
            assert_eq!(handed.ifindex, 4);
        }
        other => panic!("{other:?}"),
    }
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.verdict, e.rule == 9)).collect();
    assert_eq!(told, [(VERDICT_PASS, false), (VERDICT_DROP, true), (VERDICT_PASS, false)]);
}
