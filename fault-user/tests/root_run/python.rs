//! A second, independent program under test, in another language; and what TCP itself says of
//! a loss, from within the app.

use std::fs;
use std::path::Path;

use fault_user::report::model::Report;
use fault_user::verdict::{Cause, Verdict};
use serde_json::Value;

use crate::support::run::{Finished, Run};
use crate::support::scenarios::{OUTCOMES, quoted};
use crate::support::truth::{self, messages, receipts};
use crate::support::{Lab, python, script, slow, stretched};

/// A Python server and a Python client; nothing else yet.
fn apps(lab: &Lab, host: &str, server: &str, client: &str, arguments: &str) -> String {
    let bare = host.trim_matches(['[', ']']);
    let receipts = lab.file("receipts");
    let server =
        quoted(python(), &format!("{} {bare} 7600 {receipts} {server}", script("peer.py")));
    let client = quoted(python(), &format!("{} {bare} 7600 {arguments}", script(client)));
    format!(
        "schema = 1\nname = 'python'\nseed = 7\nduration = '{}'\n\
         [[app]]\nname = 'server'\nready = {{ log = 'listening' }}\ncommand = {server}\n\
         [[app]]\nname = 'client'\nready = {{ log = 'connected' }}\ncommand = {client}\n{OUTCOMES}\
         [[flow]]\nname = 'lit'\nremote = '{host}:7600'\napp = 'client'\nnth = 1\n\
         [[flow]]\nname = 'dark'\nremote = '{host}:7600'\napp = 'client'\nnth = 2\n",
        stretched(20_000)
    )
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// Twelve messages over the second connection, which goes dark in the middle.
fn second_of_two(lab: &Lab, buffered: &str) -> Finished {
    let text = apps(lab, "127.0.0.1", "", "client.py", &format!("12 {buffered}"));
    let step = format!(
        "[[step]]\nname = 'outage'\nat = '{}'\nfaults = [{{ flow = 'dark', drop = 1.0 }}]\n",
        stretched(825)
    );
    Run::start(lab, "out", &(text + &step), &[]).finish()
}

#[test]
fn another_program_in_another_language_gets_true_verdicts() {
    let report = says_nothing_wrong("");
    assert!(!buffers(&report), "{:#?}", report.warnings);
    // It tells no sizes: where the machine preempts it for long between measuring and writing a
    // line, a message may stay `unknown`, which is no false verdict.
    let count = |verdict| truth::count(&report, verdict);
    assert!(count(Verdict::Delivered) >= 5, "{:#?}", report.verdicts);
    assert!(count(Verdict::CleanFailure) >= 5, "{:#?}", report.verdicts);
    let known = count(Verdict::Delivered) + count(Verdict::CleanFailure);
    assert_eq!(known + count(Verdict::Unknown), 12, "{:#?}", report.verdicts);
}

#[test]
fn outcomes_that_come_late_from_a_buffer_lead_to_no_wrong_verdict() {
    let report = says_nothing_wrong("buffered");
    assert!(buffers(&report), "{:#?}", report.warnings);
}

/// Whether the report says that the client's lines came in blocks.
fn buffers(report: &Report) -> bool {
    report.warnings.iter().any(|w| w.starts_with("app `client` buffers its output: 11 outcomes"))
}

#[test]
fn outcomes_that_come_a_little_late_lead_to_no_wrong_verdict() {
    says_nothing_wrong("dawdle");
}

/// Less may be known of an app whose lines come late, but nothing false.
fn says_nothing_wrong(habit: &str) -> Report {
    let lab = Lab::alone();
    let finished = second_of_two(&lab, habit);
    let report = finished.report();
    let receipts = receipts(&lab.path().join("receipts"));
    let messages = messages(&report);
    assert_eq!(messages.len(), 12, "{messages:#?}");
    for (id, send) in messages {
        let arrived = receipts.iter().any(|r| r.id == id);
        let claims = match send.verdict {
            Verdict::Delivered | Verdict::Late | Verdict::Rerouted | Verdict::FalseFailure => {
                Some(true)
            }
            Verdict::SilentLoss | Verdict::CleanFailure => Some(false),
            _ => None,
        };
        assert!(claims.is_none_or(|c| c == arrived), "{id} arrived: {arrived}, but {send:#?}");
    }
    lab.close();
    report
}

/// An outage in one direction while the app notes TCP_INFO; samples of the two connections.
fn sampled(lab: &Lab, host: &str, direction: &str) -> (Report, Vec<Value>, Vec<Value>) {
    let (samples, go) = (lab.file("samples"), lab.file("go"));
    let text = apps(lab, host, "quiet", "tcpinfo.py", &format!("{samples} {go}"));
    // The second step comes after the first has been armed: the app sends into the outage.
    let steps = format!(
        "[[step]]\nname = 'outage'\nat = '400ms'\n\
         faults = [{{ flow = 'dark', direction = '{direction}', drop = 1.0 }}]\n\
         [[step]]\nname = 'go'\nafter = {{ step = 'outage', plus = '50ms' }}\nexec = ['touch', '{go}']\n"
    );
    let finished = Run::start(lab, "out", &(text + &steps), &[]).finish();
    let report = finished.expect(0);
    let all = lines(Path::new(&samples));
    let of = |name: &str| all.iter().filter(|s| s["connection"] == name).cloned().collect();
    (report, of("lit"), of("dark"))
}

fn number(sample: &Value, key: &str) -> u64 {
    sample[key].as_u64().unwrap_or_else(|| panic!("no {key}: {sample}"))
}

/// The connection without a fault saw nothing of the other's.
fn untouched(samples: &[Value]) {
    for key in ["total_retrans", "backoff", "notsent"] {
        assert!(samples.iter().all(|s| number(s, key) == 0), "{key}: {samples:?}");
    }
    assert_eq!(number(&samples[samples.len() - 1], "unacked"), 0, "{samples:?}");
}

/// To its own TCP the lost data was sent: it waits, doubles its time-out, sends again.
fn lost_in_the_network(samples: &[Value]) {
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    assert!(number(last, "total_retrans") >= 3, "{last}");
    assert!(number(last, "backoff") >= 2, "{last}");
    assert!(number(last, "unacked") > 0 && number(last, "notsent") == 0, "{last}");
    assert_eq!(number(last, "bytes_acked"), number(first, "bytes_acked"), "nothing was acked");
    // RTO after n doublings: at least twice as long as it was for n - 1 of them.
    let mut known: Vec<(u64, u64)> =
        samples.iter().map(|s| (number(s, "backoff"), number(s, "rto"))).collect();
    known.dedup();
    for pair in known.windows(2) {
        let [(b0, r0), (b1, r1)] = [pair[0], pair[1]];
        assert!(
            b1 < b0 || b1 == 0 || r1 >= r0 << (b1 - b0).min(8),
            "RTO does not double: {known:?}"
        );
    }
}

#[test]
fn a_drop_on_the_way_out_is_a_loss_to_tcp_itself() {
    for host in ["127.0.0.1", "[::1]"] {
        let lab = Lab::alone();
        let (report, lit, dark) = sampled(&lab, host, "egress");
        untouched(&lit);
        lost_in_the_network(&dark);
        let receipts = receipts(&lab.path().join("receipts"));
        let has = |id: &str| receipts.iter().any(|r| r.id == id);
        assert!(has("lit-during") && has("dark-before") && !has("dark-during"), "{receipts:?}");
        let messages = messages(&report);
        assert_eq!(messages["dark-during"].verdict, Verdict::SilentLoss, "{messages:#?}");
        for id in ["lit-before", "lit-during", "dark-before"] {
            assert_eq!(messages[id].verdict, Verdict::Delivered, "{messages:#?}");
        }
        let counted = report.flows.iter().find(|f| f.name == "dark").expect("it was there");
        // One more may fall between the last sample and the end.
        let known = number(&dark[dark.len() - 1], "total_retrans");
        assert!((known..=known + 1).contains(&counted.retransmits), "{known} {counted:#?}");
        lab.close();
    }
}

#[test]
fn a_drop_on_the_way_back_lets_the_data_through() {
    for host in ["127.0.0.1", "[::1]"] {
        let lab = Lab::alone();
        let (report, lit, dark) = sampled(&lab, host, "ingress");
        untouched(&lit);
        lost_in_the_network(&dark);
        let receipts = receipts(&lab.path().join("receipts"));
        assert!(receipts.iter().any(|r| r.id == "dark-during"), "{receipts:?}");
        let messages = messages(&report);
        let send = messages["dark-during"];
        assert_eq!((send.verdict, send.cause), (Verdict::Unconfirmed, Cause::AckPath), "{send:#?}");
        lab.close();
    }
}

/// Connections of opener.py to its first port: local addresses, marked or not.
fn opened(lab: &Lab, marker: &str, rounds: usize) -> (Report, Vec<Value>) {
    let (notes, go, receipts) = (lab.file("notes"), lab.file("go"), lab.file("receipts"));
    let server = |port: u16| {
        let command =
            quoted(python(), &format!("{} 127.0.0.1 {port} {receipts}", script("peer.py")));
        format!(
            "[[app]]\nname = 'server{port}'\nmain = false\nready = {{ log = 'listening' }}\ncommand = {command}\n"
        )
    };
    let opener = format!("{} 127.0.0.1 7601 7602 {rounds} {notes} {go}", script("opener.py"));
    let opener = quoted(python(), &opener);
    let text = format!(
        "schema = 1\nname = 'marked'\nduration = '{}'\n{}{}\
         [[app]]\nname = 'opener'\nready = {{ log = 'ready' }}\ncommand = {opener}\n\
         [[flow]]\nname = 'marked'\napp = 'opener'\nremote = '127.0.0.1:7601'\n\
         opened_after = {{ log = '{marker}' }}\nmax_flows = 100\n\
         [[step]]\nname = 'outage'\nat = '0s'\nfaults = [{{ flow = 'marked', drop = 1.0 }}]\n\
         [[step]]\nname = 'go'\nafter = {{ step = 'outage', plus = '50ms' }}\nexec = ['touch', '{go}']\n",
        stretched(30_000),
        server(7601),
        server(7602),
    );
    let report = Run::start(lab, "out", &text, &[]).finish().expect(0);
    let notes = lines(Path::new(&notes));
    assert_eq!(notes.len(), 3 * rounds);
    assert!(
        report.flows.iter().filter(|f| f.remote.ends_with(":7602")).count() > rounds,
        "no bustle"
    );
    (report, notes)
}

/// Local addresses that flowfault took for marked ones, and those that were.
fn picked(report: &Report, notes: &[Value]) -> (Vec<String>, Vec<String>) {
    let mut picked: Vec<String> =
        report.flows.iter().filter(|f| f.selected).map(|f| f.local.clone()).collect();
    let marked = notes.iter().filter(|n| n["marked"] == true);
    let mut marked: Vec<String> =
        marked.map(|n| n["local"].as_str().expect("a text").to_owned()).collect();
    picked.sort();
    marked.sort();
    (picked, marked)
}

#[test]
fn exactly_the_marked_connections_are_picked_before_their_first_packet() {
    let lab = Lab::alone();
    let (report, notes) = opened(&lab, "creating marked connection", 50 / slow() as usize);
    let (picked, marked) = picked(&report, &notes);
    assert_eq!(picked, marked);
    // Not even the SYN of a marked one got through; each plain one before and after it did.
    for note in &notes {
        assert_ne!(note["connected"], note["marked"], "{note}");
    }
    lab.close();
}

#[test]
fn a_regular_expression_names_the_same_connections() {
    let lab = Lab::alone();
    let (report, notes) = opened(&lab, "creat.ng marked", 10);
    let (picked, marked) = picked(&report, &notes);
    assert_eq!(picked, marked);
    lab.close();
}
