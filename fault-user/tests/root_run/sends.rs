//! Byte ranges under everything that apps do: each message stands where the server found it in its stream.
//!
//! The server writes down the place of each message; flowfault learns it from the kernel. Neither knows
//! of the other.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::ops::Range;

use fault_user::ledger::build::build;
use fault_user::ledger::flow::{FlowRecord, SendCall};
use fault_user::ledger::store;
use fault_user::report::model::{Report, SendReport};
use fault_user::verdict::{Cause, Confidence, Verdict};
use serde_json::Value;

use crate::support::run::{Finished, Run};
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, example, python, script, stretched};

/// How sends.py tells its outcomes.
const OUTCOMES: &str = "[app.outcomes]\nid = 'id'\nstatus = 'status'\nbytes = 'bytes'\n\
    elapsed_ms = 'elapsed_ms'\nok = ['ok']\nfailed = ['error']\n";

/// A server, an app that sends to it, and what happens to the app's connection.
struct Scene<'a> {
    lab: &'a Lab,
    /// Options of recorder.py.
    server: &'a str,
    /// Arguments of sends.py, or a whole command.
    app: String,
    /// What the only fault does, if there is one.
    fault: &'a str,
    options: &'a [&'a str],
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab, app: &str) -> Self {
        let app = quoted(python(), &format!("{} 127.0.0.1 7600 {app}", script("sends.py")));
        Self { lab, server: "", app, fault: "", options: &[] }
    }

    fn text(&self) -> String {
        let receipts = self.lab.file("receipts");
        let server = format!("{} 127.0.0.1 7600 {receipts} {}", script("recorder.py"), self.server);
        let step = match self.fault {
            "" => String::new(),
            fault => format!(
                "[[step]]\nname = 'fault'\nat = '0s'\nfaults = [{{ flow = 'it', {fault} }}]\n"
            ),
        };
        format!(
            "schema = 1\nname = 'sends'\nseed = 7\nduration = '{}'\nlate_after = '30s'\n\
             [[app]]\nname = 'server'\nmain = false\nready = {{ log = 'listening' }}\ncommand = {}\n\
             [[app]]\nname = 'app'\nready = {{ log = 'connected' }}\ncommand = {}\n{OUTCOMES}\
             [[flow]]\nname = 'it'\napp = 'app'\nremote = '127.0.0.1:7600'\nmax_flows = 20\n{step}",
            stretched(25_000),
            quoted(python(), &server),
            self.app,
        )
    }

    fn run(&self) -> Finished {
        Run::start(self.lab, "out", &self.text(), self.options).finish()
    }

    fn receipts(&self) -> Vec<Receipt> {
        let text = fs::read_to_string(self.lab.path().join("receipts")).expect("the server's");
        text.lines().map(Receipt::read).collect()
    }
}

/// Where the server found something.
#[derive(Debug, Clone)]
struct Receipt {
    id: String,
    peer: String,
    from: u64,
    to: u64,
}

impl Receipt {
    fn read(line: &str) -> Self {
        let v: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |key: &str| v[key].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
        let from = v["from"].as_u64().unwrap_or(0);
        Self { id: text("id"), peer: text("peer"), from, to: v["to"].as_u64().expect("a number") }
    }
}

/// Each message is where the server found it, and nothing was sent that is no message.
fn agree(report: &Report, receipts: &[Receipt]) {
    let found = messages(report);
    let lines: Vec<&Receipt> = receipts.iter().filter(|r| r.id != "eof").collect();
    assert_eq!(found.len(), lines.len(), "{:?}\n{found:#?}", lines);
    for r in lines {
        let send = found[r.id.as_str()];
        assert_eq!(send.stream, Some([r.from, r.to]), "{r:?} {send:#?}");
        assert_eq!(send.bytes, r.to - r.from, "{send:#?}");
        arrived(send);
        let flow = report.flows.iter().find(|f| f.local == r.peer);
        assert_eq!(send.cookie, flow.map(|f| f.cookie), "{r:?} {send:#?}");
    }
    let rest: Vec<_> = report.sends.iter().filter(|s| s.id.is_none()).collect();
    assert!(rest.is_empty(), "{rest:#?}");
}

fn arrived(send: &SendReport) {
    assert!(matches!(send.verdict, Verdict::Delivered | Verdict::Late), "{send:#?}");
}

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
    assert!(sends.values().all(|s| s.confidence == Confidence::Exact), "{sends:#?}");
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

