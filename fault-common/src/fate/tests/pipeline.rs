//! How faults of a stack meet.

use proptest::prelude::*;

use super::*;

fn delay(ms: u64) -> Fault {
    fault(Model::Delay(Delay {
        mean: ms * MS,
        jitter: 0,
        distribution: Distribution::Constant,
        correlation: 0,
        keep_order: false,
    }))
}

/// 12 Mbit/s: a full packet takes 1 ms.
fn rate(queue: u64) -> Fault {
    fault(Model::Rate(Rate { bits_per_s: 12_000_000, queue }))
}

fn duplicate(p: u64, copies: u32) -> Fault {
    fault(Model::Duplicate(Duplicate { p, copies }))
}

fn reorder(p: u64, gap: u32, ms: u64) -> Fault {
    fault(Model::Reorder(Reorder { p, gap, delay: ms * MS }))
}

fn releases(stack: &[Fault], times: &[u64]) -> Vec<u64> {
    let mut line = Line::new(stack);
    let packets = (0..).zip(times).map(|(i, ms)| Packet { now: ms * MS, ..segment(i) });
    packets.map(|packet| line.judge(&packet).release / MS).collect()
}

#[test]
fn an_empty_stack_lets_everything_through() {
    assert_eq!(Line::new([]).judge(&segment(3)), Fate::untouched(3 * MS));
}

#[test]
fn delays_add_up() {
    assert_eq!(releases(&[delay(10), delay(5)], &[0, 1, 7]), [15, 16, 22]);
}

#[test]
fn a_rate_gets_packets_when_the_delay_lets_them_go_and_the_other_way_round() {
    let both = [11, 12, 13, 21];
    assert_eq!(releases(&[delay(10), rate(9000)], &[0, 0, 0, 10]), both);
    assert_eq!(releases(&[rate(9000), delay(10)], &[0, 0, 0, 10]), both);
    // Packets 5 ms apart that a pulse of jitter brings together leave the rate one after the other.
    let slow = Fault { when: When { size: Some((1500, 1500)), ..When::default() }, ..delay(5) };
    let mut line = Line::new([slow, rate(9000)]);
    assert_eq!(line.judge(&Packet { now: 0, ..segment(0) }).release, 6 * MS);
    let small = Packet { now: 5 * MS, wire: 750, ..segment(1) };
    assert_eq!(line.judge(&small).release, 6 * MS + MS / 2);
}

#[test]
fn what_an_earlier_fault_loses_later_ones_never_judge() {
    let stack = [delay(1), loss(Loss::Every(2)), loss(Loss::First(2)), delay(5)];
    let mut line = Line::new(stack);
    let fates = line.segments(5);
    let ends: Vec<_> = fates.iter().map(|f| (f.end.is_some(), f.by, f.judged, f.acted)).collect();
    assert_eq!(
        ends,
        [
            (true, 2, 0b0111, 0b0101),
            (true, 1, 0b0011, 0b0011),
            (true, 2, 0b0111, 0b0101),
            (true, 1, 0b0011, 0b0011),
            (false, 0, 0b1111, 0b1001),
        ]
    );
    assert_eq!(line.states.iter().map(|s| s.seen).collect::<Vec<_>>(), [5, 5, 3, 1]);
}

#[test]
fn a_lost_packet_takes_no_room_in_a_queue_behind() {
    let found = Line::new([loss(Loss::First(1)), rate(1500)]).segments(2);
    assert_eq!(found[0].end, Some(End::Lost));
    assert_eq!(found[1].release, 2 * MS);
}

#[test]
fn copies_share_the_fate_and_take_room_in_queues_behind() {
    let stack = [duplicate(P_ALWAYS, 2), duplicate(P_ALWAYS, 1), rate(4500)];
    let mut line = Line::new(stack);
    let fate = line.judge(&segment(0));
    assert_eq!((fate.copies, fate.release), (3, 4 * MS));
    let fate = line.judge(&segment(0));
    assert_eq!((fate.end, fate.by), (Some(End::QueueFull), 2), "6000 bytes more");
    // In front of it they take none: the copies come after the queue.
    let fate = Line::new([rate(4500), duplicate(P_ALWAYS, 3)]).judge(&segment(0));
    assert_eq!((fate.copies, fate.release), (3, MS));
}

#[test]
fn a_packet_is_held_at_the_end_of_the_stack() {
    let fate = Line::new([reorder(P_ALWAYS, 3, 50), delay(10)]).judge(&segment(0));
    assert_eq!(fate.release, 10 * MS);
    assert_eq!(fate.hold, Some(Hold { gap: 3, until: 60 * MS }));
    let twice = [reorder(P_ALWAYS, 3, 20), reorder(P_ALWAYS, 1, 50)];
    let fate = Line::new(twice).judge(&segment(0));
    assert_eq!(fate.hold, Some(Hold { gap: 3, until: 50 * MS }));
}

#[test]
fn what_is_lost_is_not_held() {
    let fate = Line::new([reorder(P_ALWAYS, 3, 50), loss(Loss::First(1))]).judge(&segment(0));
    assert_eq!((fate.end, fate.hold), (Some(End::Lost), None));
}

