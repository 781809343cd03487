//! The beginning of a stream, its end, its pauses, and more than its numbers can count.

use std::fs;

use fault_user::verdict::{Cause, Verdict};

use super::{Scene, agree};
use crate::support::Lab;
use crate::support::truth::messages;

#[test]
fn half_closed_and_used_after_that() {
    let lab = Lab::alone();
    let scene = Scene { server: "answer", ..Scene::new(&lab, "halfclose 3 300") };
    let finished = scene.run();
    let report = finished.expect(0);
    let after = messages(&report)["after"];
    assert_eq!((after.verdict, after.stream), (Verdict::CleanFailure, None), "{after:#?}");
    let mut rest = report.clone();
    rest.sends.retain(|s| s.id.as_deref() != Some("after"));
    agree(&rest, &scene.receipts());
    lab.close();
}

#[test]
fn data_that_goes_with_the_syn() {
    let lost = "direction = 'egress', drop = { nth = [1] }";
    // The last is more than fits into a SYN.
    for (fault, size) in [("", 300), (lost, 300), ("", 200_000)] {
        let lab = Lab::alone();
        // Both sides, data without a cookie, and all listeners (ip-sysctl.rst).
        let path = "/proc/sys/net/ipv4/tcp_fastopen";
        lab.near.within(|| fs::write(path, "1543")).expect("it is this namespace's own");
        let scene =
            Scene { server: "fastopen", fault, ..Scene::new(&lab, &format!("fastopen 3 {size}")) };
        let finished = scene.run();
        let report = finished.expect(0);
        agree(&report, &scene.receipts());
        let told = fs::read_to_string(finished.out.join("apps/app.stderr")).expect("its own");
        assert_eq!(told.contains("syn data True"), fault.is_empty(), "{told}");
        lab.close();
    }
}

/// Neither keepalives nor window probes are copies of anything, lost or not.
#[test]
fn probes_of_an_idle_connection_are_no_copies() {
    let lab = Lab::alone();
    let fault = "direction = 'egress', drop = 1.0, when = { tcp = 'ack_only' }";
    let scene = Scene { fault, ..Scene::new(&lab, "idle 2 300") };
    let report = scene.run().expect(0);
    agree(&report, &scene.receipts());
    let [flow] = &report.flows.iter().filter(|f| f.selected).collect::<Vec<_>>()[..] else {
        panic!("{:#?}", report.flows)
    };
    assert!(flow.egress.dropped >= 2, "no keepalive was lost: {flow:#?}");
    for send in messages(&report).values() {
        assert_eq!((send.drops, send.retransmits), (0, 0), "{send:#?}");
    }
    lab.close();
}

#[test]
fn a_window_that_stays_shut_delays_and_loses_nothing() {
    let lab = Lab::alone();
    let scene = Scene { server: "slow", ..Scene::new(&lab, "idle 1 3000000") };
    let finished = scene.run();
    let report = finished.expect(0);
    agree(&report, &scene.receipts());
    let send = messages(&report)["msg-1"];
    assert_eq!((send.drops, send.cause), (0, Cause::SenderBlocked), "{send:#?}");
    lab.close();
}

#[test]
fn more_than_four_gibibytes_through_one_socket() {
    let lab = Lab::alone();
    let scene = Scene::new(&lab, "bulk 5 900000000");
    let report = scene.run().expect(0);
    agree(&report, &scene.receipts());
    lab.close();
}
