//! The exit codes of the contract, and what a run that went wrong says.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;

use fault_user::report::model::RunResult;

use crate::support::process::Process;
use crate::support::run::Run;
use crate::support::scenarios::{Policy, Twins};
use crate::support::{Lab, flowfault, python, slow};

/// Nobody, on every distribution.
const NOBODY: u32 = 65534;

/// Some app and nothing else.
fn one_app(command: &str, more: &str) -> String {
    format!(
        "schema = 1\nname = 'exit codes'\nduration = '20s'\n[[app]]\nname = 'app'\ncommand = {command}\n{more}"
    )
}

#[test]
fn a_bad_scenario_is_2_and_touches_nothing() {
    let lab = Lab::alone();
    let scenario = one_app("['true']", "colour = 'red'\n");
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    assert_eq!(finished.code, 2, "{finished:#?}");
    assert!(finished.stderr.contains("colour"), "{finished:#?}");
    assert!(!finished.out.exists() && finished.objects.programs.is_empty(), "{finished:#?}");
    lab.close();
}

#[test]
fn an_app_that_dies_early_is_4_with_its_last_words() {
    let lab = Lab::alone();
    let scenario =
        one_app("['sh', '-c', 'echo no such tube >&2; exit 7']", "ready = { log = 'up' }\n");
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    let report = finished.expect(4);
    assert_eq!(report.result, RunResult::Error);
    let warnings = report.warnings.join("\n");
    for words in ["app", "no such tube", "exit 7"] {
        assert!(warnings.contains(words) && finished.stdout.contains(words), "{finished:#?}");
    }
    lab.close();
}

#[test]
fn an_app_that_never_gets_ready_is_4() {
    let lab = Lab::alone();
    let scenario = one_app("['sleep', '20']", "ready = { log = 'up', within = '300ms' }\n");
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    let report = finished.expect(4);
    assert!(report.warnings.iter().any(|w| w.contains("ready")), "{:#?}", report.warnings);
    assert!(
        report.duration_ms < 5000.0 * f64::from(slow()),
        "it did not wait for the app: {report:#?}"
    );
    lab.close();
}

#[test]
fn a_failed_expectation_is_1() {
    let lab = Lab::alone();
    let scenario =
        one_app("['sh', '-c', 'echo up; exit 3']", "[[expect]]\napp = 'app'\nexit = 0\n");
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    let report = finished.expect(1);
    assert_eq!(report.result, RunResult::Failed);
    assert!(
        !report.expectations[0].held && report.expectations[0].observed.contains('3'),
        "{report:#?}"
    );
    lab.close();
}

#[test]
fn without_privileges_it_is_3_with_the_remedy() {
    let lab = Lab::alone();
    fs::set_permissions(lab.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The build directory may be closed to others.
    let program = lab.path().join("flowfault");
    fs::copy(flowfault(), &program).expect("the binary can be copied");
    let (scenario, home) = (lab.path().join("s.toml"), lab.path().join("home"));
    fs::write(&scenario, one_app("['true']", "")).unwrap();
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = std::process::Command::new(&program);
    command.arg("run").arg(&scenario).arg("--out").arg(home.join("out"));
    command.uid(NOBODY).gid(NOBODY).current_dir(&home);
    // Entering the namespace needs root, which the child no longer is when it could.
    let base = lab.path().join("nobody");
    let mut process = Process::start_here(command, &base);
    let status =
        crate::support::process::wait_for("end", std::time::Duration::from_secs(20), || {
            process.ended()
        });
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("root") || stderr.contains("sudo"), "no remedy: {stderr}");
    lab.close();
}

#[test]
fn a_fault_that_meets_no_packet_is_4_unless_it_may() {
    for (may_miss, code) in [("", 4), (", may_miss = true", 0)] {
        let lab = Lab::alone();
        let twins =
            Twins { count: 4, at: 100, lasts: Some(200), ..Twins::new(&lab, Policy::Fixed) };
        let twins = Twins { expects: false, ..twins };
        // The identified websocket is idle then.
        let fault = "flow = 'unidentified', direction = 'both', drop = 1.0";
        let idle = format!("flow = 'identified', direction = 'ingress', drop = 1.0{may_miss}");
        let text = twins.text();
        assert!(text.contains(fault));
        let finished = Run::start(&lab, "out", &text.replace(fault, &idle), &[]).finish();
        let report = finished.expect(code);
        let named = report.warnings.iter().any(|w| w.contains("outage") && w.contains("may_miss"));
        assert_eq!(named, code == 4, "{:#?}", report.warnings);
        lab.close();
    }
}

