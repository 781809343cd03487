//! When packets go on.

use fault_common::fate::{Fault, Model, Pulse, Rate};
use fault_common::rule::Direction;
use proptest::prelude::*;

use crate::rig::{A, Conn, HEADERS, MS, MSS, Rig, T0, delay, fault, jitter, lossy};

fn rate(id: u32, bits_per_s: u64, queue: u64) -> Fault {
    fault(id, Model::Rate(Rate { bits_per_s, queue }))
}

fn sorted(places: &[u64]) -> bool {
    places.windows(2).all(|pair| pair[0] < pair[1])
}

proptest! {
    #[test]
    fn a_constant_delay_is_exact_and_keeps_order_and_super_packets(
        packets in prop::collection::vec((1..9 * MSS, 0..30 * MS), 1..12),
        ns in 1..100 * MS,
    ) {
        let mut rig = Rig::under(&[delay(9, ns)]);
        let (mut from, mut due) = (0, Vec::new());
        for (len, gap) in &packets {
            rig.bytes(A, from, *len);
            due.push((from, rig.now + ns));
            from += *len as u64;
            rig.wait(*gap);
        }
        rig.wait(ns);
        let went: Vec<_> = rig.out.written.iter().map(|w| w.at).collect();
        let firsts: Vec<_> = rig.out.written.iter().map(|w| w.wire[0].seq.wrapping_sub(crate::rig::BASE).into()).collect();
        prop_assert_eq!(firsts.into_iter().zip(went).collect::<Vec<(u64, u64)>>(), due);
        prop_assert_eq!(rig.seen().iter().map(|s| s.payload.len()).sum::<usize>() as u64, from);
        prop_assert_eq!(rig.tally(A).delayed, rig.wire_packets());
        prop_assert_eq!(rig.engine.tally.lateness.max(), 1);
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_in_order_if_it_is_to(
        keep in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut rig = Rig::with(seed, u64::MAX);
        rig.arm(&[(A, &[jitter(9, 20 * MS, 10 * MS, keep)])]);
        for i in 0..200 {
            rig.bytes(A, i * 10, 10);
            rig.wait(MS / 2);
        }
        rig.wait(30 * MS);
        let seen = rig.seen();
        prop_assert_eq!(seen.len(), 200);
        for s in &seen {
            let held = s.at - (T0 + s.pos / 10 * (MS / 2));
            prop_assert!((10 * MS..=30 * MS).contains(&held), "{} ns", held);
        }
        prop_assert_eq!(sorted(&rig.places()), keep, "200 packets overtake each other, or never");
    }
}

#[test]
fn events_tell_how_long_packets_were_held() {
    let mut rig = Rig::under(&[delay(9, 25 * MS)]);
    rig.bytes(A, 0, 10);
    let inward = Conn { slot: 4, dir: Direction::Ingress, ..A };
    rig.arm(&[(A, &[delay(9, 25 * MS)]), (inward, &[delay(8, 5 * MS)])]);
    rig.bytes(inward, 0, 10);
    assert!(rig.out.events.is_empty(), "nothing has gone on");
    rig.wait(25 * MS);
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.slot, e.rule, e.aux, e.ts - T0)).collect();
    assert_eq!(told, [(4, 8, 5000, 5 * MS), (3, 9, 25_000, 0)], "sent then, received now");
}

#[test]
fn a_rate_spaces_packets_as_on_the_wire() {
    let wire = (MSS + HEADERS) as u64;
    // A packet a millisecond.
    let mut rig = Rig::under(&[rate(9, wire * 8 * 1000, 1 << 20)]);
    rig.bytes(A, 0, 5 * MSS);
    rig.bytes(A, 5 * MSS as u64, 2 * MSS);
    rig.wait(100 * MS);
    let expected: Vec<_> = (0..7).map(|i| (i * MSS as u64, (i + 1) * MS)).collect();
    assert_eq!(rig.times(), expected);
}

#[test]
fn a_full_queue_loses_what_comes_last_and_a_delay_behind_it_adds() {
    let wire = (MSS + HEADERS) as u64;
    let mut rig = Rig::under(&[rate(9, wire * 8 * 1000, 3 * wire), delay(8, 40 * MS)]);
    rig.bytes(A, 0, 6 * MSS);
    rig.wait(100 * MS);
    let expected: Vec<_> = (0..3).map(|i| (i * MSS as u64, (i + 41) * MS)).collect();
    assert_eq!(rig.times(), expected);
    assert_eq!(rig.tally(A).dropped, 3);
    assert_eq!(rig.engine.tally.rules[&8].matched, 3, "what is lost before it is not seen");
}

#[test]
fn a_pulse_is_on_and_off() {
    let pulse = Some(Pulse { on: 10 * MS, off: 10 * MS, armed: T0 });
    let mut rig = Rig::under(&[Fault { pulse, ..delay(9, 3 * MS) }]);
    for i in 0..8 {
        rig.bytes(A, i * 10, 10);
        rig.wait(5 * MS);
    }
    let held: Vec<_> = rig.seen().iter().map(|s| s.at - T0 - s.pos / 10 * 5 * MS).collect();
    assert_eq!(held, [3, 3, 0, 0, 3, 3, 0, 0].map(|ms| ms * MS));
}

#[test]
fn connections_and_directions_do_not_touch_each_other() {
    let others = [
        Conn { slot: 4, ..A },
        Conn { slot: 5, flow: 1, ..A },
        Conn { dir: Direction::Ingress, ..A },
    ];
    let alone = |with: &[Conn]| {
        let mut rig = Rig::under(&[lossy(9, 0.3), delay(8, 7 * MS)]);
        for i in 0..30 {
            rig.bytes(A, i * 100, 100);
            with.iter().for_each(|conn| rig.bytes(*conn, i * 77, 77));
            rig.wait(MS);
        }
        rig.wait(10 * MS);
        let of = |len: usize| {
            let mut seen = rig.seen();
            seen.retain(|s| s.payload.len() == len);
            seen
        };
        (of(100), of(77))
    };
    let (mine, none) = alone(&[]);
    assert!(none.is_empty() && mine.len() < 30);
    let (still, theirs) = alone(&others[1..]);
    assert_eq!(still, mine);
    assert_eq!(theirs.len(), 60, "no fault means them");
    assert!(theirs.iter().all(|s| s.at == T0 + s.pos / 77 * MS));
    assert_eq!(alone(&others[..1]).0, mine, "another socket of the same flow");
}
