//! The fault meets the socket that is named, for as long as it is asked for, and nothing else.

use std::process::Command;

use crate::daemon::{Daemon, connected, watch};
use crate::inject::{Done, Inject, inject, only};
use crate::support::{Lab, flowfault, stretched};

/// How long outages last, in milliseconds on a fast machine.
const OUTAGE: u32 = 400;

/// The second of two connections goes dark, picked by these options.
fn second_goes_dark(lab: &Lab, daemon: &Daemon, name: &str, options: &[&str]) -> Done {
    let told = daemon.of(2);
    let (lit, dark) = (told[0].cookie, told[1].cookie);
    let lasts = stretched(OUTAGE);
    let mut all = options.to_vec();
    all.extend(["--drop", "1.0", "--for", &lasts, "--json"]);
    let mut done = None;
    let watched = watch(lab, daemon, || done = Some(inject(lab, name, &all)));
    let done = done.expect("it is over");
    let socket = only(&done.summary(0));
    watched.untouched(lit);
    watched.dark(dark, f64::from(OUTAGE) * 0.8);
    assert_eq!(socket["cookie"], dark, "{done:#?}");
    assert!(socket["egress"]["dropped"].as_u64() > Some(0), "{done:#?}");
    assert_eq!(socket["before"]["state"], "established", "{done:#?}");
    let retransmits = |when: &str| socket[when]["retransmits"].as_u64().expect("TCP");
    assert!(retransmits("after") > retransmits("before"), "{done:#?}");
    done
}

#[test]
fn by_cookie_by_descriptor_and_by_address() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 2);
    let dark = daemon.of(2)[1];
    let [pid, cookie, fd] =
        [daemon.process.pid().into(), dark.cookie, dark.fd].map(|n: u64| n.to_string());
    let (remote, local) = (format!("10.77.0.2:{port}"), format!(":{}", dark.port));
    second_goes_dark(&lab, &daemon, "cookie", &["--cookie", &cookie]);
    second_goes_dark(&lab, &daemon, "fd", &["--pid", &pid, "--fd", &fd]);
    second_goes_dark(&lab, &daemon, "local", &["--remote", &remote, "--local", &local]);
    let pattern = format!("daemon.py connect .*{}/", lab.path().display());
    second_goes_dark(&lab, &daemon, "process", &["--process", &pattern, "--local", &local]);
    drop(daemon);
    lab.close();
}

/// What `flowfault flows --selectors` prints for a socket is what --flow takes.
#[test]
fn the_lines_that_flows_prints_can_be_pasted() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 2);
    let mut flows = Command::new(flowfault());
    flows.args(["flows", "--selectors", "--pid", &daemon.process.pid().to_string()]);
    lab.near.put(&mut flows);
    let out = flows.output().expect("flowfault is built");
    let text = String::from_utf8(out.stdout).expect("it prints UTF-8");
    let cookie = format!("cookie = {}", daemon.of(2)[1].cookie);
    let of_one = |lines: &&str| lines.lines().any(|line| line == cookie);
    let lines = text.split("\n\n").find(of_one).unwrap_or_else(|| panic!("{text}"));
    second_goes_dark(&lab, &daemon, "pasted", &["--flow", lines]);
    drop(daemon);
    lab.close();
}

/// Faults of the delay line, counted while they go on; with the results kept.
#[test]
fn a_delay_is_counted_live_and_kept() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 1);
    daemon.order("go");
    let cookie = daemon.of(1)[0].cookie.to_string();
    let args =
        ["--cookie", &cookie, "--delay", "30ms", "--direction", "egress", "--for", "2s", "--json"];
    let args: Vec<&str> = args.into_iter().chain(["--out", "kept"]).collect();
    let mut inject = Inject::start(&lab, "delay", &args);
    let delayed = |line: &serde_json::Value, n: u64| {
        line["sockets"][0]["egress"]["delayed"].as_u64() > Some(n)
    };
    inject.until("live counter", |line| line["kind"] == "progress" && delayed(line, 0));
    let done = inject.finish();
    let summary = done.summary(0);
    assert!(delayed(&summary, 10), "{summary:#}");
    assert_eq!(only(&summary)["ingress"]["delayed"], 0, "{summary:#}");
    let report = std::fs::read_to_string(lab.path().join("kept/report.json")).expect("it was kept");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["flows"][0]["egress"], only(&summary)["egress"]);
    daemon.quiet();
    drop(daemon);
    lab.close();
}

/// `--nth` counts what opens from now on.
#[test]
fn a_connection_that_opens_later_is_waited_for() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 0);
    let pid = daemon.process.pid().to_string();
    let remote = format!("10.77.0.2:{port}");
    let args = [
        "--pid",
        &pid,
        "--remote",
        &remote,
        "--nth",
        "2",
        "--fault",
        "drop = { first = 1 }",
        "--json",
    ];
    let mut inject = Inject::start(&lab, "nth", &args);
    inject.until("a line that waits", |line| line["sockets"].as_array().is_some_and(Vec::is_empty));
    daemon.order("open open");
    let met =
        |line: &serde_json::Value| line["sockets"][0]["egress"]["dropped"].as_u64() == Some(1);
    inject.until("the lost SYN", met);
    let second = daemon.of(2)[1];
    daemon.order("close");
    // With its only socket closed there is nothing left to do.
    let done = inject.finish();
    let socket = only(&done.summary(0));
    assert_eq!(socket["cookie"], second.cookie, "{done:#?}");
    assert!(socket["before"].is_null() && socket["fd"].is_null(), "{done:#?}");
    drop(daemon);
    lab.close();
}
