//! Random faults that a scenario may have.

use std::time::Duration;

use fault_user::scenario::model::*;
use proptest::prelude::*;

/// Probabilities with few and with many digits.
fn chance() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), (1..1000_u32).prop_map(|n| f64::from(n) / 1000.0), 1e-12..1.0]
}

fn held() -> impl Strategy<Value = Duration> {
    (1..600_000_000_000_u64).prop_map(Duration::from_nanos)
}

fn loss() -> impl Strategy<Value = Loss> {
    let share = || prop_oneof![Just(0.0), chance()];
    let nth = prop::collection::btree_set(1..u64::MAX, 1..32);
    prop_oneof![
        chance().prop_map(Loss::Random),
        (1..u64::MAX).prop_map(Loss::Every),
        (1..u64::MAX).prop_map(Loss::First),
        nth.prop_map(|set| Loss::Nth(set.into_iter().collect())),
        (chance(), 2..1_000_000_u32).prop_map(|(p, len)| Loss::Burst { p, len }),
        (chance(), share(), share(), chance()).prop_map(|(p, r, good, bad)| Loss::GilbertElliott {
            p,
            r,
            good,
            bad
        }),
        (chance(), share(), share(), share(), share()).prop_map(|(a, b, c, p23, e)| {
            // Halves, so that what leaves a state is at most 1.
            Loss::Markov { p13: a / 2.0, p31: b / 2.0, p32: c / 2.0, p23, p14: e / 2.0 }
        }),
    ]
}

fn delay() -> impl Strategy<Value = Delay> {
    let shape = prop_oneof![
        Just(Shape::Uniform),
        Just(Shape::Normal),
        Just(Shape::Pareto),
        Just(Shape::ParetoNormal),
    ];
    let correlation = prop_oneof![Just(0.0), chance()];
    let jitter = (held(), shape, correlation).prop_map(|(spread, shape, correlation)| Jitter {
        spread,
        shape,
        correlation,
    });
    (held(), prop::option::of(jitter), any::<bool>()).prop_map(|(mean, jitter, keep)| Delay {
        mean,
        keep_order: keep || jitter.is_none(),
        jitter,
    })
}

fn corrupt() -> impl Strategy<Value = Corrupt> {
    let offset = prop::option::of((0..60_000_u32, 200..5000_u32).prop_map(|(a, n)| (a, a + n)));
    (chance(), 1..1024_u32, any::<bool>(), offset, any::<bool>())
        .prop_map(|(p, bits, valid, offset, headers)| Corrupt { p, bits, valid, offset, headers })
}

/// Faults of packets, which go with `when` and `pulse`.
fn of_packets() -> impl Strategy<Value = Fault> {
    let rate = (1_000_000..u64::MAX / 2, 1500..64_u64 << 20)
        .prop_map(|(bits_per_s, queue)| Fault::Rate(Rate { bits_per_s, queue }));
    prop_oneof![
        loss().prop_map(Fault::Drop),
        delay().prop_map(Fault::Delay),
        rate,
        corrupt().prop_map(Fault::Corrupt),
        (chance(), 1..100_u32).prop_map(|(p, copies)| Fault::Duplicate(Duplicate { p, copies })),
        (chance(), 1..10_000_u32, held()).prop_map(|(p, gap, delay)| Fault::Reorder(Reorder {
            p,
            gap,
            delay
        })),
        prop::sample::select(Reject::ALL.to_vec()).prop_map(Fault::Reject),
        chance().prop_map(Fault::MarkCe),
    ]
}

/// Faults that stand alone.
fn of_connections() -> impl Strategy<Value = Fault> {
    let then = prop::sample::select(vec![Then::Drop, Then::Reset]);
    prop_oneof![
        prop::sample::select(vec![Side::Local, Side::Peer, Side::Both]).prop_map(Fault::Reset),
        Just(Fault::Abort),
        Just(Fault::Stall),
        (1..u64::MAX, then).prop_map(|(bytes, then)| Fault::Limit(Limit { bytes, then })),
    ]
}

fn when() -> impl Strategy<Value = When> {
    // With the others `stream` and `retransmission` may contradict.
    let segment = prop::option::of(prop::sample::select(vec![Segment::Data, Segment::Fin]));
    let size = prop::option::of((0..1000_u32, 28..60_000_u32).prop_map(|(a, n)| (a, a + n)));
    let stream = prop::option::of((0..u64::MAX / 2, 1..u64::MAX / 2).prop_map(|(a, n)| (a, a + n)));
    (segment, size, stream, any::<bool>()).prop_map(|(segment, size, stream, retransmission)| {
        When { segment, size, stream, retransmission }
    })
}

/// Any fault, of the flow 0 and in both directions.
pub fn any_spec() -> impl Strategy<Value = FaultSpec> {
    let pulse = || prop::option::of((held(), held()).prop_map(|(on, off)| Pulse { on, off }));
    let spec = |fault, when, pulse| FaultSpec {
        flow: FlowId(0),
        direction: DirectionSpec::Both,
        fault,
        when,
        pulse,
        may_miss: false,
    };
    prop_oneof![
        4 => (of_packets(), when(), pulse()).prop_map(move |(f, w, p)| spec(f, w, p)),
        1 => of_connections().prop_map(move |f| spec(f, When::default(), None)),
    ]
}
