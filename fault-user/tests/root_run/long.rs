//! Runs with more sends than memory holds, or than the controller can keep up with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;
use std::time::Duration;

use fault_user::correlate::{Facts, correlate};
use fault_user::ledger::build::build;
use fault_user::ledger::entry::Entry;
use fault_user::ledger::store;
use fault_user::report::model::Report;
use fault_user::verdict::Verdict;
use nix::sys::signal::Signal;

use crate::support::run::{Finished, Run};
use crate::support::scenarios::quoted;
use crate::support::truth::count;
use crate::support::{Lab, flowfault, python, script, slow};

/// `sends` sends, one of `every` with a line; `gate` as the app has it.
fn flood(sends: usize, every: usize, gate: &str, more: &str) -> String {
    let server = quoted(python(), &format!("{} sink 7700", script("many.py")));
    let client =
        quoted(python(), &format!("{} send 7700 {sends} {every} {gate}", script("many.py")));
    format!(
        "schema = 1\nname = 'flood'\nseed = 7\n\
         [[app]]\nname = 'sink'\nready = {{ log = 'listening' }}\ncommand = {server}\n\
         [[app]]\nname = 'app'\nready = {{ log = 'connected' }}\ncommand = {client}\n\
         [app.outcomes]\nformat = 'json'\nid = 'id'\nstatus = 'status'\nok = ['sent']\n\
         failed = ['error']\nelapsed_ms = 'elapsed_ms'\nbytes = 'bytes'\n\
         [[flow]]\nname = 'flood'\nremote = '127.0.0.1:7700'\napp = 'app'\nwithin = '5s'\n{more}"
    )
}

