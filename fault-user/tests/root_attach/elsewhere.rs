//! A program in another network namespace than flowfault, as in a container: the faults are there, and nothing stays there.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::daemon::{Daemon, echo_at, watch_at};
use crate::support::netns::Netns;
use crate::support::process::{Process, run as execute, wait_for};
use crate::support::run::Run;
use crate::support::{Lab, stretched};
use crate::{OUTAGE, flow, scenario};

const SOON: Duration = Duration::from_secs(10);

/// The namespace of the program; flowfault runs in the near one.
fn there(lab: &Lab) -> &Netns {
    lab.far.as_ref().expect("a pair")
}

/// A daemon with connections to an echo at the near end.
fn connected(lab: &Lab, count: usize) -> (Daemon, Process) {
    let (echo, port) = echo_at(lab, &lab.near, "10.77.0.1");
    let daemon = Daemon::start(lab, true, "daemon", &format!("connect 10.77.0.1 {port} {count}"));
    daemon.of(count);
    (daemon, echo)
}

/// All that flowfault may have changed in a namespace.
fn state(netns: &Netns) -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/conf/lo/{name}"));
    let settings = netns.within(|| ["route_localnet", "accept_local"].map(|name| read(name).ok()));
    let tc = execute("tc", &["-n", &netns.name, "qdisc", "show"]);
    format!("{}{tc}{settings:?}", netns.links())
}

fn one_goes_dark(options: &[&str], hook: &str) {
    let lab = Lab::pair();
    let (daemon, _echo) = connected(&lab, 2);
    let (before, home) = (state(there(&lab)), state(&lab.near));
    let told = daemon.of(2);
    let (lit, dark) = (told[0].cookie, told[1].cookie);
    let text = scenario(&format!("pid = {}", daemon.process.pid()), &format!("cookie = {dark}"));
    let mut report = None;
    let watched = watch_at(&lab.near, &daemon, || {
        report = Some(Run::start(&lab, "out", &text, options).finish().expect(0));
    });
    let report = report.expect("the run is over");
    assert!(hook.is_empty() || report.backends.hook == hook, "{:?}", report.backends);
    watched.untouched(lit);
    watched.dark(dark, f64::from(OUTAGE) * 0.8);
    assert!(flow(&report, dark).egress.dropped > 0, "{:#?}", report.flows);
    assert_eq!(flow(&report, lit).egress.dropped + flow(&report, lit).ingress.dropped, 0);
    assert_eq!((state(there(&lab)), state(&lab.near)), (before, home));
    drop(daemon);
    lab.close();
}

#[test]
fn one_of_two_connections_goes_dark() {
    one_goes_dark(&[], "");
}

#[test]
fn filters_of_clsact_go_with_the_run() {
    one_goes_dark(&["--hook", "clsact"], "clsact");
}

/// The delay line is there as well, and the settings of lo that it needs.
#[test]
fn a_connection_over_its_loopback_is_delayed() {
    let lab = Lab::pair();
    let (_echo, port) = echo_at(&lab, there(&lab), "127.0.0.1");
    let daemon = Daemon::start(&lab, true, "daemon", &format!("connect 127.0.0.1 {port} 2"));
    let told = daemon.of(2);
    daemon.order("go");
    let before = state(there(&lab));
    let text = scenario(
        &format!("pid = {}", daemon.process.pid()),
        &format!("cookie = {}", told[1].cookie),
    );
    let text = text.replace("drop = 1.0", "direction = 'egress', delay = '50ms'");
    for line in ["tap", "fq"] {
        let text = format!("line = '{line}'\n{text}");
        let finished = Run::start(&lab, line, &text, &[]).finish();
        // A kernel without it says so: see root_fq.
        if line == "fq" && finished.code == 3 && finished.stderr.contains("sch_fq") {
            continue;
        }
        let report = finished.expect(0);
        assert_eq!(report.backends.line, line);
        let (lit, dark) = (flow(&report, told[0].cookie), flow(&report, told[1].cookie));
        assert!(dark.egress.delayed > 0 && lit.egress.delayed == 0, "{:#?}", report.flows);
        assert_eq!(state(there(&lab)), before, "{line}");
    }
    drop(daemon);
    lab.close();
}

