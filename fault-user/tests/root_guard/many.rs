//! Several guards in one process: on several streams, on one, in several threads, one after the other.

use std::sync::Barrier;
use std::time::Duration;

use fault_user::guard::{self, Fault, GuardError};

use crate::scene::{Pair, alone, held, soon};

/// As many streams as the kernel has flows.
const FLOWS: usize = fault_common::rule::MAX_FLOWS as usize;

/// As tests do it: each in its thread, all at once, with no wish to know of the others.
#[test]
fn guards_of_many_threads_do_not_meet() {
    const THREADS: usize = 8;
    let barrier = Barrier::new(THREADS);
    let work = |n: u64| {
        let mut pair = Pair::new();
        barrier.wait();
        for _ in 0..5 {
            let fault = Fault::on(&pair.client).unwrap().egress().drop_first(n).arm().unwrap();
            pair.says("hello");
            assert_eq!(pair.hears(5, soon()), "hello");
            let counts = fault.lift().unwrap();
            assert_eq!((counts.egress.hit, counts.egress.stream.dropped), (n, n), "{counts:?}");
        }
        barrier.wait();
        held().programs.len()
    };
    alone(|| {
        let loaded = guard::load().unwrap();
        let programs = held().programs.len();
        // Threads inherit the network namespace of the one that makes them.
        let seen = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|i| scope.spawn(move || work(1 + i as u64 % 3))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(seen.iter().all(|n| *n == programs), "loaded once: {seen:?}, {programs}");
        drop(loaded);
    });
}

/// Whoever comes while they are being loaded waits for that, and does not load them again.
#[test]
fn the_first_guards_of_several_threads_load_once() {
    alone(|| {
        let programs = {
            let _loaded = guard::load().unwrap();
            held().programs.len()
        };
        assert_eq!(held().programs.len(), 0, "gone with the last");
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let pair = Pair::new();
                    start.wait();
                    let fault = Fault::on(&pair.client).unwrap().drop_all().arm().unwrap();
                    start.wait();
                    assert_eq!(held().programs.len(), programs);
                    start.wait();
                    drop(fault);
                });
            }
        });
    });
}

#[test]
fn two_guards_of_a_stream_stack_and_go_apart() {
    alone(|| {
        let mut pair = Pair::new();
        let first = Fault::on(&pair.client).unwrap().egress().drop_first(1).arm().unwrap();
        let second = Fault::on(&pair.client).unwrap().egress().drop_all().arm().unwrap();
        pair.says("hello");
        let counts = second.wait_hits(2, soon()).unwrap();
        let of_first = first.counts().unwrap();
        assert_eq!(of_first.egress.hit, 1, "{of_first:?}");
        assert!(
            of_first.egress.judged > counts.egress.judged,
            "it judges before: {of_first:?} {counts:?}"
        );
        drop(first);
        let before = second.counts().unwrap().egress.hit;
        second.wait_hits(before + 1, soon()).unwrap();
        assert_eq!(pair.hears(5, Duration::from_millis(50)), "", "the second is still on");
        drop(second);
        assert_eq!(pair.hears(5, soon()), "hello");
    });
}

/// A flow of the kernel goes from stream to stream; who had it before is not hit again.
#[test]
fn more_streams_than_flows_one_after_the_other() {
    alone(|| {
        let mut pairs: Vec<Pair> = (0..FLOWS + 4).map(|_| Pair::new()).collect();
        let _loaded = guard::load().unwrap();
        for round in 0..2 {
            for i in 0..pairs.len() {
                let fault =
                    Fault::on(&pairs[i].client).unwrap().egress().drop_first(1).arm().unwrap();
                let others = (0..pairs.len()).filter(|other| other % 5 == i % 5 && *other != i);
                others.for_each(|other| pairs[other].works());
                assert_eq!(
                    fault.counts().unwrap().hits(),
                    0,
                    "round {round}, {i}: nothing was its own"
                );
                pairs[i].works();
                assert_eq!(fault.counts().unwrap().hits(), 1, "round {round}, {i}");
            }
        }
    });
}

#[test]
fn as_many_as_there_are_flows_at_a_time() {
    alone(|| {
        let pairs: Vec<Pair> = (0..=FLOWS).map(|_| Pair::new()).collect();
        let arm = |pair: &Pair| Fault::on(&pair.client).unwrap().drop_all().arm();
        let mut guards: Vec<_> = pairs[..FLOWS].iter().map(|pair| arm(pair).unwrap()).collect();
        let error = arm(&pairs[FLOWS]).unwrap_err();
        assert!(matches!(error, GuardError::Full { count: FLOWS, .. }), "{error}");
        guards.pop();
        drop(arm(&pairs[FLOWS]).unwrap());
    });
}
