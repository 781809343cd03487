//! The messenger's two websockets: one goes dark, and each verdict is held against the receipts
//! of its server.

use std::net::TcpStream;
use std::time::Duration;

use fault_user::report::model::{FlowReport, Report};
use fault_user::verdict::Verdict;

use crate::support::Lab;
use crate::support::capture::{Capture, Seen};
use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::scenarios::{Policy, Twins, server_args};
use crate::support::truth::{self, Outage, count, receipts};
use crate::support::{command, messenger, slow};

pub fn flow<'a>(report: &'a Report, name: &str) -> &'a FlowReport {
    let found = report.flows.iter().find(|f| f.name == name);
    found.unwrap_or_else(|| panic!("no flow {name}: {:#?}", report.flows))
}

/// Runs the twins; holds every verdict against the receipts.
fn judged(lab: &Lab, twins: &Twins<'_>, options: &[&str], outage: Outage) -> Report {
    let run = Run::start(lab, "out", &twins.text(), options);
    let finished = run.finish();
    let report = finished.expect(0);
    let outcomes = std::fs::read_to_string(finished.out.join("apps/sender.stdout"))
        .expect("a copy of its stdout");
    let receipts = receipts(&lab.path().join("receipts"));
    truth::holds(&report, &receipts, &outcomes, twins.count, outage);
    let unknown = count(&report, Verdict::Unknown);
    assert!(unknown <= EXCUSED || slow() == 1, "{:#?}", report.verdicts);
    let unexpected = |w: &&String| slow() == 1 || !w.contains("no send was found in its time");
    let warnings: Vec<&String> = report.warnings.iter().filter(unexpected).collect();
    assert_eq!(warnings, Vec::<&String>::new());
    let identified = flow(&report, "identified");
    assert_eq!((identified.egress.dropped, identified.ingress.dropped), (0, 0));
    let dark = flow(&report, "unidentified");
    assert!(dark.egress.dropped + dark.ingress.dropped > 0, "{dark:#?}");
    report
}

fn verdicts(report: &Report) -> Vec<Verdict> {
    let messages = truth::messages(report);
    (1..=messages.len()).map(|n| messages[format!("msg-{n}").as_str()].verdict).collect()
}

/// How many of twelve messages may stay without a verdict in an emulated guest.
const EXCUSED: usize = 3;

/// Every verdict is the one that it should be, or none where none may be (see `judged`).
fn agree(report: &Report, expected: &[Verdict]) {
    let is = verdicts(report);
    let wrong = |(is, should): (&Verdict, &Verdict)| {
        is != should && (slow() == 1 || *is != Verdict::Unknown)
    };
    let wrong = is.iter().zip(expected).any(wrong);
    assert!(!wrong && is.len() >= expected.len(), "{is:?} are not {expected:?}");
}

/// Six messages before the outage, six after it.
fn halves(first: Verdict, second: Verdict) -> Vec<Verdict> {
    [[first; 6], [second; 6]].concat()
}

#[test]
fn written_messages_are_lost_silently_on_loopback() {
    let lab = Lab::alone();
    let report = judged(&lab, &Twins::new(&lab, Policy::Suspect), &[], Outage::Egress);
    agree(&report, &halves(Verdict::Delivered, Verdict::SilentLoss));
    lab.close();
}

#[test]
fn confirmed_messages_take_the_other_way_on_loopback() {
    let lab = Lab::alone();
    let report = judged(&lab, &Twins::new(&lab, Policy::Fixed), &[], Outage::Egress);
    agree(&report, &halves(Verdict::Delivered, Verdict::Rerouted));
    lab.close();
}

#[test]
fn an_outage_of_the_way_out_alone_gives_the_same_verdicts() {
    for (policy, lost) in
        [(Policy::Suspect, Verdict::SilentLoss), (Policy::Fixed, Verdict::Rerouted)]
    {
        let lab = Lab::alone();
        let twins = Twins { direction: "egress", ..Twins::new(&lab, policy) };
        let report = judged(&lab, &twins, &[], Outage::Egress);
        agree(&report, &halves(Verdict::Delivered, lost));
        lab.close();
    }
}

#[test]
fn an_outage_of_the_way_back_leaves_written_messages_open() {
    let lab = Lab::alone();
    let twins = Twins { direction: "ingress", expects: false, ..Twins::new(&lab, Policy::Suspect) };
    let report = judged(&lab, &twins, &[], Outage::Ingress);
    // What was sent reached the server, its acks were lost; what TCP held back after that (its
    // window had shrunk to one packet) is open as long as the kernel keeps the socket.
    let messages = truth::messages(&report);
    for n in 7..=12 {
        let send = messages[format!("msg-{n}").as_str()];
        let sent = send.first_sent_ms.is_some();
        let verdict = if sent { Verdict::Unconfirmed } else { Verdict::Pending };
        assert_eq!(send.verdict, verdict, "{send:#?}");
        assert!(sent || n > 7, "{send:#?}");
    }
    agree(&report, &[Verdict::Delivered; 6]);
    lab.close();
}

