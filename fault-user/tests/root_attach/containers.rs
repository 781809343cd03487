//! Containers and pods, by the cgroups that their makers would make.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::daemon::connected;
use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::{Lab, command, python};
use crate::{OUTAGE, flow, run, scenario};

#[test]
fn a_container_is_found_by_the_beginning_of_its_id() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 2);
    let (pid, told) = (daemon.process.pid(), daemon.of(2));
    daemon.order("go");
    let id = |first: u32| format!("{first:08x}{}", "0a1b2c3d".repeat(7));
    let (this, that) = (id(pid), id(pid ^ 1));
    let keys = format!("cookie = {}", told[1].cookie);
    for name in [format!("docker-{this}.scope"), format!("libpod-{this}.scope"), this.clone()] {
        let other = Cgroup::empty(&format!("docker-{that}.scope"));
        let place = Cgroup::with(pid, &name);
        let app = format!("container = '{}'", &this[..12]);
        let report = run(&lab, &name, &app, &keys).expect(0);
        assert!(flow(&report, told[1].cookie).egress.dropped > 0, "{:#?}", report.flows);
        assert_eq!(flow(&report, told[0].cookie).egress.dropped, 0, "{:#?}", report.flows);
        // The first seven digits are those of both.
        let finished = run(&lab, "both", &format!("container = '{}'", &this[..7]), &keys);
        assert_eq!(finished.code, 2, "{finished:#?}");
        assert!(
            finished.stderr.contains(&this) && finished.stderr.contains(&that),
            "{finished:#?}"
        );
        drop((place, other));
    }
    let finished = run(&lab, "none", &format!("container = '{}'", &this[..12]), &keys);
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stderr.contains("no container or pod"), "{finished:#?}");
    drop(daemon);
    lab.close();
}

/// A pod is all of its containers.
#[test]
fn a_pod_is_found_by_its_uid() {
    let lab = Lab::pair();
    let (daemon, _echo, _) = connected(&lab, 1);
    let (pid, told) = (daemon.process.pid(), daemon.of(1));
    daemon.order("go");
    let uid = format!("{pid:08x}-1111-2222-3333-444455556666");
    let pod = Cgroup::empty(&format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_")));
    let container = format!("cri-containerd-{pid:08x}{}.scope", "00000000".repeat(7));
    let inside = pod.path().file_name().expect("a name").to_string_lossy().into_owned();
    let place = Cgroup::with(pid, &format!("{inside}/{container}"));
    let keys = format!("local = ':{}'", told[0].port);
    let report = run(&lab, "pod", &format!("container = '{uid}'"), &keys).expect(0);
    assert!(flow(&report, told[0].cookie).egress.dropped > 0, "{:#?}", report.flows);
    drop(place);
    drop(pod);
    drop(daemon);
    lab.close();
}

/// Both ends of a connection over the container's own `lo`; says how often a message has gone there and back.
const PING: &str = "import socket, threading, time
server = socket.create_server(('127.0.0.1', 0))
def echo():
    c, _ = server.accept()
    while d := c.recv(100): c.sendall(d)
threading.Thread(target=echo, daemon=True).start()
c = socket.create_connection(server.getsockname())
n = 0
while True:
    c.sendall(b'ping')
    assert c.recv(100) == b'ping'
    n += 1
    print(n, time.time(), flush=True)
    time.sleep(0.01)
";

/// As rootless containers are: with users, processes, files and network of its own.
#[test]
fn a_container_with_namespaces_of_its_own() {
    let lab = Lab::alone();
    let inside = "--user --map-root-user --net --pid --fork --mount --mount-proc --cgroup sh -c";
    let mut command = command("unshare", inside);
    command.arg(format!("ip link set lo up && exec {} -c \"$PING\"", python()));
    command.env("PING", PING);
    let container = Process::start(command, &lab.near, &lab.path().join("container"));
    container.says("10 ");
    let outer = container.pid();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
    let pid: u32 = children.expect("it runs").trim().parse().expect("one child");
    let id = format!("{pid:08x}{}", "0badcafe".repeat(7));
    let place = Cgroup::with(pid, &format!("libpod-{id}.scope"));
    let text = scenario(
        &format!("container = '{}'", &id[..12]),
        "opened = 'connect'\nlocal = '127.0.0.1'",
    );
    let delayed = text.replace("drop = 1.0", "delay = '20ms'");
    for (name, text, line) in [("dark", text, "none"), ("delayed", delayed, "tap")] {
        let report = Run::start(&lab, name, &text, &[]).finish().expect(0);
        assert_eq!(report.backends.line, line);
        let flow = report.flows.iter().find(|f| f.selected).expect("it is told of");
        let hit = flow.egress.dropped + flow.egress.delayed;
        assert!(hit > 0 && flow.pid == pid, "{flow:#?}");
    }
    let before = container.stdout().lines().count();
    let goes_on = || (container.stdout().lines().count() > before + 5).then_some(());
    wait_for("more", Duration::from_secs(10), goes_on);
    let said = container.stdout();
    let times: Vec<f64> =
        said.lines().filter_map(|line| line.split_once(' ')?.1.parse().ok()).collect();
    let longest = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    assert!(longest > f64::from(OUTAGE) * 0.8e-3, "{longest} s without an answer");
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).expect("it runs");
    drop((container, place));
    lab.close();
}
