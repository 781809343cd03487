//! How apps and commands are started, signalled and ended.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fault_user::app::cgroup::RunCgroup;
use fault_user::app::{AppEvent, Supervisor};
use fault_user::report::model::{AppReport, Report};
use fault_user::scenario;

use crate::support::run::Run;
use crate::support::{Lab, python};

/// Longest that anything here should take.
const LIMIT: Duration = Duration::from_secs(10);
/// A program that hears no SIGTERM.
const DEAF: &str = "trap \"\" TERM; echo up; while :; do sleep 0.05; done";

/// An app `app` that runs this shell script, and one that is waited for.
fn beside(script: &str, main_lasts: &str, more: &str) -> String {
    format!(
        "schema = 1\nname = 'lifecycle'\nduration = '15s'\n\
         [[app]]\nname = 'app'\nmain = false\ngrace = '300ms'\ncommand = ['sh', '-c', '{script}']\n\
         ready = {{ log = 'up' }}\n\
         [[app]]\nname = 'main'\nmain = true\ncommand = ['sleep', '{main_lasts}']\n{more}"
    )
}

fn app(report: &Report) -> &AppReport {
    report.apps.iter().find(|a| a.name == "app").expect("it is in every scenario here")
}

/// Whether a process runs; one that nobody has waited for has no arguments any more.
fn runs(pid: &str) -> bool {
    let arguments = fs::read(Path::new("/proc").join(pid.trim()).join("cmdline"));
    arguments.is_ok_and(|a| !a.is_empty())
}

#[test]
fn an_app_that_runs_is_not_started_a_second_time() {
    let lab = Lab::alone();
    let again = "[[step]]\nname = 'again'\nat = '100ms'\nstart = 'app'\n";
    let scenario = beside("echo up; sleep 20", "3", again);
    let report = Run::start(&lab, "out", &scenario, &[]).finish().expect(4);
    assert!(report.warnings[0].contains("`app`"), "{:#?}", report.warnings);
    assert!(report.warnings[0].contains("still runs"), "{:#?}", report.warnings);
    lab.close();
}

#[test]
fn the_exit_of_an_earlier_process_is_not_that_of_the_next() {
    let lab = Lab::alone();
    let mark = lab.file("mark");
    // The first one leaves the mark and ends; the second one stays.
    let script = format!("test -e {mark} && exec sleep 20; touch {mark}");
    let text = beside(&script, "1", "");
    let scenario = scenario::parse("s.toml", &text, lab.path(), &[]).unwrap();
    let cgroup = RunCgroup::create(&format!("{}-lifecycle", std::process::id())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let apps = &scenario.apps[..1];
        let (mut supervisor, mut events) = Supervisor::new(apps, &cgroup, lab.path()).unwrap();
        let first = supervisor.start(0).unwrap();
        let deadline = Instant::now() + LIMIT;
        // Its exit is known long before it is taken in.
        let second = loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            match supervisor.start(0) {
                Ok(pid) => break pid,
                Err(e) => assert!(Instant::now() < deadline, "{e}"),
            }
        };
        let Some(AppEvent::Exited { pid, .. }) = events.recv().await else {
            panic!("an exit comes first: nothing is written")
        };
        assert_eq!(pid, first);
        assert!(!supervisor.exited(0, pid), "an old exit is not the app's");
        assert_eq!(supervisor.pid(0), Some(second));
        supervisor.kill(0);
    });
    drop(cgroup);
    lab.close();
}

#[test]
fn a_stopped_app_is_killed_when_its_grace_is_over() {
    let lab = Lab::alone();
    let stop = "[[step]]\nname = 'stop'\nat = '200ms'\nstop = 'app'\n";
    let report = Run::start(&lab, "out", &beside(DEAF, "3", stop), &[]).finish().expect(0);
    let exited = app(&report).exited_ms.expect("it was ended");
    // Not before 200 ms + grace; well before the run's end.
    assert!((500.0..2000.0).contains(&exited), "{report:#?}");
    lab.close();
}

#[test]
fn a_signal_is_an_excuse_only_for_what_it_brings_about() {
    let signal = "[[step]]\nname = 'usr1'\nat = '200ms'\nsignal = { app = 'app', name = 'USR1' }\n";
    let survives = "trap : USR1; echo up; sleep 1 & wait; exit 3";
    let dies = "echo up; exec sleep 20";
    let asked = "trap \"exit 3\" TERM; echo up; while :; do sleep 0.05; done";
    let term = signal.replace("USR1", "TERM");
    for (script, step, code) in [(survives, signal, 1), (dies, signal, 0), (asked, &term, 0)] {
        let lab = Lab::alone();
        let report = Run::start(&lab, "out", &beside(script, "2", step), &[]).finish().expect(code);
        let told = report.expectations.iter().any(|e| !e.held && e.observed.contains("exit 3"));
        assert_eq!(told, code == 1, "{script}: {report:#?}");
        lab.close();
    }
}

