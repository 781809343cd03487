//! What is not one socket is refused before anything is done, with what would be right.

use std::os::unix::fs::symlink;

use crate::daemon::{Daemon, connected, echo};
use crate::inject::inject;
use crate::support::objects::Objects;
use crate::support::{Lab, python};

#[test]
fn sockets_that_are_not_one_are_listed() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 2);
    let pid = daemon.process.pid().to_string();
    let told = daemon.of(2);
    let remote = format!("10.77.0.2:{port}");
    let cases: [(&str, &[&str], &str); 6] = [
        ("many", &["--pid", &pid, "--remote", &remote], "max_flows is 1"),
        ("anybody", &["--remote", &remote], "max_flows is 1"),
        ("nth", &["--pid", &pid, "--remote", &remote, "--nth", "2"], "nobody knows the order"),
        ("none", &["--pid", &pid, "--remote", "10.77.0.2:1"], "matches none of the open sockets"),
        ("fd", &["--pid", &pid, "--fd", "999"], "matches none of the open sockets"),
        ("gone", &["--cookie", "999999999"], "matches none of the open sockets"),
    ];
    for (name, options, words) in cases {
        let mut all = options.to_vec();
        all.extend(["--drop", "1.0", "--for", "1s"]);
        let done = inject(&lab, name, &all);
        assert_eq!(done.code, 4, "{done:#?}");
        assert!(done.stderr.contains(words), "{done:#?}");
        for told in &told {
            let line = format!("cookie = {}   # ", told.cookie);
            assert!(done.stderr.contains(&line), "no {line}: {done:#?}");
        }
    }
    let again = daemon.quiet();
    assert!(again.iter().all(|t| t.retransmits == 0), "nothing was done to any: {again:?}");
    drop(daemon);
    lab.close();
}

/// The line of a message is what --flow takes.
#[test]
fn the_listed_line_picks_just_it_and_a_dry_run_touches_nothing() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 2);
    let remote = format!("10.77.0.2:{port}");
    let many = inject(&lab, "many", &["--remote", &remote, "--drop", "1.0"]);
    let dark = daemon.of(2)[1];
    let line = many.stderr.lines().find(|l| l.contains(&format!("fd {}:", dark.fd)));
    let line = line.unwrap_or_else(|| panic!("{many:#?}"));
    let done = inject(&lab, "dry", &["--flow", line, "--drop", "1.0", "--dry-run"]);
    assert_eq!(done.code, 0, "{done:#?}");
    assert_eq!(done.objects, Objects::default(), "nothing was loaded");
    let named = format!(
        "fd {}, cookie {}: tcp 10.77.0.1:{} -> {remote}\n",
        dark.fd, dark.cookie, dark.port
    );
    assert!(done.stdout.contains(&named), "{done:#?}");
    assert_eq!(done.stdout.matches(", cookie ").count(), 1, "{done:#?}");
    // What it prints is a scenario.
    let file = lab.path().join("same.toml");
    std::fs::write(&file, &done.stdout).expect("the directory is ours");
    let check =
        std::process::Command::new(crate::support::flowfault()).arg("check").arg(&file).output();
    let check = check.expect("flowfault is built");
    assert!(check.status.success(), "{check:?}");
    drop(daemon);
    lab.close();
}

#[test]
fn bad_values_and_unmet_faults_have_their_codes() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 1);
    let cookie = daemon.of(1)[0].cookie.to_string();
    for (name, args, words) in [
        ("share", &["--cookie", &cookie, "--drop", "2"][..], "0.02"),
        ("nothing", &["--cookie", &cookie], "--drop"),
        ("nobody", &["--drop", "0.5"], "needs a selector"),
        ("whose", &["--fd", "3", "--drop", "0.5"], "--pid"),
        (
            "two",
            &["--pid", "1", "--process", "x", "--local", ":1", "--drop", "0.5"],
            "cannot be used",
        ),
        ("toml", &["--flow", "cookie = ", "--drop", "0.5"], "--flow is not"),
    ] {
        let done = inject(&lab, name, args);
        assert_eq!(done.code, 2, "{done:#?}");
        assert!(done.stderr.contains(words), "no {words}: {done:#?}");
    }
    let quiet = ["--cookie", &cookie, "--drop", "1.0", "--for", "200ms", "--json"];
    let done = inject(&lab, "unmet", &quiet);
    let summary = done.summary(4);
    assert_eq!(summary["result"], "error", "{summary:#}");
    let missed: Vec<&str> = quiet.into_iter().chain(["--may-miss"]).collect();
    inject(&lab, "missed", &missed).summary(0);
    drop(daemon);
    lab.close();
}

/// A process that is called sshd is hit only where its cookie is named.
#[test]
fn a_login_is_refused_unless_its_cookie_is_named() {
    let lab = Lab::pair();
    let (echo, port) = echo(&lab);
    let sshd = lab.file("sshd");
    symlink(python(), &sshd).expect("the directory is ours");
    let arguments = format!("connect 10.77.0.2 {port} 1");
    let daemon = Daemon::start_as(&lab, false, "daemon", &sshd, &arguments);
    let told = daemon.of(1)[0];
    daemon.order("go");
    let (local, cookie) = (format!(":{}", told.port), told.cookie.to_string());
    let faults = ["--drop", "1.0", "--for", "200ms"];
    for (name, args) in [("local", ["--local", &local]), ("cookie", ["--cookie", &cookie])] {
        let args: Vec<&str> = args.into_iter().chain(faults).collect();
        let done = inject(&lab, name, &args);
        assert_eq!(done.code, if name == "cookie" { 0 } else { 4 }, "{done:#?}");
        assert_eq!(done.stderr.contains("somebody is logged in"), name == "local", "{done:#?}");
    }
    drop((daemon, echo));
    lab.close();
}
