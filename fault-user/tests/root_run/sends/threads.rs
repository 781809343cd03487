//! Several threads on one socket, known by the letters that they send.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::ops::Range;

use fault_user::ledger::build::build;
use fault_user::ledger::flow::{FlowRecord, SendCall};
use fault_user::ledger::store;
use fault_user::report::model::SendReport;
use fault_user::verdict::{Confidence, Verdict};

use super::{Scene, arrived, is_placed};
use crate::support::Lab;
use crate::support::run::Finished;
use crate::support::truth::messages;

#[test]
fn small_sends_of_four_threads_on_one_socket() {
    let lab = Lab::alone();
    let scene = Scene { server: "runs", ..Scene::new(&lab, "threads 250 100") };
    threads(&scene, 250, 100);
    lab.close();
}

#[test]
fn large_sends_of_four_threads_that_wait_for_room_in_between() {
    let lab = Lab::alone();
    let scene = Scene { server: "runs", ..Scene::new(&lab, "threads 5 200000") };
    threads(&scene, 5, 200_000);
    lab.close();
}

/// Each send of each thread is where its letter stood; who sent is known by the thread's own number.
fn threads(scene: &Scene<'_>, count: usize, size: u64) {
    let finished = scene.run();
    let report = finished.expect(0);
    let mut letters: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for r in scene.receipts().iter().filter(|r| r.id != "eof") {
        letters.entry(r.id.clone()).or_default().extend(r.from as i64..r.to as i64);
    }
    let said = fs::read_to_string(finished.out.join("apps/app.stderr")).expect("its own");
    let [flow] = &ledger(&finished)[..] else { panic!("one connection: {:#?}", report.flows) };
    let mut exact = 0;
    for line in said.lines() {
        let ["thread", letter, tid] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        let places = letters.remove(letter).expect("the server has it");
        let sends: Vec<&SendCall> =
            flow.sends.iter().filter(|s| s.tid.to_string() == tid && !s.is_empty()).collect();
        assert_eq!(sends.iter().map(|s| s.len()).sum::<u64>(), size * count as u64);
        let mut rest = &places[..];
        for send in sends {
            let (own, others) = rest.split_at(send.len() as usize);
            rest = others;
            let truth = own[0]..own[own.len() - 1] + 1;
            assert!(contains(&send.range, &truth), "{letter}: {truth:?} {send:?}");
            if send.exact {
                exact += 1;
                assert_eq!(send.range, truth, "{letter}");
            }
        }
    }
    assert!(letters.is_empty(), "{said}");
    let placed = flow.sends.iter().all(|s| s.exact || s.range.end - s.range.start > size as i64);
    println!("{exact} of {} exact", flow.sends.len());
    assert!(placed, "{:?}", flow.sends);
    // And so each message arrived, with or without its exact place.
    let sends = messages(&report);
    assert_eq!(sends.len(), 4 * count);
    if is_placed(&report) {
        return sends.values().for_each(|s| arrived(s));
    }
    // Of hundreds of one size at the same moment one or the other may be told before it is sent or after the next: then it is
    // not known which was its own, and that is what has to be said of it.
    let (unknown, known): (Vec<&SendReport>, Vec<&SendReport>) =
        sends.values().copied().partition(|s| s.verdict == Verdict::Unknown);
    known.iter().for_each(|s| arrived(s));
    assert!(unknown.iter().all(|s| s.confidence == Confidence::Gap), "{unknown:#?}");
    assert!(unknown.len() * 50 <= sends.len(), "{unknown:#?}");
}

fn contains(outer: &Range<i64>, inner: &Range<i64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Connections of the app, as the ledger has them from the run's events.
fn ledger(finished: &Finished) -> Vec<FlowRecord> {
    let file = fs::File::open(finished.out.join("events.jsonl")).expect("events");
    let events = store::read(BufReader::new(file)).expect("flowfault's own file");
    let flows = build(&events.entries);
    flows.into_iter().filter(|f| f.flow.is_some()).collect()
}
