//! What a run prints, where its results go, and what it does when neither is possible.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::support::process::wait_for;
use crate::support::run::Run;
use crate::support::{Lab, flowfault};

/// An app that says something, and an expectation about its exit.
const FAILS: &str = "schema = 1\nname = 'told'\nduration = '20s'\n\
    [[app]]\nname = 'app'\ncommand = ['sh', '-c', 'echo up; exit 3']\n\
    [[expect]]\napp = 'app'\nexit = 0\n";

#[test]
fn a_reader_that_has_gone_changes_no_exit_code() {
    let lab = Lab::alone();
    let file = lab.path().join("s.toml");
    fs::write(&file, FAILS).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(flowfault());
    command.arg("run").arg(&file).arg("--out").arg(lab.path().join("out"));
    command.stdout(writer).stderr(Stdio::piped());
    lab.near.put(&mut command);
    drop(reader);
    let mut child = command.spawn().unwrap();
    let limit = std::time::Duration::from_secs(20);
    let status = wait_for("end of the run", limit, || child.try_wait().unwrap());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    lab.close();
}

#[test]
fn a_quiet_run_that_fails_says_why_on_stderr() {
    let lab = Lab::alone();
    let finished = Run::start(&lab, "out", FAILS, &["--quiet"]).finish();
    finished.expect(1);
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.contains("app") && finished.stderr.contains("exit 3"), "{finished:#?}");
    let dies = FAILS.replace("'echo up; exit 3']", "'exit 7']\nready = { log = 'up' }");
    let finished = Run::start(&lab, "dies", &dies, &["--quiet"]).finish();
    finished.expect(4);
    assert!(finished.stderr.contains("died before t = 0"), "{finished:#?}");
    lab.close();
}

#[test]
fn results_that_cannot_be_kept_are_shown_all_the_same() {
    let lab = Lab::alone();
    // The app replaces the directory by a file: not even root can write into that.
    let out = lab.file("out");
    let script = format!("rm -r {out}; touch {out}; exit 3");
    let scenario = FAILS.replace("echo up; exit 3", &script);
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stdout.contains("observed: exit 3"), "no verdict: {finished:#?}");
    assert!(!finished.stdout.contains("results:"), "there are none: {finished:#?}");
    assert!(finished.stderr.contains(&out) && finished.stderr.contains("--out"), "{finished:#?}");
    lab.close();
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let lab = Lab::alone();
    let ignores = "['sh', '-c', 'trap : TERM; echo up; while :; do sleep 0.1; done']";
    let scenario = format!(
        "schema = 1\nname = 'log'\nduration = '100ms'\n[[app]]\nname = 'app'\ngrace = '50ms'\n\
         command = {ignores}\n"
    );
    // That it kills the app is a message of level info.
    let finished = Run::start(&lab, "out", &scenario, &["-v"]).finish();
    assert!(finished.stderr.contains("killed"), "nothing was logged: {finished:#?}");
    assert!(!finished.stderr.contains('\u{1b}'), "{finished:#?}");
    lab.close();
}

#[test]
fn a_cause_is_said_once() {
    let lab = Lab::alone();
    let missing = lab.path().join("missing.toml");
    let told = Command::new(flowfault()).arg("check").arg(missing).output().unwrap();
    let stderr = String::from_utf8_lossy(&told.stderr);
    assert_eq!(stderr.matches("No such file").count(), 1, "{stderr}");
    lab.close();
}

#[test]
fn an_overwritten_run_leaves_none_of_its_output() {
    let lab = Lab::alone();
    for options in [&[][..], &["--overwrite"]] {
        Run::start(&lab, "out", FAILS, options).finish().expect(1);
        let copied = fs::read_to_string(lab.path().join("out/apps/app.stdout")).unwrap();
        assert_eq!(copied, "up\n", "{options:?}");
    }
    lab.close();
}