/// What every tier sees comes to the same with each; what one does not see is named, and is not called lost.
#[test]
fn each_tier_of_evidence_comes_to_the_same_and_names_what_it_does_not_see() {
    const SEEN: &str = "write,send,sendmsg,writev,zerocopy";
    let tiers = std::env::var("FLOWFAULT_TEST_TIERS").unwrap_or_else(|_| "sys_exit".into());
    let mut best: Option<BTreeMap<String, Option<[u64; 2]>>> = None;
    // Before Linux 6.3 there is no sock_send_length, and the best is one of the others.
    for tier in std::iter::once(None).chain(tiers.split(' ').map(Some)) {
        let options: Vec<&str> = tier.into_iter().flat_map(|t| ["--evidence", t]).collect();
        let lab = Lab::alone();
        let fault = "direction = 'egress', drop = { nth = [3, 7, 12] }";
        let options = &options[..];
        let scene = Scene { fault, options, ..Scene::new(&lab, &format!("{SEEN} 3 8000")) };
        let report = scene.run().expect(0);
        agree(&report, &scene.receipts());
        let spots = &report.evidence.blind_spots;
        assert!(!spots.is_empty(), "{:?}", report.evidence);
        if let Some(tier) = tier {
            assert_eq!(report.evidence.tier, tier);
            assert_eq!(
                tier == "sys_exit",
                spots.iter().any(|s| s.contains("io_uring")),
                "{spots:?}"
            );
        }
        let found = messages(&report);
        assert!(found.values().any(|s| s.drops > 0), "nothing was lost: {found:#?}");
        let places = found.iter().map(|(id, s)| ((*id).to_owned(), s.stream)).collect();
        assert_eq!(*best.get_or_insert_with(|| BTreeMap::clone(&places)), places, "{tier:?}");
        lab.close();
    }
}

#[test]
fn what_a_tier_does_not_see_is_not_called_lost() {
    let lab = Lab::alone();
    let app = quoted(&example("uring_sender"), "127.0.0.1:7600 3 2000");
    let options = &["--evidence", "sys_exit"];
    let scene = Scene { app, options, ..Scene::new(&lab, "") };
    let report = scene.run().expect(0);
    assert_eq!(scene.receipts().iter().filter(|r| r.id != "eof").count(), 3, "all have arrived");
    are_unknown(&report);
    lab.close();
}

/// Whether the report says that it does not see these.
fn is_blind(report: &Report, what: &str) -> bool {
    let spots = report.evidence.blind_spots.iter();
    spots.filter(|s| s.contains("not seen")).any(|s| s.contains(what))
}

fn are_unknown(report: &Report) {
    for send in messages(report).values() {
        let found = (send.verdict, send.confidence);
        assert_eq!(found, (Verdict::Unknown, Confidence::Gap), "{send:#?}");
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
    sends.values().for_each(|s| arrived(s));
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

#[test]
fn a_socket_that_a_parent_and_its_child_share() {
    let lab = Lab::alone();
    let scene = Scene::new(&lab, "fork 5 300");
    let report = scene.run().expect(0);
    agree(&report, &scene.receipts());
    lab.close();
}

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
    for fault in ["", "direction = 'egress', drop = { nth = [1] }"] {
        let lab = Lab::alone();
        // Both sides, data without a cookie, and all listeners (ip-sysctl.rst).
        lab.near.sysctl("net/ipv4/tcp_fastopen", "1543");
        let scene = Scene { server: "fastopen", fault, ..Scene::new(&lab, "fastopen 3 300") };
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
fn a_socket_that_is_handed_to_another_app() {
    let lab = Lab::alone();
    let path = lab.file("hand-over");
    let giver = Scene::new(&lab, &format!("give:{path} 1 300"));
    let taker =
        quoted(python(), &format!("{} 127.0.0.1 7600 take:{path} 3 300", script("sends.py")));
    let text = giver.text().replace(
        "[[flow]]",
        &format!("[[app]]\nname = 'taker'\nready = {{ log = 'connected' }}\ncommand = {taker}\n{OUTCOMES}[[flow]]"),
    );
    let report = Run::start(&lab, "out", &text, &[]).finish().expect(0);
    agree(&report, &giver.receipts());
    for (id, send) in messages(&report) {
        assert_eq!(send.app, if id.starts_with("taker") { "taker" } else { "app" }, "{send:#?}");
    }
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

#[test]
fn more_than_four_gibibytes_through_one_socket() {
    let lab = Lab::alone();
    let scene = Scene::new(&lab, "bulk 5 900000000");
    let report = scene.run().expect(0);
    agree(&report, &scene.receipts());
    lab.close();
}
