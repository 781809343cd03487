//! `flowfault flows` against sockets of a real program in a namespace of its own. Needs root:
//! `cargo xtask test --root`.
//!
//! Each column is held against two others who know: the app (SO_COOKIE, TCP_INFO, fstat) and ss(8).

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod holder;
#[path = "../root_run/support/netns.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod netns;
#[path = "../root_run/support/process.rs"]
mod process;
#[path = "../root_run/support/slow.rs"]
mod slow_machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use holder::{Lab, text, whole};
use process::{run, wait_for};
use slow_machine::slow;

fn flowfault() -> PathBuf {
    std::env::var_os("FLOWFAULT_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_flowfault").into(), PathBuf::from)
}

/// `flowfault flows` in the test's own namespace.
fn flows(options: &[&str]) -> Output {
    Command::new(flowfault()).arg("flows").args(options).output().unwrap()
}

/// Its JSON; it has to succeed.
fn document(mut command: Command) -> Value {
    let out = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), &*stderr), (Some(0), ""), "{command:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

fn flow<'a>(document: &'a Value, cookie: &Value) -> &'a Value {
    let flows = document["flows"].as_array().unwrap();
    let found: Vec<&Value> = flows.iter().filter(|flow| flow["cookie"] == *cookie).collect();
    assert_eq!(found.len(), 1, "cookie {cookie} in {document:#}");
    found[0]
}

fn pids(flow: &Value) -> Vec<u64> {
    flow["holders"].as_array().unwrap().iter().map(|h| whole(&h["pid"])).collect()
}

#[test]
fn what_it_lists_is_what_the_app_and_ss_say() {
    let lab = Lab::new();
    let pid = lab.app.pid();
    let begun = lab.begun;
    std::thread::sleep(Duration::from_millis(300));
    let before = lab.told();
    let listed = document(lab.flows_of_app(&["--json", "--all"]));
    let after = lab.told();
    let ss = run("ip", &["netns", "exec", &lab.near.name, "ss", "-tunapeiOH"]);
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    for name in ["first", "second", "mapped", "udp", "listener", "out", "in"] {
        let told = &before[name];
        let flow = flow(&listed, &told["cookie"]);
        let context = format!("{name}: {flow:#}\n{told}\n{ss}");
        assert_eq!(flow["inode"], told["inode"], "{context}");
        assert_eq!(flow["holders"][0]["fd"], told["fd"], "{context}");
        assert_eq!(flow["holders"][0]["uid"], 0, "{context}");
        assert!(text(&flow["holders"][0]["cmdline"][1]).ends_with("holder.py"), "{context}");
        let shared = if name == "first" {
            vec![pid.into()]
        } else {
            vec![pid.into(), whole(&before["child"])]
        };
        assert_eq!(pids(flow), shared, "{context}");
        assert_eq!(flow["namespace"], holder::inode(&namespace), "{context}");
        // The name of a mapped address is that of the packets.
        let local = text(&told["local"][0]).trim_start_matches("::ffff:").to_owned();
        assert_eq!(text(&flow["local"]), format!("{local}:{}", told["local"][1]), "{context}");
        let line = holder::line_of(&ss, whole(&told["cookie"]));
        assert!(line.contains(&format!("ino:{} ", told["inode"])), "{context}");
        assert!(line.contains(&format!("pid={pid},fd={}", told["fd"])), "{context}");
        if matches!(name, "udp" | "listener") {
            continue;
        }
        // Nothing moves: what is the same before and after was so meanwhile.
        for (ours, theirs) in [
            ("unacked", "unacked"),
            ("retransmits", "retransmits"),
            ("bytes_sent", "bytes_sent"),
            ("bytes_acked", "bytes_acked"),
            ("bytes_received", "bytes_received"),
        ] {
            assert_eq!(told[theirs], after[name][theirs], "{context}");
            assert_eq!(flow["tcp"][ours], told[theirs], "{theirs} of {context}");
        }
        let rtt = told["rtt"].as_f64().unwrap() / 1e3;
        assert!((flow["tcp"]["rtt_ms"].as_f64().unwrap() - rtt).abs() < 1e-6, "{context}");
        assert!(line.contains(&format!(" rtt:{rtt}/")), "{context}");
        let age = flow["age_at_least_ms"].as_f64().unwrap();
        let oldest = begun.elapsed().as_secs_f64() * 1e3;
        assert!((250.0..=oldest).contains(&age), "age {age} of {context}");
    }
}

