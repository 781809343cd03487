//! A name is all of its addresses, also those that it gets while the run goes on.

use std::fs;

use crate::support::run::Run;
use crate::support::stretched;

use super::Scene;

#[test]
fn a_name_that_moves_keeps_matching() {
    let scene = Scene::new();
    let hosts = scene.lab.path().join("hosts");
    fs::write(&hosts, "10.88.0.2 moves.test\nfd77::2 moves.test\n").expect("the directory is ours");
    let connections = [
        "dark-ipv4;to=10.88.0.2:7800",
        "dark-ipv6;to=[fd77::2]:7800",
        "lit-not-yet;to=10.77.0.2:7800",
        "dark-moved;to=10.77.0.2:7800;at=3.5",
        "dark-old;to=10.88.0.2:7800",
        "lit-other-port;to=10.77.0.2:7801",
    ];
    let text = scene.scenario(&connections, "remote = 'moves.test:7800'\nmax_flows = 9");
    let change = format!(
        "[[step]]\nat = '{}'\nexec = ['sh', '-c', 'echo 10.77.0.2 moves.test > /etc/hosts']\n",
        stretched(1_500)
    );
    let run = Run::start_with_hosts(&scene.lab, "moves", &(text + &change), &hosts);
    let outcome = scene.outcome(run.finish().expect(0));
    outcome.dark_from_the_syn();
    scene.close();
}

#[test]
fn a_name_that_is_lost_keeps_its_addresses_and_that_is_told() {
    let scene = Scene::new();
    let hosts = scene.lab.path().join("hosts");
    fs::write(&hosts, "10.88.0.2 lost.test\n").expect("the directory is ours");
    let connections = ["lit;to=10.77.0.2:7800", "dark;to=10.88.0.2:7800;at=4"];
    let text = scene.scenario(&connections, "remote = 'lost.test:7800'");
    let change = "[[step]]\nat = '500ms'\nexec = ['sh', '-c', ': > /etc/hosts']\n";
    let run = Run::start_with_hosts(&scene.lab, "lost", &(text + change), &hosts);
    let outcome = scene.outcome(run.finish().expect(0));
    outcome.dark_from_the_syn();
    let told = |w: &String| w.starts_with("`lost.test` could not be looked up again");
    assert_eq!(outcome.report.warnings.iter().filter(|w| told(w)).count(), 1, "{outcome:#?}");
    scene.close();
}
