//! Every call that sends, and the layers that apps may have below them.

use std::fs;

use fault_user::report::model::SendReport;
use fault_user::verdict::Confidence;

use super::{Scene, agree, are_unknown, arrived, is_blind, is_placed};
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, example};

const WAYS: &str = "write,send,sendmsg,sendmmsg,writev,sendfile,splice,zerocopy";

#[test]
fn every_call_that_sends_stands_where_the_server_found_it() {
    let lab = Lab::alone();
    let fault = "direction = 'egress', drop = { every = 5 }";
    let scene = Scene { fault, ..Scene::new(&lab, &format!("{WAYS} 3 15000")) };
    let mut report = scene.run().expect(0);
    let mut receipts = scene.receipts();
    assert_eq!(messages(&report).len(), 24);
    if is_blind(&report, "sendfile") {
        let unseen = |id: &str| id.starts_with("sendfile") || id.starts_with("splice");
        let (blind, rest) =
            report.sends.into_iter().partition(|s| s.id.as_deref().is_some_and(unseen));
        report.sends = blind;
        are_unknown(&report);
        report.sends = rest;
        receipts.retain(|r| !unseen(&r.id));
    }
    agree(&report, &receipts);
    let sends = messages(&report);
    // Without their places, sends of one size that follow each other closely may be each other's.
    let may = if is_placed(&report) { Confidence::Exact } else { Confidence::Overlap };
    let as_told = |s: &&SendReport| s.confidence == Confidence::Exact || s.confidence == may;
    assert!(sends.values().all(as_told), "{sends:#?}");
    assert!(sends.values().any(|s| s.retransmits > 0), "nothing was sent again: {sends:#?}");
    lab.close();
}

/// Submitted by the app's own call, and by a thread of the kernel.
#[test]
fn sends_by_io_uring() {
    for how in ["", "thread"] {
        let lab = Lab::alone();
        let app = quoted(&example("uring_sender"), &format!("127.0.0.1:7600 6 20000 {how}"));
        let fault = "direction = 'egress', drop = { every = 5 }";
        let scene = Scene { fault, app, ..Scene::new(&lab, "") };
        // An exit code of 3 is a kernel without io_uring: the run says so, and this test fails.
        let report = scene.run().expect(0);
        agree(&report, &scene.receipts());
        assert_eq!(messages(&report).len(), 6);
        lab.close();
    }
}

/// The kernel encrypts: a message is the record that it became, which is longer.
#[test]
fn kernel_tls_is_known_by_its_records() {
    let lab = Lab::alone();
    let scene = Scene { server: "records", ..Scene::new(&lab, "ktls 4 5000") };
    let finished = scene.run();
    let told = fs::read_to_string(finished.out.join("apps/app.stderr")).expect("its own");
    let there = !told.contains("no tls");
    let expected = std::env::var("FLOWFAULT_TEST_ULPS").unwrap_or_default().contains("tls");
    assert!(there || !expected, "this kernel should have kTLS: {told}");
    if !there {
        println!("SKIPPED: this kernel has no kTLS");
        return lab.close();
    }
    let report = finished.expect(0);
    if is_blind(&report, "kTLS") {
        return are_unknown(&report);
    }
    let found = messages(&report);
    for r in scene.receipts().iter().filter(|r| r.id != "eof") {
        let send = found[r.id.as_str()];
        assert_eq!((send.stream, send.bytes), (Some([r.from, r.to]), 5000), "{r:?} {send:#?}");
        assert_eq!(send.confidence, Confidence::Overlap, "{send:#?}");
        arrived(send);
    }
    assert_eq!(found.len(), 4);
    lab.close();
}

#[test]
fn multipath_tcp_is_refused() {
    let lab = Lab::alone();
    let scene = Scene { server: "mptcp", fault: "drop = 0.1", ..Scene::new(&lab, "mptcp 3 300") };
    let finished = scene.run();
    if is_blind(&finished.report(), "MPTCP") {
        return are_unknown(&finished.expect(0));
    }
    finished.expect(4);
    let why = "app app sends over MPTCP (local port ";
    assert!(finished.stderr.contains(why) || finished.stdout.contains(why), "{finished:#?}");
    lab.close();
}