#[test]
fn order_opener_state_and_mark_are_told() {
    let lab = Lab::new();
    let told = lab.told();
    let listed = document(lab.flows_of_app(&["--json", "--all"]));
    let of = |name: &str| flow(&listed, &told[name]["cookie"]);
    for (name, opened, state) in [
        ("first", "connect", "established"),
        ("second", "connect", "established"),
        ("out", "connect", "established"),
        ("in", "accept", "established"),
        ("listener", "unknown", "listening"),
        ("udp", "connect", "established"),
    ] {
        assert_eq!(
            (text(&of(name)["opened"]), text(&of(name)["state"])),
            (opened, state),
            "{name}"
        );
    }
    // Three to one remote, of whom two are of the address that the third has mapped: a guess.
    for name in ["first", "second", "mapped"] {
        assert_eq!((&of(name)["nth"]["of"], &of(name)["nth"]["exact"]), (&3.into(), &false.into()));
    }
    assert_eq!((&of("out")["nth"]["of"], &of("out")["nth"]["exact"]), (&1.into(), &true.into()));
    assert_eq!((&of("in")["nth"], &of("listener")["nth"]), (&Value::Null, &Value::Null));
    assert_eq!((&of("mapped")["mark"], &of("first")["mark"]), (&7.into(), &0.into()));
    let missing = listed["missing"].as_array().unwrap();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn selectors_go_into_a_scenario() {
    let lab = Lab::new();
    let out = lab.flows_of_app(&["--selectors"]).output().unwrap();
    assert!(out.status.success());
    let page = String::from_utf8(out.stdout).unwrap();
    let tables = page.lines().filter(|line| *line == "[[flow]]").count();
    // first, second, mapped, udp, out, and the accepted one.
    assert_eq!(tables, 6, "{page}");
    let step = |line: &str| {
        let name = line.strip_prefix("name = ")?;
        Some(format!("[[step]]\nat = '0s'\nfaults = [{{ flow = {name}, drop = 1.0 }}]\n"))
    };
    let steps: String = page.lines().filter_map(step).collect();
    let scenario =
        format!("schema = 1\n[[app]]\nname = 'app'\npid = {}\n{page}\n{steps}", lab.app.pid());
    let file = lab.file("selected.toml");
    std::fs::write(&file, &scenario).unwrap();
    let check = Command::new(flowfault()).arg("check").arg(&file).output().unwrap();
    let stderr = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(0), "{stderr}\n{scenario}");
    let remote = format!("10.77.0.2:{}", lab.port);
    let narrowed = document(lab.flows_of_app(&["--json", "--remote", &remote]));
    assert_eq!(narrowed["flows"].as_array().unwrap().len(), 3, "{narrowed:#}");
}

