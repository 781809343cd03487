//! `report --audit`: a run's files add up, and no longer do once somebody has changed them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::run::{Finished, Run};
use crate::support::scenarios::{OUTCOMES, Policy, Twins, quoted};
use crate::support::{Lab, flowfault, python, script, stretched};

/// The exit code, and what it says.
fn audit(dir: &Path) -> (i32, String) {
    let out = Command::new(flowfault()).args(["report", "--audit"]).arg(dir).output();
    let out = out.expect("the binary is there");
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().expect("it is not killed"), text)
}

fn report(dir: &Path) -> Value {
    let text = fs::read_to_string(dir.join("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

/// Audits the files after a change in them: the findings.
fn after(finished: &Finished, change: impl FnOnce(&mut Vec<String>, &mut Value)) -> Vec<String> {
    let copy = tempfile::tempdir().expect("a place for files");
    let events = fs::read_to_string(finished.out.join("events.jsonl")).expect("events");
    let mut lines: Vec<String> = events.lines().map(str::to_owned).collect();
    let mut changed = report(&finished.out);
    change(&mut lines, &mut changed);
    fs::write(copy.path().join("events.jsonl"), lines.join("\n") + "\n").expect("it is ours");
    fs::write(copy.path().join("report.json"), changed.to_string()).expect("it is ours");
    let (code, text) = audit(copy.path());
    let findings: Vec<String> =
        text.lines().filter(|l| l.starts_with("WRONG")).map(str::to_owned).collect();
    assert_eq!(code, i32::from(!findings.is_empty()), "{text}");
    findings
}

/// The number of the first line that says all of this.
fn line_with(lines: &[String], texts: &[&str]) -> usize {
    let found = lines.iter().position(|l| texts.iter().all(|t| l.contains(t)));
    found.unwrap_or_else(|| panic!("no line with {texts:?}"))
}

#[test]
fn whoever_changes_a_file_of_a_run_is_found_out() {
    let lab = Lab::alone();
    let finished = Run::start(&lab, "out", &Twins::new(&lab, Policy::Suspect).text(), &[]).finish();
    let whole = finished.expect(0);
    assert_eq!(whole.audit.expect("there is one").findings, Vec::<String>::new());
    let (code, text) = audit(&finished.out);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("everything adds up"), "{text}");
    assert_eq!(after(&finished, |_, _| {}), Vec::<String>::new());

    // An event of each kind that verdicts hang on.
    for kind in ["tx", "rx", "send", "closed"] {
        let gone = after(&finished, |lines, _| {
            let at = line_with(lines, &[&format!("\"kind\":\"{kind}\"")]);
            lines.remove(at);
        });
        assert!(gone.iter().any(|f| f.contains("events.jsonl has")), "{kind}: {gone:#?}");
    }
    let verdict = |value: &mut Value, to: &str| {
        let sends = value["sends"].as_array_mut().expect("sends");
        let send = sends.iter_mut().find(|s| s["verdict"] == "silent_loss").expect("one is lost");
        send["verdict"] = to.into();
    };
    let changed = after(&finished, |_, report| verdict(report, "delivered"));
    assert!(changed.iter().any(|f| f.contains("verdicts for")), "{changed:#?}");
    // Even if the totals are changed to fit.
    let fitting = after(&finished, |_, report| {
        verdict(report, "delivered");
        for (name, by) in [("silent_loss", -1), ("delivered", 1)] {
            let total = &mut report["verdicts"][name];
            *total = (total.as_i64().expect("a number") + by).into();
        }
    });
    let found = |f: &&String| f.contains("silent_loss") && f.contains("report.json says");
    assert_eq!(fitting.iter().filter(found).count(), 1, "{fitting:#?}");
    // A drop that did not happen, one that did, and another's.
    for (from, to) in [("\"dropped\":true", "\"dropped\":false"), ("\"rule\":0", "\"rule\":1")] {
        let wrong = after(&finished, |lines, _| {
            let at = line_with(lines, &["\"kind\":\"tx\"", from]);
            lines[at] = lines[at].replacen(from, to, 1);
        });
        assert!(wrong.iter().any(|f| f.contains("by the rules of epoch")), "{wrong:#?}");
    }
    let said = after(&finished, |_, report| report["flows"][0]["egress"]["packets"] = 1.into());
    assert!(said.iter().any(|f| f.contains("packets of flow")), "{said:#?}");
    let rule = after(&finished, |_, report| report["faults"][0]["acted"] = 1.into());
    assert!(rule.iter().any(|f| f.contains("acted on")), "{rule:#?}");
    let outcome = after(&finished, |lines, _| {
        let at = line_with(lines, &["\"kind\":\"message\"", "\"outcome\":\"ok\""]);
        lines[at] = lines[at].replacen("\"outcome\":\"ok\"", "\"outcome\":\"failed\"", 1);
    });
    assert!(outcome.iter().any(|f| f.contains("the app's words")), "{outcome:#?}");
    let cut = after(&finished, |lines, _| lines.truncate(lines.len() - 3));
    assert!(cut.iter().any(|f| f.contains("no end line")), "{cut:#?}");
    lab.close();
}

#[test]
fn decisions_by_chance_and_by_count_are_made_again() {
    let lab = Lab::alone();
    let receipts = lab.file("receipts");
    let server = quoted(python(), &format!("{} 127.0.0.1 7600 {receipts}", script("peer.py")));
    let client = quoted(python(), &format!("{} 127.0.0.1 7600 12", script("client.py")));
    let text = format!(
        "schema = 1\nname = 'chances'\nseed = 11\nduration = '{}'\nline = 'none'\n\
         [[app]]\nname = 'server'\nready = {{ log = 'listening' }}\ncommand = {server}\n\
         [[app]]\nname = 'client'\nready = {{ log = 'connected' }}\ncommand = {client}\n{OUTCOMES}\
         [[flow]]\nname = 'chat'\nremote = '127.0.0.1:7600'\napp = 'client'\nnth = 2\n\
         [[step]]\nname = 'chance'\nat = '0s'\nfor = '{half}'\nfaults = [{{ flow = 'chat', drop = 0.4 }}]\n\
         [[step]]\nname = 'count'\nat = '{half}'\nfaults = [{{ flow = 'chat', drop = {{ every = 3 }} }}]\n",
        stretched(20_000),
        half = stretched(900),
    );
    let finished = Run::start(&lab, "out", &text, &[]).finish();
    // What the client says is not the point here.
    let whole = finished.report();
    let own = whole.audit.expect("there is one");
    assert_eq!((&own.findings[..], own.undecided), (&[][..], 0));
    assert!(own.decisions >= 20, "{own:?}");
    for fault in ["chance", "count"] {
        let acted: u64 = whole.faults.iter().filter(|f| f.step == fault).map(|f| f.acted).sum();
        assert!(acted > 0, "{fault}: {:#?}", whole.faults);
    }
    // Another seed, another draw, another count: other decisions.
    let seed = after(&finished, |lines, report| {
        lines[0] = lines[0].replace("\"seed\":11", "\"seed\":12");
        report["seed"] = 12.into();
    });
    assert!(seed.iter().any(|f| f.contains("by the rules of epoch")), "{seed:#?}");
    let count = after(&finished, |lines, _| {
        // The last of them: the faults of the step before may be lifted a moment later.
        let armed = lines.iter().rfind(|l| l.contains("\"does\":\"every\""));
        let armed: Value = serde_json::from_str(armed.expect("it was armed")).expect("JSON");
        let at = line_with(lines, &["\"dropped\":true", &format!("\"epoch\":{},", armed["epoch"])]);
        let mut line: Value = serde_json::from_str(&lines[at]).expect("JSON");
        let draw = line["judged"]["draw"].as_u64().expect("a number");
        line["judged"]["draw"] = (draw + 1).into();
        lines[at] = line.to_string();
    });
    assert_eq!(count.len(), 1, "{count:#?}");
    lab.close();
}
