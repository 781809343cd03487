//! Packets that are overtaken, and packets that come more than once.

use fault_common::event::VERDICT_PASS;
use fault_common::fate::{Duplicate, Fault, Model, Reorder};
use fault_common::rule::P_ALWAYS;
use proptest::prelude::*;

use crate::rig::{A, MS, MSS, Rig, T0, delay, fault, share, within};

fn reorder(gap: u32, delay: u64) -> Model {
    Model::Reorder(Reorder { p: P_ALWAYS, gap, delay })
}

/// Holds the packet back that has the byte at `pos`.
fn hold(id: u32, pos: u64, gap: u32) -> Fault {
    within(pos, pos + 1, fault(id, reorder(gap, 50 * MS)))
}

/// Of the packets 0, 1, ... of MSS bytes.
fn numbers(rig: &Rig) -> Vec<u64> {
    rig.places().iter().map(|pos| pos / MSS as u64).collect()
}

proptest! {
    /// However packets are put together, and behind a delay as well.
    #[test]
    fn exactly_the_gap_passes(
        which in 0..10u64,
        gap in 1..8u32,
        frames in prop::collection::vec(1..9usize, 1..9),
        behind in prop_oneof![Just(0), 1..20 * MS],
    ) {
        let mut rig = Rig::under(&[delay(8, behind), hold(9, which * MSS as u64, gap)]);
        let mut next = 0;
        for n in frames {
            rig.bytes(A, next * MSS as u64, n * MSS);
            next += n as u64;
        }
        rig.wait(behind);
        let mut expected: Vec<u64> = (0..next).collect();
        if which < next {
            expected.remove(which as usize);
            let place = (which + u64::from(gap)).min(next - 1);
            expected.insert(place as usize, which);
            // If too few came it waits until its time is up.
            if which + u64::from(gap) >= next {
                expected.pop();
            }
        }
        prop_assert_eq!(numbers(&rig), expected);
        rig.wait(50 * MS);
        prop_assert_eq!(numbers(&rig).len() as u64, next);
        prop_assert!(rig.seen().iter().all(|s| s.at >= T0 + behind), "nothing early");
        prop_assert_eq!(rig.tally(A).reordered, u64::from(which < next));
    }
}

#[test]
fn it_goes_when_its_time_is_up() {
    let mut rig = Rig::under(&[delay(8, 5 * MS), hold(9, 0, 3)]);
    rig.bytes(A, 0, 3 * MSS);
    rig.wait(200 * MS);
    let mss = MSS as u64;
    assert_eq!(rig.times(), [(mss, 5 * MS), (2 * mss, 5 * MS), (0, 55 * MS)]);
}

/// Packets that were sent before it have not passed it, whenever they go on.
#[test]
fn earlier_packets_in_a_delay_do_not_count() {
    let mut rig = Rig::under(&[delay(8, 20 * MS), hold(9, 3 * MSS as u64, 2)]);
    for i in 0..6 {
        rig.bytes(A, i * MSS as u64, MSS);
        rig.wait(MS);
    }
    rig.wait(200 * MS);
    assert_eq!(numbers(&rig), [0, 1, 2, 4, 5, 3]);
    assert_eq!(rig.times()[5].1, 25 * MS, "right behind the second that passed");
}

/// Where every packet waits nobody passes: each waits for its own time.
#[test]
fn who_is_held_back_as_well_does_not_pass() {
    let mut rig = Rig::under(&[fault(9, reorder(1, 50 * MS))]);
    for i in 0..5 {
        rig.bytes(A, i * MSS as u64, MSS);
        rig.wait(10 * MS);
    }
    rig.wait(100 * MS);
    let expected: Vec<_> = (0..5).map(|i| (i * MSS as u64, (50 + 10 * i) * MS)).collect();
    assert_eq!(rig.times(), expected);
}

#[test]
fn copies_follow_their_original() {
    let double = fault(9, Model::Duplicate(Duplicate { p: P_ALWAYS, copies: 2 }));
    let mut rig = Rig::under(&[within(MSS as u64, MSS as u64 + 1, double), delay(8, MS)]);
    rig.bytes(A, 0, 4 * MSS);
    rig.wait(MS);
    assert_eq!(numbers(&rig), [0, 1, 1, 1, 2, 3]);
    let tally = rig.tally(A);
    assert_eq!((tally.duplicated, tally.delayed, tally.dropped), (2, 4, 0));
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.len, e.segs, e.verdict)).collect();
    assert_eq!(told, [(1000, 1, VERDICT_PASS), (1000, 1, VERDICT_PASS), (2000, 2, VERDICT_PASS)]);
    assert_eq!(rig.out.written.len(), 5, "the two behind travel as one frame");
}

#[test]
fn the_originals_share_is_as_asked() {
    let double = fault(9, Model::Duplicate(Duplicate { p: share(0.25), copies: 1 }));
    let mut rig = Rig::under(&[double]);
    for i in 0..100 {
        rig.bytes(A, i * 40 * MSS as u64, 40 * MSS);
    }
    let copies = rig.wire_packets() - 4000;
    // Five standard deviations of a binomial of 4000 with 1/4: 137.
    assert!((863..=1137).contains(&copies), "{copies}");
    assert_eq!(rig.tally(A).duplicated, copies);
    assert_eq!(rig.engine.tally.rules[&9].acted, copies);
}