#[test]
fn another_tier_of_evidence_gives_the_same_verdicts() {
    // Every kernel has this one. Those with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS also have
    // fexit, unless the machine refuses it: whoever knows that they do, names it.
    let tiers = std::env::var("FLOWFAULT_TEST_TIERS").unwrap_or_else(|_| "sys_exit".into());
    for tier in tiers.split(' ') {
        let lab = Lab::alone();
        let twins = Twins::new(&lab, Policy::Suspect);
        let report = judged(&lab, &twins, &["--evidence", tier], Outage::Egress);
        assert_eq!(report.evidence.tier, tier);
        agree(&report, &halves(Verdict::Delivered, Verdict::SilentLoss));
        lab.close();
    }
}

#[test]
fn short_messages_between_two_namespaces_ipv4() {
    over_the_cable("10.77.0.2:7443", 64);
}

#[test]
fn short_messages_between_two_namespaces_ipv6() {
    over_the_cable("[fd77::2]:7443", 64);
}

#[test]
fn messages_of_many_segments_between_two_namespaces_ipv4() {
    over_the_cable("10.77.0.2:7443", 40_000);
}

#[test]
fn messages_of_many_segments_between_two_namespaces_ipv6() {
    over_the_cable("[fd77::2]:7443", 40_000);
}

/// Only the sender is in the scenario; the far namespace's packets are the ground truth.
fn over_the_cable(address: &str, size: u32) {
    let lab = Lab::pair();
    let far = lab.far.as_ref().expect("a pair has two ends");
    let server = command(&messenger(), &server_args(&lab, address));
    let server = Process::start(server, far, &lab.path().join("server"));
    server.says("listening on");
    reachable(&lab, address);
    let capture = Capture::start(far);
    let twins = Twins { server: false, address, size, ..Twins::new(&lab, Policy::Fixed) };
    let report = judged(&lab, &twins, &[], Outage::Egress);
    let seen = capture.finish();
    // A long message that is stuck half way breaks its websocket: the rest then goes straight to
    // the other one, and is delivered.
    let (rerouted, delivered) =
        (count(&report, Verdict::Rerouted), count(&report, Verdict::Delivered));
    let unknown = count(&report, Verdict::Unknown);
    assert!(rerouted >= 1 && rerouted + delivered + unknown == 12, "{:#?}", report.verdicts);
    let step = &report.steps[0];
    let armed = truth::started_ms(&report) + step.armed_ms.expect("the outage began");
    let end = truth::started_ms(&report) + report.duration_ms;
    // Packets are stamped when they are read, which may be late, never early.
    let of = |name: &str| -> Vec<Seen> {
        let local = &flow(&report, name).local;
        let port: u16 = local.rsplit_once(':').expect("IP:PORT").1.parse().expect("a port");
        seen.iter().filter(|s| s.source_port == port).copied().collect()
    };
    let (dark, lit) = (of("unidentified"), of("identified"));
    let after = |all: &[Seen]| {
        let all =
            all.iter().filter(|s| s.at_ms > armed + 20.0 * f64::from(slow()) && s.at_ms < end);
        all.copied().collect::<Vec<_>>()
    };
    assert!(dark.iter().any(|s| s.at_ms < armed && s.payload > 0), "dark before: {dark:?}");
    assert!(after(&dark).is_empty(), "came through the outage: {:?}", after(&dark));
    let bytes: usize = after(&lit).iter().map(|s| s.payload).sum();
    assert!(bytes >= 6 * size as usize, "the other socket went on: {lit:?}");
    if size < 1000 {
        // One packet a message: what flowfault counted is what came over the cable.
        let egress = flow(&report, "identified").egress;
        assert_eq!(egress.packets as usize, lit.len(), "{egress:?} {lit:?}");
    }
    drop(server);
    lab.close();
}

/// Waits until neighbours have found each other, which IPv6 may take a second for.
fn reachable(lab: &Lab, address: &str) {
    let address = address.parse().expect("IP:PORT");
    let limit = Duration::from_millis(300);
    let connect = || TcpStream::connect_timeout(&address, limit).ok();
    wait_for("way to the server", Duration::from_secs(10), || lab.near.within(connect));
}
