//! `delay` that is lifted, changed, or whose controller dies.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::netns::Netns;
use crate::lab::process::{run as command, wait_for};
use crate::lab::run::Run;
use crate::lab::{Lab, slow, stretched};
use crate::support::scene::Scene;
use crate::support::stats::{late_ms, quantile};
use crate::support::stream::{Stream, in_order};
use crate::support::trial::{Case, GO_MS, Outcome, Place, run_in, scenario};

const MS: u64 = 1_000_000;
/// When the delay is lifted or changed, ms after the beginning.
const TURN_MS: u32 = 400;

/// (sent, arrived) of each datagram, in the order in which they arrived; ns. That is their own.
fn times(outcome: &Outcome) -> Vec<(u64, u64)> {
    let arrived = outcome.arrived();
    let numbers: Vec<u64> = Outcome::numbers_of(&arrived).into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers.len() as f64, outcome.said("sent"), "nothing is lost");
    assert!(numbers.is_sorted(), "the order is kept: {numbers:?}");
    arrived.iter().map(|p| (p.message.expect("numbered").1, p.seen.at_ns)).collect()
}

/// When a packet came, and which it was.
type Seen = (u64, u64);

#[test]
fn a_lifted_or_changed_delay_keeps_the_order() {
    let scene = Scene::new(false);
    let count = 1000 * slow();
    let delay = |ms: u32| format!("{{ direction = 'egress', delay = '{ms}ms' }}");
    let pour = format!("pour {count} 100 1000");
    let cases = [
        Case::new("lift", Place::Cable4, &delay(10_000), &pour).lifted(TURN_MS),
        Case::new("change", Place::Cable4, &delay(300), &pour).lifted(TURN_MS),
        Case::new("lift tcp", Place::Cable6, &delay(150), "bulk 2000000").lifted(TURN_MS),
    ];
    let change = format!(
        "[[step]]\nname = 'change'\nat = '{}'\n\
         faults = [{{ flow = 'f1', direction = 'egress', delay = '50ms' }}]\n",
        stretched(TURN_MS)
    );
    let outcomes = run_in(&scene, "out", 7, &cases, &change);
    lifted(&times(outcomes.of("lift")));
    changed(&times(outcomes.of("change")));
    let tcp = outcomes.of("lift tcp");
    tcp.is_whole();
    let (went, came) = (tcp.handed(true), tcp.given_back(true));
    in_order(&went, &came);
    assert_eq!(Stream::of(came.iter().copied(), went[0].seq).holes, []);
    scene.close();
}

/// What is held goes on at once, and what follows is not held.
fn lifted(times: &[(u64, u64)]) {
    let lift = times[0].1;
    let first = (lift - times[0].0) as f64 / MS as f64;
    assert!(first >= f64::from((TURN_MS - GO_MS) / 2 * slow()), "held for {first} ms");
    let (held, after): (Vec<Seen>, Vec<Seen>) =
        times.iter().copied().partition(|(sent, _)| *sent < lift);
    assert!(held.len() > 100 && after.len() > 100, "{} {}", held.len(), after.len());
    let flush = (held[held.len() - 1].1 - lift) as f64 / MS as f64;
    assert!(flush < 2.0 * late_ms(), "it took {flush} ms");
    let took: Vec<f64> = after.iter().map(|(sent, at)| (at - sent) as f64 / MS as f64).collect();
    assert!(quantile(&took, 0.5) < late_ms(), "{took:?}");
}

/// First 300 ms, then 50 ms, and never less.
fn changed(times: &[(u64, u64)]) {
    let took: Vec<f64> = times.iter().map(|(sent, at)| (at - sent) as f64 / MS as f64).collect();
    assert!(took[0] >= 300.0, "{took:?}");
    let last = &took[took.len() - 100..];
    assert!(quantile(last, 0.5) < 50.0 + late_ms(), "{last:?}");
    assert!(took.iter().all(|t| *t >= 50.0), "{took:?}");
}

/// What the delay line needs of `lo`.
fn settings(netns: &Netns) -> Vec<String> {
    let read = |name| {
        let path = format!("/proc/sys/net/ipv4/conf/lo/{name}");
        let text = netns.within(|| fs::read_to_string(path)).expect("it is there");
        text.trim().to_owned()
    };
    ["route_localnet", "accept_local"].map(read).to_vec()
}

fn links(lab: &Lab) -> String {
    lab.near.links()
}

/// A run whose client pings over `lo` under a delay; its faults are on.
fn pinging(scene: &Scene, name: &str, count: u32) -> Run {
    let work = format!("ping {count} 10000");
    let cases = [Case::new("pings", Place::Lo4, "{ delay = '50ms' }", &work)];
    let mut run = Run::start(&scene.lab, name, &scenario(&scene.lab, name, 7, &cases, ""), &[]);
    let go = scene.lab.path().join(format!("{name}.go"));
    run.until("its client's start", |_| go.exists());
    run
}

