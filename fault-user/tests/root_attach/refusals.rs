//! What cannot be told apart is refused before anything is done, with what tells it apart.

use std::os::unix::fs::symlink;

use crate::daemon::{Daemon, connected, echo};
use crate::run;
use crate::support::{Lab, python};

#[test]
fn sockets_that_are_not_one_are_listed() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 2);
    let app = format!("pid = {}", daemon.process.pid());
    let told = daemon.of(2);
    let remote = format!("remote = '10.77.0.2:{port}'");
    let cases = [
        ("many", remote.clone(), "max_flows is 1"),
        ("nth", format!("{remote}\nnth = 2"), "nobody knows the order"),
        ("none", "fd = 999".to_owned(), "matches none of the open sockets"),
        ("gone", "cookie = 999999999".to_owned(), "matches none of the open sockets"),
    ];
    for (name, keys, words) in cases {
        let finished = run(&lab, name, &app, &keys);
        assert_eq!(finished.code, 4, "{finished:#?}");
        assert!(finished.stderr.contains(words), "{finished:#?}");
        for told in &told {
            let line = format!("cookie = {}   # ", told.cookie);
            assert!(finished.stderr.contains(&line), "no {line}: {finished:#?}");
        }
    }
    let again = daemon.quiet();
    assert!(again.iter().all(|t| t.retransmits == 0), "nothing was done to any: {again:?}");
    drop(daemon);
    lab.close();
}

#[test]
fn processes_that_are_not_one_are_listed() {
    let lab = Lab::pair();
    let (echo, port) = echo(&lab);
    let arguments = format!("connect 10.77.0.2 {port} 1");
    let two = ["one", "two"].map(|name| Daemon::start(&lab, false, name, &arguments));
    let app = format!("process = 'daemon.py connect .*{}/'", lab.path().display());
    let finished = run(&lab, "ambiguous", &app, "local = ':1'");
    assert_eq!(finished.code, 2, "{finished:#?}");
    for daemon in &two {
        let pid = format!("{:>7}  ", daemon.process.pid());
        assert!(finished.stderr.contains(&pid), "no {pid}: {finished:#?}");
    }
    let finished = run(&lab, "nobody", "process = 'ffe2e-nobody-is-called-so'", "local = ':1'");
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stderr.contains("there is no process"), "{finished:#?}");
    drop((two, echo));
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
    let app = format!("pid = {}", daemon.process.pid());
    let finished = run(&lab, "refused", &app, &format!("local = ':{}'", told.port));
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stderr.contains("somebody is logged in"), "{finished:#?}");
    assert!(finished.stderr.contains(&format!("cookie = {}", told.cookie)), "{finished:#?}");
    let report = run(&lab, "meant", &app, &format!("cookie = {}", told.cookie)).expect(0);
    assert!(crate::flow(&report, told.cookie).egress.dropped > 0, "{:#?}", report.flows);
    drop((daemon, echo));
    lab.close();
}
