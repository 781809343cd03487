//! No packet is lost that is not accounted for, and none is invented.

use fault_common::event::{VERDICT_DROP, VERDICT_PASS};
use fault_common::fate::{Duplicate, Fault, Limit, Model, Rate, Reorder, Then};
use proptest::prelude::*;

use crate::rig::{A, BASE, MS, MSS, Rig, delay, fault, jitter, lossy, share};

fn any_fault() -> impl Strategy<Value = Fault> {
    let p = 0.0..0.6f64;
    prop_oneof![
        p.clone().prop_map(|p| lossy(0, p)),
        (0..30 * MS).prop_map(|ns| delay(0, ns)),
        (1..30 * MS, any::<bool>()).prop_map(|(ns, keep)| jitter(0, ns, ns, keep)),
        (1..50u64, 1..20u64).prop_map(|(mbit, queue)| {
            fault(0, Model::Rate(Rate { bits_per_s: mbit * 1_000_000, queue: queue * 1500 }))
        }),
        (p.clone(), 1..4u32).prop_map(|(p, copies)| {
            fault(0, Model::Duplicate(Duplicate { p: share(p), copies }))
        }),
        (p, 1..6u32, 0..30 * MS).prop_map(|(p, gap, delay)| {
            fault(0, Model::Reorder(Reorder { p: share(p), gap, delay }))
        }),
        (0..60_000u64).prop_map(|bytes| fault(0, Model::Limit(Limit { bytes, then: Then::Drop }))),
    ]
}

fn stack() -> impl Strategy<Value = Vec<Fault>> {
    prop::collection::vec(any_fault(), 0..4).prop_map(|mut stack| {
        (0..).zip(&mut stack).for_each(|(id, fault)| fault.id = id);
        stack
    })
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for(
        seed in any::<u64>(),
        first in stack(),
        second in stack(),
        lens in prop::collection::vec((0..12 * MSS, 0..5 * MS), 1..24),
        hold in prop_oneof![Just(u64::MAX), 1000..60_000u64],
    ) {
        let mut rig = Rig::with(seed, hold);
        rig.arm(&[(A, &first)]);
        let (mut from, mut accepted, mut starts) = (0, 0, Vec::new());
        for (i, (len, gap)) in lens.iter().enumerate() {
            if i == lens.len() / 2 {
                rig.arm(&[(A, &second)]);
            }
            rig.bytes(A, from, *len);
            starts.extend((from..).step_by(MSS).take(len.div_ceil(MSS)));
            from += *len as u64;
            accepted += len.div_ceil(MSS).max(1) as u64;
            rig.wait(*gap);
        }
        rig.engine.flush(rig.now, &mut rig.out);
        let tally = rig.tally(A);
        let went = rig.wire_packets() + tally.dropped + tally.overflowed;
        // One that a limit cuts goes on in part and ends in part.
        prop_assert_eq!(went, accepted + tally.duplicated + cuts(&rig, &starts));
        prop_assert_eq!(rig.engine.next_at().is_none_or(|at| at > rig.now), true);
        prop_assert_eq!(rig.out.done.last(), Some(&(A.key(), lens.len() as u64)));
        told(&rig, from);
    }
}

/// Packets of which only the end is told to be lost.
fn cuts(rig: &Rig, starts: &[u64]) -> u64 {
    let lost = rig.out.events.iter().filter(|e| e.verdict == VERDICT_DROP && e.len > 0);
    let from = lost.map(|e| u64::from(e.seq.wrapping_sub(BASE)));
    from.filter(|from| !starts.contains(from)).count() as u64
}

/// Every byte is told of exactly once, apart from lost copies; lost packets as often as counted.
fn told(rig: &Rig, end: u64) {
    let tally = rig.tally(A);
    let drops = rig.out.events.iter().filter(|e| e.verdict == VERDICT_DROP);
    let lost: u64 = drops.map(|e| u64::from(e.segs)).sum();
    assert_eq!(lost, tally.dropped + tally.overflowed);
    let passed = rig.out.events.iter().filter(|e| e.verdict == VERDICT_PASS);
    let passed: u64 = passed.map(|e| u64::from(e.len)).sum();
    let all: u64 = rig.out.events.iter().map(|e| u64::from(e.len)).sum();
    assert!(passed <= end);
    if tally.overflowed == 0 {
        assert_eq!(all, end);
    }
    assert_eq!(rig.engine.tally.events, rig.out.events.len() as u64);
}
