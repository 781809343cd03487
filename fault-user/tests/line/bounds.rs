//! What the line cannot hold, what it is done with, and how it ends.

use fault_common::event::{NO_RULE, VERDICT_DROP};
use fault_common::fate::{Duplicate, Model, Reorder};
use fault_common::rule::P_ALWAYS;
use fault_user::line::frame::Frame;

use crate::rig::{A, Conn, MS, MSS, Rig, T0, delay, fault, lossy};

fn full(faults: &[fault_common::fate::Fault]) -> Rig {
    let mut rig = Rig::with(7, 6000);
    rig.arm(&[(A, faults)]);
    rig
}

#[test]
fn what_finds_no_room_is_lost_counted_apart_and_told() {
    let mut rig = full(&[delay(9, 10 * MS)]);
    for i in 0..20 {
        rig.bytes(A, i * MSS as u64, MSS);
    }
    let lost = rig.tally(A).overflowed;
    assert!((15..=17).contains(&lost), "{lost} of 20 do not fit into 6000 bytes");
    let told = |rig: &Rig| {
        let drops = rig.out.events.iter().filter(|e| e.verdict == VERDICT_DROP);
        assert!(drops.clone().all(|e| e.rule == NO_RULE));
        drops.map(|e| u64::from(e.segs)).sum::<u64>()
    };
    assert_eq!(told(&rig), lost);
    assert_eq!(rig.tally(A).dropped, 0, "no fault did it");
    assert!(rig.engine.tally.most_held <= 6000);
    rig.wait(10 * MS);
    assert_eq!(rig.wire_packets(), 20 - lost);
    // There is room again.
    rig.bytes(A, 50_000, MSS);
    rig.wait(10 * MS);
    assert_eq!((rig.wire_packets(), rig.tally(A).overflowed), (21 - lost, lost));
}

#[test]
fn what_waits_to_be_overtaken_takes_room_too_and_so_do_copies() {
    let never = Model::Reorder(Reorder { p: P_ALWAYS, gap: 99, delay: 50 * MS });
    let double = Model::Duplicate(Duplicate { p: P_ALWAYS, copies: 1 });
    let mut rig = full(&[fault(8, double), fault(9, never)]);
    for i in 0..10 {
        rig.bytes(A, i * MSS as u64, MSS);
    }
    let lost = rig.tally(A).overflowed;
    assert!(lost >= 15, "{lost}");
    let told = rig.out.events.iter().filter(|e| e.verdict == VERDICT_DROP).count();
    assert_eq!(told as u64, lost, "copies as well");
    rig.wait(50 * MS);
    assert_eq!(rig.wire_packets(), 20 - lost);
}

/// What is not held needs no room: a line that is full passes on.
#[test]
fn what_goes_at_once_always_fits() {
    let mut rig = full(&[lossy(9, 0.0)]);
    rig.bytes(A, 0, 60 * MSS);
    assert_eq!((rig.wire_packets(), rig.tally(A).overflowed), (60, 0));
}

#[test]
fn what_the_kernel_does_not_take_is_lost() {
    let mut rig = Rig::new();
    rig.out.refuses = true;
    rig.bytes(A, 0, 3 * MSS);
    assert_eq!(rig.tally(A).overflowed, 3);
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.verdict, e.rule, e.segs)).collect();
    assert_eq!(told, [(VERDICT_DROP, NO_RULE, 3)]);
    assert_eq!(rig.out.done, [(A.key(), 1)], "and the line is done with it");
}

#[test]
fn done_is_said_when_nothing_is_left() {
    let mut rig = Rig::under(&[delay(9, 10 * MS)]);
    rig.bytes(A, 0, 3 * MSS);
    rig.wait(5 * MS);
    rig.bytes(A, 3000, 10);
    rig.wait(5 * MS);
    assert_eq!((rig.wire_packets(), rig.out.done.len()), (3, 0));
    rig.wait(5 * MS);
    assert_eq!(rig.out.done, [(A.key(), 2)]);
    rig.arm(&[(A, &[lossy(9, 1.0)])]);
    rig.bytes(A, 4000, 10);
    assert_eq!(rig.out.done.last(), Some(&(A.key(), 3)), "lost is done with, too");
}

