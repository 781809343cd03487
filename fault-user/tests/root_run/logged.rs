//! What an app tells with `tracing`, on stdout and in a log that is moved away while it is read.

use std::fs;

use fault_user::report::model::Report;
use fault_user::verdict::{Outcome, Verdict};

use crate::support::run::Run;
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, example, python, script, stretched};

const COUNT: usize = 12;

/// tracing-subscriber's JSON has the event's own fields in `fields`, and those of its span in `span`.
fn outcomes(from: &str) -> String {
    format!(
        "[app.outcomes]\nfrom = {from}\nid = 'span.id'\nstatus = 'fields.outcome'\nbytes = 'fields.bytes'\n\
         elapsed_ms = 'fields.elapsed_ms'\nok = ['sent']\nfailed = ['refused']\n"
    )
}

/// Runs it; ids that the server has.
fn run(lab: &Lab, from: &str, log: &str) -> (Report, Vec<String>) {
    let receipts = lab.file("receipts");
    let server = format!("{} 127.0.0.1 7600 {receipts}", script("recorder.py"));
    let app = format!("127.0.0.1:7600 {COUNT} {log}");
    let text = format!(
        "schema = 1\nname = 'logged'\nseed = 7\nduration = '{}'\n\
         [[app]]\nname = 'server'\nmain = false\nready = {{ log = 'listening' }}\ncommand = {}\n\
         [[app]]\nname = 'app'\nready = {{ log = 'connected' }}\ncommand = {}\n{}\
         [[flow]]\nname = 'it'\napp = 'app'\nremote = '127.0.0.1:7600'\n\
         [[step]]\nname = 'fault'\nat = '0s'\nfaults = [{{ flow = 'it', direction = 'egress', drop = {{ every = 4 }} }}]\n",
        stretched(20_000),
        quoted(python(), &server),
        quoted(&example("tracing_sender"), &app),
        outcomes(from),
    );
    let report = Run::start(lab, "out", &text, &[]).finish().expect(0);
    let text = fs::read_to_string(&receipts).expect("the server's");
    let ids = text.lines().filter_map(|l| {
        let line: serde_json::Value = serde_json::from_str(l).expect("JSON");
        line["id"].as_str().filter(|id| *id != "eof").map(str::to_owned)
    });
    (report, ids.collect())
}

fn each_is_judged_once(report: &Report, arrived: &[String]) {
    assert_eq!(arrived.len(), COUNT, "{arrived:?}");
    // Two lines about one id would be reported here.
    let messages = messages(report);
    assert_eq!(messages.len(), COUNT, "{messages:#?}");
    for id in arrived {
        let send = messages[id.as_str()];
        assert_eq!(send.outcome, Outcome::Ok, "{send:#?}");
        assert!(matches!(send.verdict, Verdict::Delivered | Verdict::Late), "{send:#?}");
        assert_eq!(send.bytes, 202 + id.len() as u64, "{send:#?}");
    }
    // Lines in the same span without a status are told of once.
    let unused = report.warnings.iter().filter(|w| w.contains("has no `fields.outcome`")).count();
    assert_eq!(unused, 1, "{:#?}", report.warnings);
}

#[test]
fn an_app_that_logs_with_tracing_on_stdout() {
    let lab = Lab::alone();
    let (report, arrived) = run(&lab, "'stdout'", "");
    each_is_judged_once(&report, &arrived);
    lab.close();
}

/// The log appears with the app, and every third line is cut in two by the log's move.
#[test]
fn a_log_that_is_moved_away_loses_and_repeats_no_outcome() {
    let lab = Lab::alone();
    let log = lab.file("log");
    let (report, arrived) = run(&lab, &format!("{{ file = '{log}' }}"), &log);
    each_is_judged_once(&report, &arrived);
    let moved = (1..=2 * COUNT / 3).filter(|n| fs::exists(format!("{log}.{n}")).expect("asked"));
    assert_eq!(moved.count(), 2 * COUNT / 3);
    lab.close();
}