#[test]
fn the_last_of_the_runs_over_lo_puts_its_settings_back() {
    let scene = Scene::new(true);
    let before = settings(&scene.lab.near);
    assert_ne!(before, ["1", "1"]);
    let mut first = pinging(&scene, "first", 100_000);
    let second = pinging(&scene, "second", 300);
    let third = pinging(&scene, "third", 100_000);
    first.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || first.process.ended());
    // Its janitor has seen to everything when this is gone.
    first.is_gone(Duration::from_secs(2));
    assert_eq!(settings(&scene.lab.near), ["1", "1"], "two others need them");
    let finished = second.finish();
    let report = finished.expect(0);
    let said = fs::read_to_string(finished.out.join("apps/c0.stdout")).expect("it has written");
    let rtts = said.matches("rtt_ns").count();
    assert!(rtts == 1 && report.flows[0].egress.delayed >= 300, "{said} {report:#?}");
    assert_eq!(settings(&scene.lab.near), ["1", "1"], "another one needs them");
    third.signal(Signal::SIGINT);
    assert_eq!(third.finish().code, 130);
    assert_eq!(settings(&scene.lab.near), before);
    end_apps(&scene.lab);
    scene.close();
}

/// Of two that cannot see each other's journal, one would put back what the other needs.
#[test]
fn runs_over_lo_with_another_run_directory_are_refused_meanwhile() {
    let scene = Scene::new(true);
    let before = settings(&scene.lab.near);
    let first = pinging(&scene, "first", 100_000);
    let cases = [Case::new("pings", Place::Lo4, "{ delay = '1ms' }", "ping 10 1000")];
    let text = scenario(&scene.lab, "second", 7, &cases, "");
    let elsewhere = scene.lab.path().join("run");
    fs::create_dir(&elsewhere).expect("the directory is ours");
    let apart = |name| Run::start_over(&scene.lab, name, &text, (&elsewhere, "/run")).finish();
    let refused = apart("second");
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("with another /run"), "{}", refused.stderr);
    assert_eq!(settings(&scene.lab.near), ["1", "1"], "the first still needs them");
    first.signal(Signal::SIGINT);
    assert_eq!(first.finish().code, 130);
    apart("third").expect(0);
    assert_eq!(settings(&scene.lab.near), before);
    scene.close();
}

/// Ends what a killed run leaves alive: its apps, for which its janitor waits.
fn end_apps(lab: &Lab) {
    let alive = || {
        let pids = command("ip", &["netns", "pids", &lab.near.name]);
        let pids: Vec<i32> = pids.lines().filter_map(|p| p.parse().ok()).collect();
        let is_app = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("traffic.py\0client")
        };
        (pids.iter().copied().filter(is_app).collect::<Vec<i32>>(), pids.len())
    };
    for pid in alive().0 {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("apps outlive the controller");
    }
    // The server of a near `lo` stays.
    wait_for("end of apps and janitor", Duration::from_secs(5), || (alive().1 <= 1).then_some(()));
}

#[test]
fn a_killed_controller_delays_nothing_any_more() {
    let scene = Scene::new(true);
    let before = (links(&scene.lab), settings(&scene.lab.near));
    let cases = [Place::Lo4, Place::Cable6]
        .map(|place| Case::new("pings", place, "{ delay = '500ms' }", "ping 100000 10000"));
    let watch = scene.watch();
    let text = scenario(&scene.lab, "out", 7, &cases, "");
    let mut run = Run::start(&scene.lab, "out", &text, &[]);
    let go = scene.lab.path().join("out.go");
    wait_for("start of the clients", Duration::from_secs(30), || go.exists().then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert!(links(&scene.lab).contains("ffline"), "{}", links(&scene.lab));
    assert_eq!(settings(&scene.lab.near), ["1", "1"]);
    run.signal(Signal::SIGKILL);
    wait_for("death of the controller", Duration::from_secs(5), || run.process.ended());
    wait_for("end of the line and of its settings", Duration::from_secs(2), || {
        ((links(&scene.lab), settings(&scene.lab.near)) == before).then_some(())
    });
    let dead = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let dead = dead.expect("after 1970").as_nanos() as u64;
    run.is_gone(Duration::from_secs(2));
    // What was held is lost with its holder, and TCP sends it again: at most after its RTO of
    // 0.5 s and some backoff.
    std::thread::sleep(Duration::from_secs(3) * slow());
    end_apps(&scene.lab);
    let (near, far) = watch.finish();
    for place in [Place::Lo4, Place::Cable6] {
        let seen = if place.is_lo() { &near } else { &far };
        let fresh = seen.iter().filter(|p| p.tcp && !p.seen.outgoing && !p.is_given_back());
        let took: Vec<u64> = fresh
            .filter(|p| p.payload == 64 && p.message.is_some_and(|(_, at)| at > dead + 2_500 * MS))
            .map(|p| p.seen.at_ns - p.message.expect("numbered").1)
            .collect();
        assert!(took.len() > 10, "{place:?}: {took:?}");
        assert!(took.iter().all(|t| *t < 100 * MS * u64::from(slow())), "{place:?}: {took:?}");
    }
    scene.close();
}