#[test]
fn a_refusal_meets_every_packet_and_ends_it() {
    let fate = Line::new([fault(Model::Reject(4)), delay(5)]).judge(&segment(0));
    assert_eq!((fate.end, fate.judged, fate.acted), (Some(End::Rejected(4)), 1, 1));
}

#[test]
fn a_delay_of_nothing_has_not_acted() {
    let fate = Line::new([delay(0)]).judge(&segment(0));
    assert_eq!((fate.judged, fate.acted), (1, 0));
}

#[test]
fn marks_duplicates_and_holds_have_their_rates() {
    let n = 50_000;
    let p = p32(0.2);
    let ids = |(id, fault)| Fault { id, ..fault };
    let stack = [fault(Model::MarkCe(p)), duplicate(p, 1), reorder(p, 3, 50)];
    let stack: Vec<Fault> = (0..).zip(stack).map(ids).collect();
    let fates = Line::new(stack).segments(n);
    let hits = |hit: fn(&Fate) -> bool| fates.iter().filter(|fate| hit(fate)).count();
    let n = n as usize;
    assert_binomial(hits(|f| f.mark_ce), n, 0.2);
    assert_binomial(hits(|f| f.copies == 1), n, 0.2);
    assert_binomial(hits(|f| f.hold.is_some()), n, 0.2);
    assert_binomial(hits(|f| f.mark_ce && f.copies == 1), n, 0.04);
    assert_binomial(hits(|f| f.acted == 0), n, 0.512);
}

#[test]
#[should_panic(expected = "a state for each fault")]
fn a_missing_state_is_not_a_missing_fault() {
    decide(&[delay(1)], &Tables::default(), &KEY, &segment(0), &mut []);
}

fn models() -> impl Strategy<Value = Model> {
    let p = 0..=P_ALWAYS;
    let ms = || (0u64..20).prop_map(|ms| ms * MS);
    prop_oneof![
        p.clone().prop_map(|p| Model::Loss(Loss::Random(p / 8))),
        (p.clone(), 0u32..4).prop_map(|(p, len)| Model::Loss(Loss::Burst(Burst { p: p / 8, len }))),
        (ms(), ms(), any::<bool>()).prop_map(|(mean, jitter, keep_order)| Model::Delay(Delay {
            mean,
            jitter,
            distribution: Distribution::Uniform,
            correlation: P_ALWAYS / 4,
            keep_order,
        })),
        (1_000_000u64..1_000_000_000, 1500u64..64_000)
            .prop_map(|(bits_per_s, queue)| Model::Rate(Rate { bits_per_s, queue })),
        (p.clone(), 0u32..3).prop_map(|(p, copies)| Model::Duplicate(Duplicate { p, copies })),
        (p.clone(), 1u32..5, ms()).prop_map(|(p, gap, delay)| Model::Reorder(Reorder {
            p,
            gap,
            delay
        })),
        p.clone().prop_map(Model::MarkCe),
        (p, 1u32..9, any::<bool>()).prop_map(|(p, bits, headers)| Model::Corrupt(Corrupt {
            p,
            bits,
            valid: true,
            offset: (0, u32::MAX),
            headers,
        })),
        (0u64..100_000).prop_map(|bytes| Model::Limit(Limit { bytes, then: Then::Drop })),
    ]
}

fn stacks() -> impl Strategy<Value = Vec<Fault>> {
    prop::collection::vec(models(), 0..8)
        .prop_map(|models| (0..).zip(models).map(|(id, m)| Fault { id, ..fault(m) }).collect())
}

proptest! {
    /// What holds of every fate, and: the same again gives the same again.
    #[test]
    fn fates_are_consistent_and_repeatable(stack in stacks()) {
        let fates = Line::new(stack.clone()).segments(60);
        prop_assert_eq!(&fates, &Line::new(stack.clone()).segments(60));
        for (i, fate) in (0..).zip(&fates) {
            prop_assert!(fate.release >= segment(i).now);
            prop_assert_eq!(fate.acted & !fate.judged, 0);
            prop_assert!(fate.keep.is_none_or(|keep| keep <= MSS));
            prop_assert!(fate.hold.is_none_or(|hold| hold.until >= fate.release));
            if fate.end.is_some() {
                prop_assert!(fate.acted & 1 << fate.by != 0);
                prop_assert_eq!(fate.judged >> fate.by, 1, "judged after its end");
                prop_assert!(fate.hold.is_none());
            } else {
                prop_assert_eq!(fate.by, 0);
            }
        }
    }

    /// A stack is the composition of its parts: its first fault, then the rest on what that let
    /// through.
    #[test]
    fn a_stack_of_delays_and_rates_is_one_after_the_other(
        a in 0u64..30, b in 0u64..30, queue in 1500u64..9000, n in 1u64..40,
    ) {
        let whole = Line::new([delay(a), rate(queue), delay(b)]).segments(n);
        let (mut first, mut second) = (Line::new([delay(a), rate(queue)]), Line::new([delay(b)]));
        for (i, whole) in (0..).zip(whole) {
            let half = first.judge(&segment(i));
            prop_assert_eq!(whole.end, half.end);
            if half.end.is_none() {
                let rest = second.judge(&Packet { now: half.release, ..segment(i) });
                prop_assert_eq!(whole.release, rest.release);
            }
        }
    }
}
