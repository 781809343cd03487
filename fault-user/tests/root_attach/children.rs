//! `children`: what a process forks belongs to the app as well, or not.

use std::time::Duration;

use crate::daemon::connected;
use crate::support::process::wait_for;
use crate::support::run::Run;
use crate::support::{Lab, stretched};

const SOON: Duration = Duration::from_secs(10);

/// Ids of the children of a process, in the order of their birth.
fn children(pid: u32, count: usize) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let ask = || {
        let text = std::fs::read_to_string(&path).expect("it runs");
        let found: Vec<u32> = text.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        (found.len() == count).then_some(found)
    };
    wait_for("children", SOON, ask)
}

/// One that was forked before goes dark, and one that is forked in the run.
#[test]
fn a_child_belongs_to_the_app_if_that_is_asked_for() {
    let lab = Lab::pair();
    let (daemon, _echo, port) = connected(&lab, 0);
    let pid = daemon.process.pid();
    daemon.order("fork");
    let before = children(pid, 1)[0];
    let text = |keys: &str| {
        format!(
            "schema = 1\nduration = '{}'\n[[app]]\nname = 'daemon'\npid = {pid}\n{keys}\n\
             [[flow]]\nname = 'old'\nremote = '10.77.0.2:{port}'\nfd = 3\n\
             [[flow]]\nname = 'new'\nremote = '10.77.0.2:{port}'\nnth = 1\n\
             [[step]]\nat = '0s'\nexec = ['sh', '-c', 'echo fork >> {orders}']\n\
             [[step]]\nname = 'outage'\nafter = {{ flow = 'new', state = 'established' }}\n\
             faults = [{{ flow = 'old', drop = 1.0 }}, {{ flow = 'new', drop = 1.0 }}]\nfor = '300ms'\n",
            stretched(8_000),
            orders = lab.file("daemon.orders"),
        )
    };
    let fd = {
        let sockets = || {
            let ends = std::fs::read_dir(format!("/proc/{before}/fd")).ok()?.flatten();
            let mut fds = ends.filter(|e| {
                std::fs::read_link(e.path())
                    .is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
            });
            fds.next()?.file_name().into_string().ok()
        };
        wait_for("connection of the child", SOON, sockets)
    };
    let text = |keys: &str| text(keys).replace("fd = 3", &format!("fd = {fd}"));
    let alone = Run::start(&lab, "alone", &text(""), &[]).finish();
    assert_eq!(alone.code, 4, "{alone:#?}");
    assert!(alone.stderr.contains("matches none of the open sockets"), "{alone:#?}");
    let report = Run::start(&lab, "with", &text("children = true"), &[]).finish().expect(0);
    let after = *children(pid, 2).last().expect("two");
    for (name, pid) in [("old", before), ("new", after)] {
        let flow = report.flows.iter().find(|f| f.name == name).expect("both are told of");
        assert_eq!((flow.pid, flow.selected), (pid, true), "{flow:#?}");
        assert!(flow.egress.dropped > 0, "{flow:#?}");
    }
    for child in children(pid, 2) {
        crate::support::process::run("kill", &[&child.to_string()]);
    }
    drop(daemon);
    lab.close();
}
