//! Random packets under random chains: every verdict, event and counter as the model says.

use std::cell::Cell;

use fault_common::rule::{Direction, LOSS_RANDOM, P_ALWAYS, Rule};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestError, TestRunner};

use crate::dissect::dissect;
use crate::generate::{bystander, chains, packet};
use crate::model::Chains;
use crate::packet::Packet;
use crate::rig::{Rig, certain, chain, data, only, setup, sockets};

/// Each case loads the programs anew (about 0.6 s), so there are few, of many packets; shrinking
/// is bounded for the same reason.
const CASES: u32 = 6;
const PACKETS: usize = 250;

/// As the macro does, but a failure shows the packet at fault, not the hundreds before it.
fn run<S: Strategy>(cases: u32, all: &S, case: impl Fn(S::Value) -> TestCaseResult) {
    let config =
        Config { cases, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    match TestRunner::new(config).run(all, case) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(TestError::Abort(reason)) => panic!("gave up: {reason}"),
    }
}

/// Chains and the packets that meet them.
type Phase = (Chains, Vec<Packet>);

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let packets = prop::collection::vec(packet(), PACKETS);
    prop::collection::vec((chains(), packets), 2)
}

#[test]
fn every_packet_meets_the_fate_that_the_model_says() {
    let (judged, lost) = (Cell::new(0), Cell::new(0));
    let case = |(seed, ethernet, phases): (u64, bool, Vec<Phase>)| {
        let mut rig = Rig::new(&setup(seed));
        for (chains, packets) in phases {
            rig.arm(chains);
            for packet in &packets {
                rig.receive(packet, ethernet);
            }
        }
        judged.set(judged.get() + rig.model.matched);
        lost.set(lost.get() + rig.model.acted);
        rig.finish();
        Ok(())
    };
    let all = (any::<u64>(), prop::bool::weighted(0.7), phases());
    run(CASES, &all, case);
    // A generator that makes nothing but bystanders, or chains that never act, would prove nothing.
    assert!(
        judged.get() > 2000 && lost.get() > 200,
        "{} judged, {} lost",
        judged.get(),
        lost.get()
    );
}

#[test]
fn a_bystander_leaves_no_event_and_no_counter() {
    let everything: Chains = (0..2)
        .flat_map(|flow| Direction::BOTH.map(|dir| ((flow, dir), chain(&[certain(flow)]))))
        .collect();
    let case = |(ethernet, packets): (bool, Vec<Packet>)| {
        let mut rig = Rig::new(&setup(1));
        rig.arm(everything.clone());
        for packet in &packets {
            let facts = dissect(&packet.bytes(ethernet), ethernet, packet.segs);
            // A random change may undo another one; what is left is a known socket's after all.
            if facts.and_then(|f| rig.model.addressee(&f)).is_none() {
                rig.receive(packet, ethernet);
            }
        }
        assert_eq!(rig.model.matched, 0);
        rig.finish();
        Ok(())
    };
    let all = (prop::bool::weighted(0.7), prop::collection::vec(bystander(), 400));
    run(3, &all, case);
}

/// Pure acknowledgements of a socket that only sends all have one sequence number. A draw by
/// position alone would let each of them pass once the first one has.
///
/// n = 1000 at p = 0.5: the standard deviation is 15.8; five of them are 79.
#[test]
fn each_pure_acknowledgement_draws_anew() {
    let mut rig = Rig::new(&setup(11));
    let half = Rule { kind: LOSS_RANDOM, p32: P_ALWAYS / 2, ..Rule::NONE };
    rig.arm(only(0, &[half]));
    let socket = sockets()[0];
    for i in 0..1000 {
        rig.receive(&Packet::tcp(socket.remote, socket.local, 0x10, 500, 0).ack(i), true);
    }
    let dropped = rig.kernel.slot(socket.slot, Direction::Ingress).unwrap().dropped;
    assert!(dropped.abs_diff(500) < 79, "{dropped} of 1000 lost at p = 0.5");
    rig.finish();
}

/// The bytes that come to stand where acknowledgements stood meet the fate that they would have
/// met without them: timing must not change it.
#[test]
fn acknowledgements_do_not_change_the_fate_of_bytes() {
    let third = Rule { kind: LOSS_RANDOM, p32: P_ALWAYS / 3, ..Rule::NONE };
    let fates = |acks: u32| -> Vec<i32> {
        let mut rig = Rig::new(&setup(12));
        rig.arm(only(0, &[third]));
        let socket = sockets()[0];
        let mut code = |i: u32| {
            let seq = 1000 + i * 100;
            for _ in 0..acks {
                rig.receive(&Packet::tcp(socket.remote, socket.local, 0x10, seq, 0), true);
            }
            rig.receive(&data(&socket, seq), true).code
        };
        (0..100).map(&mut code).collect()
    };
    assert_eq!(fates(0), fates(3));
}
