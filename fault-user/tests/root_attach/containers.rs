//! Containers and pods, by the cgroups that their makers would make.

use crate::cgroup::Cgroup;
use crate::daemon::connected;
use crate::support::Lab;
use crate::{flow, run};

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