/// An interface that appears during the run is watched.
#[test]
fn interfaces_that_come_later_are_watched() {
    let lab = Lab::pair();
    let (echo, port) = echo_at(&lab, &lab.near, "0.0.0.0");
    let daemon = Daemon::start(&lab, true, "daemon", &format!("connect 10.78.0.1 {port} 0"));
    let text = format!(
        "schema = 1\nduration = '{}'\n[[app]]\nname = 'daemon'\npid = {}\n\
         [[flow]]\nname = 'new'\nremote = '10.78.0.1:{port}'\nnth = 1\n\
         [[step]]\nat = '0s'\nfaults = [{{ flow = 'new', drop = {{ first = 1 }} }}]\nfor = '{}'\n\
         [[step]]\nat = '0s'\nexec = ['touch', '{}']\n",
        stretched(15_000),
        daemon.process.pid(),
        stretched(3_500),
        lab.file("armed"),
    );
    let mut run = Run::start(&lab, "out", &text, &[]);
    let armed = lab.path().join("armed");
    run.until("the first step", |_| armed.exists());
    lab.near.ip(&format!("link add later0 type veth peer name later0 netns {}", there(&lab).name));
    for (netns, host) in [(&lab.near, 1), (there(&lab), 2)] {
        netns.ip(&format!("addr add 10.78.0.{host}/24 dev later0"));
        netns.ip("link set later0 up");
    }
    daemon.order("open");
    let told = daemon.of(1)[0];
    let report = run.finish().expect(0);
    assert_eq!(flow(&report, told.cookie).egress.dropped, 1, "its SYN: {:#?}", report.flows);
    lab.near.ip("link del later0");
    drop((daemon, echo));
    lab.close();
}

/// What flowfault starts stays where flowfault is.
#[test]
fn apps_and_commands_are_started_at_home() {
    let lab = Lab::pair();
    let (daemon, _echo) = connected(&lab, 1);
    daemon.order("go");
    let said = lab.file("said");
    let app = format!(
        "pid = {}\n[[app]]\nname = 'helper'\nmain = false\ncommand = ['readlink', '/proc/self/ns/net']",
        daemon.process.pid()
    );
    let text = scenario(&app, &format!("app = 'daemon'\ncookie = {}", daemon.of(1)[0].cookie));
    let exec = format!(
        "[[step]]\nat = '0s'\nexec = ['sh', '-c', 'readlink /proc/self/ns/net > {said}']\n"
    );
    let finished = Run::start(&lab, "out", &(text + &exec), &[]).finish();
    finished.expect(0);
    let home = lab.near.within(|| fs::read_link("/proc/thread-self/ns/net").expect("it is there"));
    let helper = fs::read_to_string(finished.out.join("apps/helper.stdout"));
    assert_eq!(helper.expect("it was copied").trim(), home.to_string_lossy());
    assert_eq!(fs::read_to_string(&said).expect("the step ran").trim(), home.to_string_lossy());
    drop(daemon);
    lab.close();
}

/// Killed in an outage on a delay line: programs, line and settings go, there too.
#[test]
fn a_killed_controller_leaves_nothing_there() {
    for options in [&[][..], &["--hook", "clsact"]] {
        let lab = Lab::pair();
        let (daemon, _echo) = connected(&lab, 1);
        let before = state(there(&lab));
        daemon.order("go");
        let told = daemon.of(1)[0];
        let text = format!(
            "schema = 1\n[[app]]\nname = 'daemon'\npid = {}\n[[flow]]\nname = 'dark'\ncookie = {}\n\
             [[step]]\nat = '0s'\nfaults = [{{ flow = 'dark', drop = 0.9 }}, {{ flow = 'dark', delay = '20ms' }}]\n\
             [[step]]\nat = '30s'\nexec = ['true']\n[[step]]\nat = '0s'\nexec = ['touch', '{}']\n",
            daemon.process.pid(),
            told.cookie,
            lab.file("armed"),
        );
        let mut run = Run::start(&lab, "out", &text, options);
        let armed = lab.path().join("armed");
        run.until("outage", |_| armed.exists());
        assert_ne!(state(there(&lab)), before, "the line is there");
        run.signal(Signal::SIGKILL);
        wait_for("death of the controller", SOON, || run.process.ended());
        run.is_gone(SOON);
        wait_for("an empty house", SOON, || (state(there(&lab)) == before).then_some(()));
        let received = daemon.of(1)[0].received;
        daemon.once("an answer", |_, told| told[0].received > received);
        drop((run, daemon));
        lab.close();
    }
}
