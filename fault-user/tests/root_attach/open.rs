//! Sockets that were open before: one of two to the same port goes dark, and nothing else.

use crate::cgroup::Cgroup;
use crate::daemon::{Daemon, connected, echo, watch};
use crate::support::Lab;
use crate::{OUTAGE, flow, run};

/// The second of two connections goes dark, picked so by these keys.
fn second_goes_dark(lab: &Lab, daemon: &Daemon, name: &str, app: &str, keys: &str) {
    let told = daemon.of(2);
    let (lit, dark) = (told[0].cookie, told[1].cookie);
    let mut report = None;
    let watched = watch(lab, daemon, || report = Some(run(lab, name, app, keys).expect(0)));
    let report = report.expect("the run is over");
    watched.untouched(lit);
    watched.dark(dark, f64::from(OUTAGE) * 0.8);
    assert_eq!(flow(&report, dark).name, "dark");
    assert!(flow(&report, dark).egress.dropped > 0, "{:#?}", report.flows);
    assert_eq!(flow(&report, dark).opened_ms, None, "nobody saw it open");
    assert_eq!(flow(&report, lit).egress.dropped, 0);
    assert_eq!(flow(&report, lit).ingress.dropped, 0);
    assert_eq!(flow(&report, lit).pid, daemon.process.pid());
}

#[test]
fn by_cookie_by_descriptor_and_by_local_address() {
    let lab = Lab::pair();
    let (mut daemon, _echo, port) = connected(&lab, 2);
    let app = format!("pid = {}", daemon.process.pid());
    let dark = daemon.of(2)[1];
    let picks = [
        ("cookie", format!("cookie = {}", dark.cookie)),
        ("fd", format!("fd = {}", dark.fd)),
        ("local", format!("remote = '10.77.0.2:{port}'\nlocal = ':{}'", dark.port)),
    ];
    for (name, keys) in picks {
        second_goes_dark(&lab, &daemon, name, &app, &keys);
    }
    assert_eq!(daemon.process.ended(), None, "nobody has signalled it");
    drop(daemon);
    lab.close();
}

#[test]
fn by_process_name_and_by_cgroup() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 2);
    let keys = format!("local = '10.77.0.1:{}'", daemon.of(2)[1].port);
    // The directory makes the command line unique.
    let pattern = format!("process = 'daemon.py connect .*{}/'", lab.path().display());
    second_goes_dark(&lab, &daemon, "process", &pattern, &keys);
    let name = format!("ffe2e-{}.service", daemon.process.pid());
    let cgroup = Cgroup::with(daemon.process.pid(), &name);
    second_goes_dark(&lab, &daemon, "cgroup", &format!("cgroup = '/{name}'"), &keys);
    drop(daemon);
    drop(cgroup);
    lab.close();
}

/// What `flowfault flows --selectors` prints can be pasted.
#[test]
fn the_lines_that_flows_prints_pick_it() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 2);
    let pid = daemon.process.pid();
    let mut command = std::process::Command::new(crate::support::flowfault());
    command.args(["flows", "--selectors", "--pid", &pid.to_string()]);
    lab.near.put(&mut command);
    let out = command.output().expect("flowfault is built");
    let text = String::from_utf8(out.stdout).expect("it prints UTF-8");
    let cookie = format!("cookie = {}\n", daemon.of(2)[1].cookie);
    let all = text + "\n";
    let lines = all.split("[[flow]]").find(|lines| lines.contains(&cookie)).expect(&all);
    let keys: Vec<&str> = lines.lines().filter(|l| !l.starts_with(['n', '#'])).collect();
    second_goes_dark(&lab, &daemon, "pasted", &format!("pid = {pid}"), &keys.join("\n"));
    drop(daemon);
    lab.close();
}

/// The number of a process that has ended is nobody's: who gets it later is somebody else.
#[test]
fn a_process_that_ends_is_told_and_its_number_forgotten() {
    let lab = Lab::pair();
    let (echo, port) = echo(&lab);
    let mut daemon = Daemon::start(&lab, false, "daemon", &format!("connect 10.77.0.2 {port} 1"));
    let told = daemon.of(1)[0];
    let app = format!("pid = {}", daemon.process.pid());
    let steps = "[[step]]\nat = '200ms'\nsignal = { app = 'daemon', name = 'KILL' }\n\
                 [[step]]\nat = '600ms'\nexec = ['true']\n";
    let flow = format!("[[flow]]\nname = 'dark'\ncookie = {}\n", told.cookie);
    let text = format!("schema = 1\n[[app]]\nname = 'daemon'\n{app}\n{flow}{steps}");
    let report = crate::Run::start(&lab, "ends", &text, &[]).finish().expect(0);
    let status = &report.apps[0];
    assert!(status.exited_ms.is_some() && status.status.contains("ended"), "{status:?}");
    assert!(crate::flow(&report, told.cookie).closed_ms.is_some(), "{:#?}", report.flows);
    daemon.process.ended().expect("the signal met the very process");
    drop((daemon, echo));
    lab.close();
}
