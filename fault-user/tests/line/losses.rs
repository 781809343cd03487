//! Wire packets that are lost out of super-packets.

use fault_common::event::{VERDICT_DROP, VERDICT_PASS};
use fault_common::fate::{self, Key, Loss, Model, Packet, State, Tables};
use proptest::prelude::*;

use crate::rig::{A, BASE, Conn, HEADERS, MS, MSS, Rig, T0, fault, lossy};

/// What the fault should do to the segments of `lens`, asked without the engine.
fn oracle(seed: u64, model: Model, lens: &[usize]) -> Vec<(u64, usize, bool)> {
    let mut state = [State::default()];
    let mut from = 0u64;
    let mut all = Vec::new();
    for len in lens {
        for at in (0..*len).step_by(MSS) {
            let payload = MSS.min(len - at);
            let packet = Packet {
                now: T0,
                pos: from + at as u64,
                attempt: 0,
                wire: (payload + HEADERS) as u32,
                payload: payload as u32,
                flags: 0x10,
                tcp: true,
                retransmission: false,
            };
            let key = Key { seed, flow: A.flow, nth: 1 };
            let fate =
                fate::decide(&[fault(9, model)], &Tables::default(), &key, &packet, &mut state);
            all.push((packet.pos, payload, fate.end.is_some()));
        }
        from += *len as u64;
    }
    all
}

fn models() -> impl Strategy<Value = Model> {
    prop_oneof![
        (0.0..1.0f64).prop_map(|p| lossy(9, p).model),
        (1..9u64).prop_map(|n| Model::Loss(Loss::Every(n))),
        (0..9u64).prop_map(|n| Model::Loss(Loss::First(n))),
    ]
}

proptest! {
    #[test]
    fn exactly_the_chosen_segments_are_missing(
        seed in any::<u64>(),
        model in models(),
        lens in prop::collection::vec(1..12 * MSS, 1..8),
    ) {
        let mut rig = Rig::with(seed, u64::MAX);
        rig.arm(&[(A, &[fault(9, model)])]);
        let mut from = 0;
        for len in &lens {
            rig.bytes(A, from, *len);
            from += *len as u64;
        }
        let expected = oracle(seed, model, &lens);
        let survive: Vec<_> = expected.iter().filter(|s| !s.2).map(|s| (s.0, s.1)).collect();
        let seen: Vec<_> = rig.seen().iter().map(|s| (s.pos, s.payload.len())).collect();
        prop_assert_eq!(seen, survive);
        let lost = expected.iter().filter(|s| s.2).count() as u64;
        let rule = rig.engine.tally.rules[&9];
        let counted = (rule.matched, rule.acted, rule.ended);
        prop_assert_eq!(counted, (expected.len() as u64, lost, lost));
        prop_assert_eq!(rig.tally(A).dropped, lost);
        told_as_it_was(&rig, &expected);
        joined(&rig, &expected, &lens);
    }
}

/// Each byte is told of once, with its own fate.
fn told_as_it_was(rig: &Rig, expected: &[(u64, usize, bool)]) {
    let mut told: Vec<_> = rig.out.events.iter().collect();
    told.sort_by_key(|e| e.seq.wrapping_sub(BASE));
    let mut rest = expected;
    for e in told {
        let (these, others) = rest.split_at(usize::from(e.segs));
        rest = others;
        assert_eq!(u64::from(e.seq.wrapping_sub(BASE)), these[0].0);
        assert_eq!(e.len as usize, these.iter().map(|s| s.1).sum::<usize>());
        let verdict = if these[0].2 { VERDICT_DROP } else { VERDICT_PASS };
        assert!(e.verdict == verdict && these.iter().all(|s| s.2 == these[0].2));
        assert_eq!(e.rule == 9, these[0].2);
    }
    assert!(rest.is_empty());
}

/// Neighbours that survive travel as one frame: as many frames as there are runs.
fn joined(rig: &Rig, expected: &[(u64, usize, bool)], lens: &[usize]) {
    let mut frames = 0;
    let mut rest = expected;
    for len in lens {
        let (these, others) = rest.split_at(len.div_ceil(MSS));
        rest = others;
        frames += these.chunk_by(|a, b| a.2 == b.2).filter(|run| !run[0].2).count();
    }
    assert_eq!(rig.out.written.len(), frames);
}

#[test]
fn a_retransmission_draws_anew() {
    let mut rig = Rig::under(&[lossy(9, 0.5)]);
    rig.bytes(A, 0, 40 * MSS);
    let mut tries = 0;
    let mut arrived = rig.places();
    while arrived.len() < 40 {
        tries += 1;
        assert!(tries < 40, "a bare position would lose the same packet for ever");
        for pos in (0..40).map(|i| i * MSS as u64).filter(|pos| !arrived.contains(pos)) {
            rig.bytes(A, pos, MSS);
        }
        arrived = rig.places();
    }
    assert!(tries > 1, "some are lost twice");
}

fn hit(seed: u64, conn: Conn, frame: usize) -> Vec<u64> {
    let mut rig = Rig::with(seed, u64::MAX);
    rig.arm(&[(conn, &[lossy(9, 0.3)])]);
    for from in (0..64 * MSS).step_by(frame) {
        rig.bytes(conn, from as u64, frame);
        rig.wait(MS);
    }
    rig.places()
}

#[test]
fn one_seed_hits_the_same_bytes_and_another_seed_others() {
    let one = hit(1, A, 32 * MSS);
    assert_eq!(one, hit(1, A, 32 * MSS));
    assert_eq!(one, hit(1, A, MSS), "however the packets are put together");
    assert_ne!(one, hit(2, A, 32 * MSS));
    assert_ne!(one, hit(1, Conn { flow: 1, ..A }, 32 * MSS));
}

/// A socket that connects again starts a stream of its own; its bytes are no retransmissions.
#[test]
fn a_second_connection_of_a_socket_is_a_new_stream() {
    let only_again = fate::When { retransmission: true, ..fate::When::default() };
    let mut rig = Rig::under(&[fate::Fault { when: only_again, ..lossy(9, 1.0) }]);
    rig.bytes(A, 0, MSS);
    let mut handed = rig.handed(A);
    handed.base = 5000;
    let mut spec = rig.spec(0, MSS);
    spec.tcp.as_mut().unwrap().seq = 5000;
    rig.accept(&handed, &spec);
    assert_eq!(rig.wire_packets(), 2);
    rig.accept(&handed, &spec);
    assert_eq!(rig.wire_packets(), 2, "and this one is");
}