#[test]
fn what_an_app_has_put_into_another_session_ends_in_order_too() {
    // The app itself stays, or leaves its child behind at once.
    for last in ["wait", "sleep 0.5"] {
        let lab = Lab::alone();
        let (bye, child) = (lab.path().join("bye"), lab.path().join("child.sh"));
        let script = format!(
            "trap 'echo bye > {}; exit' TERM\necho up\nwhile :; do sleep 0.05; done\n",
            bye.display()
        );
        fs::write(&child, script).unwrap();
        let script = format!("setsid sh {} & {last}", child.display());
        let text = beside(&script, "1", "").replace("300ms", "3s");
        Run::start(&lab, "out", &text, &[]).finish();
        assert!(bye.exists(), "it was killed without SIGTERM ({last})");
        lab.close();
    }
}

#[test]
fn commands_have_a_cgroup_of_their_own_and_end_with_the_run() {
    let lab = Lab::alone();
    let [cgroup, pid, bye] = ["cgroup", "pid", "bye"].map(|f| lab.path().join(f));
    let leaves = format!(
        "cat /proc/self/cgroup > {}; sleep 300 & echo $! > {}",
        cgroup.display(),
        pid.display()
    );
    let lasts =
        format!("trap \"echo bye > {}; exit\" TERM; while :; do sleep 0.05; done", bye.display());
    let steps = format!(
        "[[step]]\nname = 'leaves'\nat = '100ms'\nexec = ['sh', '-c', '{leaves}']\n\
         [[step]]\nname = 'lasts'\nat = '200ms'\nexec = ['sh', '-c', '{lasts}']\n"
    );
    let text = beside("echo up; sleep 20", "1", &steps).replace("'15s'", "'2s'");
    let report = Run::start(&lab, "out", &text, &[]).finish().expect(0);
    let cgroup = fs::read_to_string(cgroup).unwrap();
    assert!(cgroup.contains("flowfault-") && cgroup.contains("/@commands"), "{cgroup}");
    assert!(!runs(&fs::read_to_string(pid).unwrap()), "what a command left still runs");
    assert!(bye.exists(), "the command was killed without SIGTERM");
    let cut = |w: &String| w.contains("`lasts`") && w.contains("still ran");
    assert!(report.warnings.iter().any(cut), "{:#?}", report.warnings);
    lab.close();
}

#[test]
fn a_user_without_an_entry_is_become_nevertheless() {
    let lab = Lab::alone();
    let steps = "[[step]]\nname = 'who'\nat = '100ms'\nexec = ['id']\n";
    let text = beside("echo up; id", "1", steps);
    let (uid, gid) = ("3999999999", "4711");
    let env = [("SUDO_UID", uid), ("SUDO_GID", gid)];
    let finished = Run::start_with(&lab, "out", &text, &[], &env).finish();
    finished.expect(0);
    for file in ["apps/app.stdout", "apps/who.exec"] {
        let said = fs::read_to_string(finished.out.join(file)).unwrap();
        let id = format!("uid={uid} gid={gid} groups={gid}");
        assert!(said.contains(&id), "{file}: {said}");
    }
    let finished = Run::start_with(&lab, "refused", &text, &[], &env[..1]).finish();
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("SUDO_GID"), "{finished:#?}");
    lab.close();
}

#[test]
fn a_write_that_is_too_long_is_read_as_far_as_it_goes_and_told() {
    let lab = Lab::alone();
    // One write of 1.5 MiB without a line end, then a line.
    let script = "import os; os.write(1, b\"x\" * 1572864); os.write(1, b\"next\\n\")";
    let command = format!("['{}', '-c', '''{script}''']", python());
    let text = beside("echo up; sleep 20", "1", "").replace("['sleep', '1']", &command);
    let text = format!("{text}[[expect]]\nlog = '^next$'\napp = 'main'\nwithin = '5s'\n");
    let finished = Run::start(&lab, "out", &text, &[]).finish();
    let report = finished.expect(0);
    let told = |w: &String| w.contains("`main` made 1 writes to stdout") && w.contains("1572864");
    assert!(report.warnings.iter().any(told), "{:#?}", report.warnings);
    let copied = fs::read_to_string(finished.out.join("apps/main.stdout")).unwrap();
    let tail = "x[flowfault: 524288 more bytes of this write were not read]\nnext\n";
    assert!(copied.ends_with(tail), "{}", &copied[copied.len() - 100..]);
    lab.close();
}