#[test]
fn a_flow_that_never_appears_is_4() {
    let lab = Lab::alone();
    let twins = Twins { expects: false, count: 4, ..Twins::new(&lab, Policy::Fixed) };
    let text =
        twins.text().replace("creating unidentified websocket", "creating a third websocket");
    let finished = Run::start(&lab, "out", &text, &[]).finish();
    let report = finished.expect(4);
    let named = |w: &String| w.contains("flow `unidentified`") && w.contains("appear");
    assert!(report.warnings.iter().any(named), "{:#?}", report.warnings);
    lab.close();
}

#[test]
fn a_step_that_never_happens_is_4_if_something_depends_on_it() {
    let step = "[[step]]\nname = 'late'\nafter = { log = 'never' }\nexec = ['true']\n";
    let asked =
        format!("{step}[[expect]]\nlog = 'up'\napp = 'app'\nwithin = '1s'\nof_step = 'late'\n");
    let fault = "[[flow]]\nname = 'web'\napp = 'app'\nremote = '127.0.0.1:1'\n\
        [[step]]\nname = 'late'\nafter = { log = 'never' }\n\
        faults = [{ flow = 'web', drop = 1.0 }]\n";
    let may = fault.replace("1.0", "1.0, may_miss = true");
    // The flow is there: bash opens a connection, which is refused.
    let app = "['bash', '-c', 'echo up; (: < /dev/tcp/127.0.0.1/1) || true']";
    for (more, code) in [(step, 0), (&asked, 4), (fault, 4), (&may, 0)] {
        let lab = Lab::alone();
        let finished = Run::start(&lab, "out", &one_app(app, more), &[]).finish();
        let report = finished.expect(code);
        let named = |w: &String| w.contains("`late` never happened") && w.contains("`never`");
        assert!(report.warnings.iter().any(named), "{:#?}", report.warnings);
        assert!(named(&report.warnings[0]), "the reason comes first: {report:#?}");
        lab.close();
    }
}

#[test]
fn more_sockets_than_max_flows_are_4_also_where_a_pattern_picks_them() {
    for (max_flows, code) in [(1, 4), (2, 0)] {
        let lab = Lab::alone();
        let script = "import os, socket, time
server = socket.create_server((\"127.0.0.1\", 7444))
held = []
for n in range(2):
    os.write(1, b\"opening number %d\\n\" % n)
    held.append(socket.create_connection((\"127.0.0.1\", 7444)))
    time.sleep(0.3)";
        let app = format!("['{}', '-c', '''{script}''']", python());
        let flow = format!(
            "[[flow]]\nname = 'web'\napp = 'app'\nremote = '127.0.0.1:7444'\n\
             opened_after = {{ log = 'opening number \\d' }}\nmax_flows = {max_flows}\n"
        );
        let finished = Run::start(&lab, "out", &one_app(&app, &flow), &[]).finish();
        let report = finished.expect(code);
        let named = |w: &String| w.contains("`web`") && w.contains("max_flows = 1");
        assert_eq!(report.warnings.iter().any(named), code == 4, "{:#?}", report.warnings);
        lab.close();
    }
}

#[test]
fn a_flow_without_an_app_is_any_app_s() {
    let lab = Lab::alone();
    let app = "['bash', '-c', 'echo up; (: < /dev/tcp/127.0.0.1/1) || true']";
    let flow = "[[flow]]\nname = 'web'\nremote = '127.0.0.1:1'\n";
    // Not the first app: an app's number must not pass for "any".
    let other = "[[app]]\nname = 'other'\ncommand = ['sleep', '1']\n";
    let scenario = one_app("['sleep', '1']", "").replace("'app'", "'first'");
    let scenario = format!("{scenario}{other}[[app]]\nname = 'app'\ncommand = {app}\n{flow}");
    Run::start(&lab, "out", &scenario, &[]).finish().expect(0);
    lab.close();
}