fn audit(dir: &std::path::Path) -> (bool, String) {
    let out = Command::new(flowfault()).args(["report", "--audit"]).arg(dir).output();
    let out = out.expect("the binary is there");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The events of a run that had too many, as if it had been held whole.
fn as_one(finished: &Finished, to: &std::path::Path) {
    let file = File::open(finished.out.join("events.jsonl.zst")).expect("the long form");
    let mut lines = BufReader::new(zstd::Decoder::new(file).expect("zstd")).lines();
    let header = lines.next().expect("a header").expect("text");
    let mut header: serde_json::Value = serde_json::from_str(&header).expect("JSON");
    assert!(header.as_object_mut().expect("an object").remove("held").is_some(), "{header}");
    let mut whole = File::create(to.join("events.jsonl")).expect("it is ours");
    writeln!(whole, "{header}").expect("room");
    lines.for_each(|l| writeln!(whole, "{}", l.expect("text")).expect("room"));
}

/// What stands in a report for people when memory held it in parts is what it would be in one piece.
#[test]
fn a_run_that_is_longer_than_memory_has_the_verdicts_of_one_that_is_not() {
    let lab = Lab::alone();
    let sends = 12_000;
    let loss = "[[step]]\nname = 'loss'\nat = '0s'\n\
                faults = [{ flow = 'flood', direction = 'egress', drop = 0.001, may_miss = true }]\n\
                [[expect]]\nverdict = 'silent_loss'\nat_most = 0\n\
                [[expect]]\noutcome = 'ok'\nat_least = 12000\nat_most = 12000\n\
                [[expect]]\nmax_gap = '20s'\n";
    let text = flood(sends, 1, "", loss);
    let held = [("FLOWFAULT_HELD", "14000")];
    let finished = Run::start_with(&lab, "out", &text, &[], &held).finish();
    let report = finished.expect(0);
    assert!(!finished.out.join("events.jsonl").exists(), "it was not long");
    let told = report.verdicts.values().sum::<u64>() - count_of(&report, Verdict::Unlogged);
    assert_eq!(told, sends as u64, "{:#?}", report.verdicts);
    assert!(report.sends_omitted > 6_000, "{}", report.sends.len());
    let (adds_up, said) = audit(&finished.out);
    assert!(adds_up && said.contains("everything adds up"), "{said}");
    // The same events, held whole.
    let copy = tempfile::tempdir().expect("a place for files");
    as_one(&finished, copy.path());
    let held = held_whole(copy.path());
    // Where the machine is so busy that lines fall behind, some are not certain; no verdict is another.
    let unknown = count_of(&report, Verdict::Unknown);
    assert!(unknown < sends as u64 / 10, "{:#?}", report.verdicts);
    let differs = |(verdict, whole): (&String, &u64)| {
        let parts = report.verdicts[verdict];
        if *verdict == *"unknown" { 0 } else { whole.checked_sub(parts).expect("never more") }
    };
    assert_eq!(held.iter().map(differs).sum::<u64>(), unknown, "{held:?} {:?}", report.verdicts);
    lab.close();
}

/// Verdicts of all events and lines at once.
fn held_whole(dir: &std::path::Path) -> BTreeMap<String, u64> {
    let file = BufReader::new(File::open(dir.join("events.jsonl")).expect("it was written"));
    let events = store::read(file).expect("events");
    let end = events.end.expect("the run ended");
    let facts = Facts {
        t0: events.header.t0,
        end: end.ts,
        names: events.header.names(),
        ..Facts::default()
    };
    let until: Vec<Entry> = events.entries.into_iter().filter(|e| e.ts <= end.ts).collect();
    correlate(&build(&until), &events.messages, &facts).verdicts
}

fn count_of(report: &Report, verdict: Verdict) -> u64 {
    report.verdicts.get(verdict.name()).copied().unwrap_or(0)
}

#[test]
fn what_a_stalled_controller_could_not_take_is_counted_with_its_time() {
    let lab = Lab::alone();
    let gate = lab.file("go");
    let mut run = Run::start(&lab, "out", &flood(600_000, 1_000, &gate, ""), &[]);
    run.app_says("app", "waiting");
    run.signal(Signal::SIGSTOP);
    fs::write(&gate, "").expect("the directory is ours");
    std::thread::sleep(Duration::from_secs(4) * slow());
    run.signal(Signal::SIGCONT);
    let finished = run.finish();
    let report = finished.expect(0);
    assert!(report.events.lost > 0, "{:?}", report.events);
    let flow = report.flows.iter().find(|f| f.name == "flood").expect("it is there");
    let lost = flow.lost.expect("its events are among the lost ones");
    assert!(lost.events <= report.events.lost && lost.first_ms < lost.last_ms, "{lost:?}");
    let all: u64 = report.flows.iter().filter_map(|f| f.lost).map(|l| l.events).sum();
    assert_eq!(all, report.events.lost, "{:#?}", report.flows);
    let within = |at: f64| lost.first_ms <= at && at <= lost.last_ms;
    let told: Vec<_> = report.sends.iter().filter(|s| s.id.is_some()).collect();
    let during: Vec<_> = told.iter().filter(|s| within(s.started_ms)).collect();
    assert!(!during.is_empty(), "nothing was sent meanwhile: {lost:?}");
    assert!(during.iter().all(|s| s.verdict == Verdict::Unknown), "{during:#?}");
    assert!(count(&report, Verdict::Delivered) > 0, "{:#?}", report.verdicts);
    let text = &finished.stdout;
    assert!(text.contains("events lost"), "{text}");
    let (adds_up, said) = audit(&finished.out);
    assert!(adds_up, "{said}");
    lab.close();
}

#[test]
fn what_a_killed_run_had_told_is_readable() {
    let lab = Lab::alone();
    let gate = lab.file("go");
    let mut run = Run::start(&lab, "out", &flood(12_000, 1, &gate, ""), &[]);
    run.app_says("app", "waiting");
    std::thread::sleep(Duration::from_millis(2_500) * slow());
    run.signal(Signal::SIGKILL);
    run.process.ended();
    let file = File::open(run.out.join("events.jsonl.zst")).expect("it is written on the way");
    let decoder = BufReader::new(zstd::Decoder::new(file).expect("zstd"));
    let events = store::read(decoder).expect("it can be read");
    assert!(events.truncated && events.end.is_none());
    assert_eq!(events.messages.len(), 1_000);
    fs::write(&gate, "").expect("the directory is ours");
    run.is_gone(Duration::from_secs(2));
    lab.close();
}
