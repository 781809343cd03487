//! Rules that come and go while packets are held.

use fault_common::fate::{Model, Reorder};
use fault_common::rule::P_ALWAYS;
use proptest::prelude::*;

use crate::rig::{A, Conn, MS, Rig, T0, delay, fault, jitter, lossy};

/// [`Handed::bank`](fault_common::line::Handed::bank) of a packet for which no rule holds.
const NO_BANK: u32 = 2;

fn small(rig: &mut Rig, n: u64) {
    rig.bytes(A, n * 10, 10);
}

fn numbers(rig: &Rig) -> Vec<u64> {
    rig.places().iter().map(|pos| pos / 10).collect()
}

#[test]
fn lifted_it_all_goes_at_once_in_order_and_nothing_overtakes() {
    let mut rig = Rig::under(&[delay(9, 200 * MS)]);
    for n in 0..5 {
        small(&mut rig, n);
        rig.wait(MS);
    }
    // The programs are faster than the line: a packet under the new rules comes first.
    let bank = rig.stage(&[]);
    rig.bank = NO_BANK;
    small(&mut rig, 5);
    assert_eq!(rig.wire_packets(), 0);
    rig.engine.live(bank as usize, rig.now);
    rig.until(rig.now);
    small(&mut rig, 6);
    assert_eq!(numbers(&rig), [0, 1, 2, 3, 4, 5, 6]);
    assert!(rig.seen().iter().all(|s| s.at == T0 + 5 * MS));
}

/// It came after the flip, and the line was told of that before it got to read the packet. Another
/// step of the same moment flips once more.
#[test]
fn what_came_before_the_line_knew_and_is_read_after_that_overtakes_nothing() {
    let mut rig = Rig::under(&[delay(9, 200 * MS)]);
    small(&mut rig, 0);
    rig.wait(MS);
    rig.arm(&[]);
    rig.arm(&[]);
    let handed = fault_common::line::Handed { ts: rig.now - 1, bank: NO_BANK, ..rig.handed(A) };
    let spec = rig.spec(10, 10);
    rig.accept(&handed, &spec);
    assert_eq!(numbers(&rig), [0, 1]);
}

/// They were judged by the old rules, but those do not hold them any more, nor what follows.
#[test]
fn the_last_packets_of_the_old_bank_go_at_once() {
    let mut rig = Rig::under(&[delay(9, 200 * MS), lossy(8, 0.0)]);
    small(&mut rig, 0);
    let old = rig.bank;
    rig.arm(&[]);
    let new = std::mem::replace(&mut rig.bank, old);
    small(&mut rig, 1);
    rig.bank = new;
    small(&mut rig, 2);
    rig.bank = NO_BANK;
    small(&mut rig, 3);
    assert_eq!(numbers(&rig), [0, 1, 2, 3]);
    assert!(rig.seen().iter().all(|s| s.at == T0));
    assert_eq!(rig.engine.tally.rules[&8].matched, 2, "they met the old rules");
}

/// The first packets of a new delay come before the line is told that it is live.
#[test]
fn the_first_packets_of_the_new_bank_are_held() {
    let mut rig = Rig::under(&[]);
    small(&mut rig, 0);
    rig.bank = rig.stage(&[(A, &[delay(9, 30 * MS)])]);
    small(&mut rig, 1);
    rig.engine.live(rig.bank as usize, rig.now);
    small(&mut rig, 2);
    rig.wait(40 * MS);
    assert_eq!(rig.times(), [(0, 0), (10, 30 * MS), (20, 30 * MS)]);
}

proptest! {
    /// From any delay to any other, also with packets of the old bank after the flip.
    #[test]
    fn a_change_of_the_delay_reorders_nothing(
        before in 0..200 * MS, after in 0..200 * MS, late in 0..4u64,
    ) {
        let mut rig = Rig::under(&[delay(9, before)]);
        for n in 0..10 {
            small(&mut rig, n);
            rig.wait(MS);
        }
        let old = rig.bank;
        rig.arm(&[(A, &[delay(8, after)])]);
        let new = std::mem::replace(&mut rig.bank, old);
        for n in 10..10 + late {
            small(&mut rig, n);
        }
        rig.bank = new;
        for n in 10 + late..20 {
            rig.wait(MS);
            small(&mut rig, n);
        }
        rig.wait(500 * MS);
        prop_assert_eq!(numbers(&rig), (0..20).collect::<Vec<_>>());
        for s in rig.seen().iter().filter(|s| s.pos >= 190) {
            let own = 20 - late + after / MS;
            prop_assert!(s.at - T0 <= (before / MS + own + 11) * MS, "no later than need be");
        }
    }
}

#[test]
fn overtaking_that_a_fault_wants_ends_with_it() {
    let mut rig = Rig::under(&[jitter(9, 50 * MS, 50 * MS, false)]);
    for n in 0..50 {
        small(&mut rig, n);
    }
    rig.arm(&[]);
    rig.until(rig.now);
    for n in 50..60 {
        small(&mut rig, n);
    }
    let numbers = numbers(&rig);
    assert_eq!(numbers.len(), 60);
    assert_eq!(numbers[50..], (50..60).collect::<Vec<_>>());
}

#[test]
fn what_is_held_back_is_let_go() {
    let reorder = Model::Reorder(Reorder { p: P_ALWAYS, gap: 3, delay: 50 * MS });
    let mut rig = Rig::under(&[fault(9, reorder)]);
    for n in 0..4 {
        small(&mut rig, n);
    }
    rig.arm(&[]);
    rig.until(rig.now);
    assert_eq!(numbers(&rig), [0, 1, 2, 3]);
    rig.wait(100 * MS);
    assert_eq!(rig.wire_packets(), 4);
}

#[test]
fn other_connections_keep_what_they_hold() {
    let other = Conn { slot: 8, flow: 1, ..A };
    let mut rig = Rig::new();
    rig.arm(&[(A, &[delay(9, 20 * MS)]), (other, &[delay(8, 20 * MS)])]);
    small(&mut rig, 0);
    rig.bytes(other, 0, 20);
    rig.wait(MS);
    rig.arm(&[(other, &[delay(8, 20 * MS)])]);
    rig.wait(100 * MS);
    let seen: Vec<_> = rig.seen().iter().map(|s| (s.payload.len(), s.at - T0)).collect();
    assert_eq!(seen, [(10, MS), (20, 20 * MS)]);
}

#[test]
fn what_a_fault_knows_outlives_a_change_of_others() {
    use fault_common::fate::Loss;
    let third = fault(9, Model::Loss(Loss::Every(3)));
    let mut rig = Rig::under(&[third]);
    small(&mut rig, 0);
    small(&mut rig, 1);
    rig.arm(&[(A, &[delay(8, 0), third])]);
    small(&mut rig, 2);
    small(&mut rig, 3);
    assert_eq!(numbers(&rig), [0, 1, 3]);
}