/// The kernel cuts up what the device does not take whole; it was handed over once.
#[test]
fn frames_of_one_packet_count_once() {
    let mut rig = Rig::new();
    let handed = rig.handed(A);
    let send = |rig: &mut Rig, handed, from| {
        let frame = Frame::parse(rig.spec(from, MSS).bytes().into()).unwrap();
        rig.engine.accept(handed, &frame, &mut rig.out);
        rig.engine.due(rig.now, &mut rig.out);
    };
    send(&mut rig, &handed, 0);
    send(&mut rig, &handed, 1000);
    assert_eq!(rig.out.done.last(), Some(&(A.key(), 1)));
    rig.wait(1);
    let handed = rig.handed(A);
    send(&mut rig, &handed, 2000);
    assert_eq!(rig.out.done.last(), Some(&(A.key(), 2)));
    assert_eq!(rig.places(), [0, 1000, 2000]);
}

#[test]
fn what_never_came_is_found_at_the_second_look() {
    let other = Conn { slot: 9, ..A };
    let mut rig = Rig::new();
    rig.bytes(A, 0, 10);
    rig.bytes(other, 0, 10);
    rig.wait(100 * MS);
    let handed_over = |key| if key == A.key() { 3 } else { 1 };
    assert_eq!(rig.engine.resync(rig.now, handed_over), [], "they may be on their way");
    rig.wait(100 * MS);
    assert_eq!(rig.engine.resync(rig.now, handed_over), [(A.key(), 3)]);
    assert_eq!(rig.engine.tally.missed, 2);
    rig.wait(100 * MS);
    assert_eq!(rig.engine.resync(rig.now, handed_over), []);
    assert_eq!(rig.engine.tally.missed, 2);
}

#[test]
fn what_comes_after_the_first_look_was_not_lost() {
    let mut rig = Rig::new();
    rig.bytes(A, 0, 10);
    rig.wait(100 * MS);
    assert_eq!(rig.engine.resync(rig.now, |_| 2), []);
    rig.bytes(A, 10, 10);
    rig.wait(100 * MS);
    assert_eq!(rig.engine.resync(rig.now, |_| 2), []);
    rig.wait(100 * MS);
    assert_eq!(rig.engine.resync(rig.now, |_| 2), []);
    assert_eq!((rig.engine.tally.missed, rig.out.done.last()), (0, Some(&(A.key(), 2))));
}

#[test]
fn busy_and_holding_connections_are_not_looked_at() {
    let mut rig = Rig::under(&[delay(9, 1000 * MS)]);
    rig.bytes(A, 0, 10);
    for _ in 0..5 {
        rig.wait(100 * MS);
        assert_eq!(rig.engine.resync(rig.now, |_| 7), []);
    }
    assert_eq!(rig.engine.tally.missed, 0);
}

#[test]
fn at_the_end_everything_goes() {
    let never = Model::Reorder(Reorder { p: P_ALWAYS, gap: 99, delay: 5000 * MS });
    let other = Conn { slot: 9, flow: 1, ..A };
    let mut rig = Rig::new();
    rig.arm(&[(A, &[delay(9, 5000 * MS)]), (other, &[fault(8, never)])]);
    for i in 0..4 {
        rig.bytes(A, i * 10, 10);
        rig.bytes(other, i * 20, 20);
        rig.wait(MS);
    }
    assert_eq!(rig.wire_packets(), 0);
    rig.engine.flush(rig.now, &mut rig.out);
    for len in [10, 20] {
        let mut seen = rig.seen();
        seen.retain(|s| s.payload.len() == len);
        let places: Vec<_> = seen.iter().map(|s| (s.pos, s.at - T0)).collect();
        let expected: Vec<_> = (0..4).map(|i| (i * len as u64, 4 * MS)).collect();
        assert_eq!(places, expected);
    }
    assert!(rig.out.done.contains(&(A.key(), 4)) && rig.out.done.contains(&(other.key(), 4)));
}
