//! The same seed loses the same packets.

use std::collections::BTreeMap;

use crate::support::scene::Scene;
use crate::support::trial::{Case, Outcome, Outcomes, Place, run_in};

fn once(scene: &Scene, name: &str, seed: u64) -> Outcomes {
    let drop = |p: f64| format!("{{ direction = 'egress', drop = {p} }}");
    let cases = [
        Case::new("datagrams", Place::Cable4, &drop(0.3), "pour 300 100 500"),
        Case::new("turns", Place::Cable4, &drop(0.12), "turns 30"),
        Case::new("turns 6", Place::Cable6, &drop(0.12), "turns 30"),
    ];
    run_in(scene, name, seed, &cases, "")
}

/// How many copies of each message were lost, by its place in the stream (or its number).
fn lost(outcome: &Outcome) -> BTreeMap<u64, i32> {
    let handed = outcome.handed(true);
    let base = handed[0].seq;
    let mut lost = BTreeMap::new();
    let (went, came) = (handed.iter().map(|p| (p, 1)), outcome.given_back(true));
    for (packet, n) in went.chain(came.iter().map(|p| (p, -1))) {
        let place = match packet.message {
            Some((number, _)) if !packet.tcp => number,
            Some(_) => u64::from(packet.seq.wrapping_sub(base)),
            None => continue,
        };
        *lost.entry(place).or_default() += n;
    }
    lost.retain(|_, n| *n != 0);
    lost
}

#[test]
fn the_same_seed_loses_the_same_and_another_seed_others() {
    let scene = Scene::new(false);
    let runs = [("a", 7), ("b", 7), ("c", 8)].map(|(name, seed)| once(&scene, name, seed));
    for name in ["datagrams", "turns", "turns 6"] {
        let [first, again, other] = runs.each_ref().map(|run| lost(run.of(name)));
        assert!(!first.is_empty(), "{name}: something is lost");
        assert_eq!(first, again, "{name}");
        assert_ne!(first, other, "{name}");
    }
    scene.close();
}