#[test]
fn lost_packets_and_orphans_are_seen() {
    let mut lab = Lab::new();
    let cookie = lab.told()["first"]["cookie"].clone();
    // To a hardware address that nobody has: the packets leave and are not answered.
    lab.near.ip(&format!("neigh replace 10.77.0.2 lladdr 02:00:00:00:00:09 dev {}", netns::CABLE));
    std::fs::write(lab.file("go"), "").unwrap();
    wait_for("retransmissions", Duration::from_secs(10), || {
        (whole(&lab.told()["first"]["retransmits"]) > 0).then_some(())
    });
    let before = whole(&lab.told()["first"]["retransmits"]);
    let listed = document(lab.flows_of_app(&["--json"]));
    let after = whole(&lab.told()["first"]["retransmits"]);
    let tcp = &flow(&listed, &cookie)["tcp"];
    let seen = whole(&tcp["retransmits"]);
    assert!((before..=after).contains(&seen), "{before} {seen} {after}");
    assert!(whole(&tcp["unacked"]) > 0, "{tcp}");
    assert_eq!(whole(&tcp["bytes_sent"]) - whole(&tcp["bytes_retransmitted"]), 3500, "{tcp}");
    assert_eq!(flow(&listed, &cookie)["opened"], "unknown", "something is in flight");

    let child = whole(&lab.told()["child"]);
    lab.app.signal(nix::sys::signal::Signal::SIGKILL);
    wait_for("end of the app", Duration::from_secs(5), || lab.app.ended());
    let left = document(lab.flows_in_namespace(&["--json", "--all"]));
    let orphan = flow(&left, &cookie);
    assert_eq!(
        (text(&orphan["held"]), text(&orphan["state"])),
        ("orphan", "fin-wait-1"),
        "{left:#}"
    );
    let over = |document: &Value| {
        document["flows"].as_array().unwrap().iter().filter(|f| f["state"] == "time-wait").count()
    };
    assert_eq!(over(&left), 1, "{left:#}");
    let live = document(lab.flows_in_namespace(&["--json"]));
    assert_eq!((over(&live), &live["left_out"]["in TIME_WAIT"]), (0, &1.into()), "{live:#}");
    // The child holds what it has inherited.
    assert!(live["flows"].as_array().unwrap().iter().any(|f| pids(f) == [child]), "{live:#}");
}

#[test]
fn without_privileges_it_says_what_is_missing() {
    let lab = Lab::new();
    let mut command = lab.flows_as_nobody(&flowfault());
    let out = command.output().unwrap();
    let [stdout, stderr] = [&out.stdout, &out.stderr].map(|b| String::from_utf8_lossy(b));
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains(&format!("10.77.0.2:{}", lab.port)), "{stdout}");
    assert!(stdout.contains("(not permitted)") && !stdout.contains("python"), "{stdout}");
    assert!(stderr.contains("not seen: the descriptors of"), "{stderr}");
    assert!(stderr.contains("not seen: marks (SO_MARK)"), "{stderr}");
}

#[test]
fn wrong_usage_is_told_with_the_remedy() {
    let lab = Lab::new();
    let script = lab.app_name();
    for (options, remedy) in [
        // The parent and its child.
        (&["--process", script.as_str()][..], format!("  {:>7}", lab.app.pid())),
        (&["--pid", "2147483647"], "without --pid".to_owned()),
        (&["--process", "no-such-program-"], "ps -eo".to_owned()),
        (&["--process", "("], "regular expression".to_owned()),
        (&["--cgroup", "no/such.slice"], "system.slice".to_owned()),
        (&["--remote", "10.0.0.1"], "port".to_owned()),
        (&["--watch"], "--json".to_owned()),
        (&["--watch", "--json"], "cannot be used with".to_owned()),
    ] {
        let out = flows(options);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(stderr.contains(&remedy), "{options:?}: {stderr}");
        assert!(out.stdout.is_empty(), "{options:?}");
    }
}

#[test]
fn the_live_table_gives_the_terminal_back() {
    let _lab = Lab::new();
    for (end, code) in [("q", 0), ("\u{3}", 130), ("2", 130), ("15", 143)] {
        let mut command = Command::new("python3");
        command.arg(script("on_terminal.py")).args([end, "REMOTE"]).arg(flowfault());
        let out = command.args(["flows", "--watch"]).output().unwrap();
        let told = serde_json::from_slice::<Value>(&out.stdout);
        let told = told.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
        let expected = serde_json::json!({
            "code": code, "raw": true, "cooked": true, "screens": [1, 1],
        });
        assert_eq!(told, expected, "after {end:?}");
    }
}

/// A time bound that slow machines stretch.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10) * slow()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/root_run/apps").join(name)
}
