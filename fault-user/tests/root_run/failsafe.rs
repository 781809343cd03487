//! What happens to the app, the kernel and the host when flowfault is stopped, killed or stuck.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fault_user::report::model::RunResult;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::objects::Objects;
use crate::support::process::{Process, wait_for};
use crate::support::run::{Finished, Run};
use crate::support::scenarios::{Policy, Twins};
use crate::support::truth::{Receipt, receipts};
use crate::support::{Lab, flowfault};

/// A run in the middle of an outage: messages without end, the last of them lost.
fn in_outage(lab: &Lab) -> Run {
    in_outage_with(lab, &[])
}

/// The same with more options.
pub fn in_outage_with(lab: &Lab, options: &[&str]) -> Run {
    let twins = Twins { count: 0, at: 500, expects: false, ..Twins::new(lab, Policy::Suspect) };
    let mut run = Run::start(lab, "out", &twins.text(), options);
    run.app_says("sender", "msg-8");
    // Written at least 400 ms into the outage: it is lost unless the outage ends.
    assert!(!arrived(lab, "msg-8"), "the outage has not begun");
    run
}

fn all(lab: &Lab) -> Vec<Receipt> {
    receipts(&lab.path().join("receipts"))
}

fn arrived(lab: &Lab, id: &str) -> bool {
    all(lab).iter().any(|r| r.id == id)
}

/// Waits until lost messages arrive after all, over the connection that was dark.
pub fn comes_back(lab: &Lab) {
    let before = all(lab);
    // TCP tries again after 0.2, 0.4, 0.8, 1.6 s; the outage was not much longer than that.
    wait_for("message over the dark socket", Duration::from_secs(8), || {
        arrived(lab, "msg-8").then_some(())
    });
    let receipts = all(lab);
    assert!(receipts.len() > before.len());
    let peer = |id: &str| receipts.iter().find(|r| r.id == id).map(|r| r.peer.clone());
    assert_eq!(peer("msg-8"), peer("msg-1"), "it is the same connection: {receipts:?}");
}

fn interrupted(signal: Signal) -> Finished {
    let lab = Lab::alone();
    let run = in_outage(&lab);
    run.signal(signal);
    let finished = run.finish();
    let report = finished.report();
    assert_eq!(report.result, RunResult::Interrupted, "{report:#?}");
    assert!(report.steps[0].armed_ms.is_some(), "{report:#?}");
    assert!(finished.out.join("report.html").exists() && finished.out.join("junit.xml").exists());
    for app in &report.apps {
        let gone = !fs::exists(format!("/proc/{}", app.pid.expect("it was started")))
            .expect("/proc is readable");
        assert!(gone, "{app:?} still runs");
    }
    lab.close();
    finished
}

#[test]
fn sigint_ends_in_order_with_130() {
    let finished = interrupted(Signal::SIGINT);
    assert_eq!(finished.code, 130, "{finished:#?}");
}

#[test]
fn sigterm_ends_in_order_with_143() {
    let finished = interrupted(Signal::SIGTERM);
    assert_eq!(finished.code, 143, "{finished:#?}");
}

#[test]
fn a_killed_controller_leaves_a_whole_network_and_living_apps() {
    let lab = Lab::alone();
    let mut run = in_outage(&lab);
    let janitor = child(run.process.pid(), "janitor");
    let apps = [child(run.process.pid(), "server"), child(run.process.pid(), "send-loop")];
    assert!(!run.objects.programs.is_empty() && !run.objects.links.is_empty());
    assert_ne!(run.objects.left(), Objects::default(), "the eye sees what is loaded");
    run.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || run.process.ended());
    run.is_gone(Duration::from_secs(2));
    comes_back(&lab);
    assert!(arguments(janitor).is_some(), "the janitor keeps the apps' output open");
    for app in apps {
        kill(Pid::from_raw(app), Signal::SIGKILL).expect("apps outlive the controller");
    }
    // It looks for the end of its charges twice a second.
    wait_for("end of the janitor", Duration::from_secs(5), || {
        arguments(janitor).is_none().then_some(())
    });
    lab.close();
}

#[test]
fn a_stuck_controller_loses_its_lease() {
    let lab = Lab::alone();
    let run = in_outage(&lab);
    run.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    comes_back(&lab);
    // The lease lasts 2 s and was last renewed up to 0.5 s before: it held until it ran out.
    assert!(stopped.elapsed() >= Duration::from_millis(1000), "{:?}", stopped.elapsed());
    run.signal(Signal::SIGCONT);
    run.signal(Signal::SIGINT);
    let finished = run.finish();
    let report = finished.report();
    assert_eq!(finished.code, 130, "{finished:#?}");
    assert!(report.warnings.iter().any(|w| w.contains("lease")), "{:#?}", report.warnings);
    lab.close();
}

/// Process id of the child of `parent` with this argument.
pub fn child(parent: u32, argument: &str) -> i32 {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = processes.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent_of = stat.rsplit_once(") ").and_then(|(_, s)| s.split(' ').nth(1)?.parse().ok());
        parent_of == Some(parent)
            && arguments(*pid).is_some_and(|a| a.iter().any(|a| a == argument))
    };
    pids.into_iter().find(is_it).unwrap_or_else(|| panic!("process {parent} has no `{argument}`"))
}

/// Arguments of a process; none if it has ended, even if nobody has waited for it.
fn arguments(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok().filter(|t| !t.is_empty())?;
    Some(text.split('\0').map(str::to_owned).collect())
}

/// Doctor is asked, not `clean`: that would remove what other tests on this machine have left.
#[test]
fn a_run_in_another_pid_namespace_is_no_leftover() {
    let own_run = "mount -t tmpfs none /run; ";
    for before in ["", own_run] {
        let lab = Lab::alone();
        let (scenario, out) = (lab.file("s.toml"), lab.file("out"));
        let app = "command = ['sh', '-c', 'cat /proc/self/cgroup; exec sleep 2']";
        let text = format!("schema = 1\nname = 'inside'\n[[app]]\nname = 'app'\n{app}\n");
        fs::write(&scenario, text).expect("the directory is ours");
        let run = format!("{before}{} run {scenario} --out {out}; exit $?", flowfault().display());
        let inside = "--mount --pid --fork --mount-proc sh -c";
        let mut command = crate::support::command("unshare", inside);
        command.arg(run);
        let mut process = Process::start(command, &lab.near, &lab.path().join("inside"));
        let copied = Path::new(&out).join("apps/app.stdout");
        let name = wait_for("name of its cgroup", Duration::from_secs(10), || {
            let said = fs::read_to_string(&copied).ok()?;
            let name = said.split('/').find(|part| part.starts_with("flowfault-"))?;
            Some(name.to_owned())
        });
        let doctor = Command::new(flowfault()).arg("doctor").output().expect("it can be run");
        let said = String::from_utf8_lossy(&doctor.stdout);
        let pid = name.split('-').nth(1).expect("flowfault-PID-RANDOM");
        assert!(said.contains("leftovers"), "{said}");
        for trace in [name.clone(), format!("process {pid}, which is gone")] {
            assert!(!said.contains(&trace), "{name} goes on ({before}): {said}");
        }
        let ended = wait_for("end of the run", Duration::from_secs(10), || process.ended());
        assert!(ended.success(), "{ended} {}", process.stderr());
        lab.close();
    }
}
