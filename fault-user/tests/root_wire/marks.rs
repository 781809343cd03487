//! `mark_ce`: congestion marks, which only ECN capable packets can have.

use crate::scene::counters::counter;
use crate::scene::wiretap::{CE, placed};
use crate::scene::{PORT, Place, Scene, faults, flow, plausible};

const BYTES: usize = 2 << 20;
const FAULT: &str = "{ flow = 'target', direction = 'egress', mark_ce = 0.2 }";

fn run(scene: &Scene) -> fault_user::report::model::Report {
    let _server = scene.serve(&format!(
        "listener = listen()\ntarget, bystander = accept(listener), accept(listener)\n\
         serve_bystander(bystander)\ndata, how = read(target, {BYTES})\n\
         note('received', length=len(data), wrong=len(wrong(data)))\ntouch('received')\n\
         wait('end')\n"
    ));
    let client = format!(
        "target, bystander = connect(), connect()\nprint('ready', flush=True)\nwait('go')\n\
         note('target', port=target.getsockname()[1])\nuse_bystander(bystander)\n\
         target.sendall(pattern({BYTES}))\nwait('received')\n"
    );
    let report = scene.run(&client, &(scene.flows() + &faults(FAULT)));
    let note = scene.noted("server", "received");
    assert_eq!((&note["length"], &note["wrong"]), (&BYTES.into(), &0.into()));
    report
}

/// Packets that were to be marked and could not be, as the report warns.
fn unmarkable(report: &fault_user::report::model::Report) -> u64 {
    let warned = report.warnings.iter().find(|w| w.contains("`mark_ce`"));
    warned.map_or(0, |w| w.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
}

#[test]
fn the_receiver_sees_just_the_marks_and_echoes_them() {
    for (place, name) in [(Place::Cable4, "IpExt.InCEPkts"), (Place::Cable6, "Ip6InCEPkts")] {
        let scene = Scene::new(place);
        for netns in [&scene.lab.near, scene.peers()] {
            crate::lab::process::run(
                "ip",
                &["netns", "exec", &netns.name, "sysctl", "-qw", "net.ipv4.tcp_ecn=1"],
            );
        }
        let (there, back) = (scene.tap_peer(), scene.tap_client());
        let report = run(&scene);
        let (there, back) = (there.finish(), back.finish());
        let rule = &report.faults[0];
        plausible(rule.acted, rule.matched, 0.2);
        let marked = rule.acted - unmarkable(&report);
        assert!(marked > 100, "{rule:?} {:#?}", report.warnings);
        assert_eq!(counter(scene.peers(), name), marked, "{report:#?}");
        let port = scene.noted("client", "target")["port"].as_u64().expect("a number") as u16;
        let on_wire = placed(&there, port, PORT).into_iter().filter(|(_, p)| p.ecn == CE);
        let on_wire: usize = on_wire.map(|(_, p)| p.payload.len().div_ceil(place.mss())).sum();
        assert_eq!(on_wire as u64, marked, "wire packets on the cable");
        assert!(back.iter().any(|p| (p.from, p.to) == (PORT, port) && p.ece && !p.syn), "no echo");
        assert_eq!(flow(&report, "target").egress.dropped, 0);
        scene.bystander_is_untouched(&report, &there);
        scene.lab.close();
    }
}

#[test]
fn without_ecn_the_report_says_that_nothing_could_be_marked() {
    let scene = Scene::new(Place::Cable4);
    let tap = scene.tap_peer();
    let report = run(&scene);
    let packets = tap.finish();
    assert_eq!(counter(scene.peers(), "IpExt.InCEPkts"), 0);
    assert!(packets.iter().all(|p| p.ecn == 0), "a packet was marked that must not be");
    let rule = &report.faults[0];
    assert_eq!(unmarkable(&report), rule.acted, "{rule:?} {:#?}", report.warnings);
    assert!(rule.acted > 0, "{rule:?}");
    scene.bystander_is_untouched(&report, &packets);
    scene.lab.close();
}
