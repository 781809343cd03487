//! The tiers of evidence beside each other.

use std::collections::BTreeMap;

use super::{Scene, agree, are_unknown};
use crate::support::scenarios::quoted;
use crate::support::truth::messages;
use crate::support::{Lab, example};

/// What every tier sees comes to the same with each; what one does not see is named, and is not called lost.
#[test]
fn each_tier_of_evidence_comes_to_the_same_and_names_what_it_does_not_see() {
    const SEEN: &str = "write,send,sendmsg,writev,zerocopy";
    let tiers = std::env::var("FLOWFAULT_TEST_TIERS").unwrap_or_else(|_| "sys_exit".into());
    let mut best: Option<BTreeMap<String, Option<[u64; 2]>>> = None;
    // Before Linux 6.3 there is no sock_send_length, and the best is one of the others.
    for tier in std::iter::once(None).chain(tiers.split(' ').map(Some)) {
        let options: Vec<&str> = tier.into_iter().flat_map(|t| ["--evidence", t]).collect();
        let lab = Lab::alone();
        let fault = "direction = 'egress', drop = { nth = [3, 7, 12] }";
        let options = &options[..];
        let scene = Scene { fault, options, ..Scene::new(&lab, &format!("{SEEN} 3 8000")) };
        let report = scene.run().expect(0);
        agree(&report, &scene.receipts());
        let spots = &report.evidence.blind_spots;
        assert!(!spots.is_empty(), "{:?}", report.evidence);
        if let Some(tier) = tier {
            assert_eq!(report.evidence.tier, tier);
            assert_eq!(
                tier == "sys_exit",
                spots.iter().any(|s| s.contains("io_uring")),
                "{spots:?}"
            );
        }
        let found = messages(&report);
        assert!(found.values().any(|s| s.drops > 0), "nothing was lost: {found:#?}");
        let places = found.iter().map(|(id, s)| ((*id).to_owned(), s.stream)).collect();
        assert_eq!(*best.get_or_insert_with(|| BTreeMap::clone(&places)), places, "{tier:?}");
        lab.close();
    }
}

#[test]
fn what_a_tier_does_not_see_is_not_called_lost() {
    let lab = Lab::alone();
    let app = quoted(&example("uring_sender"), "127.0.0.1:7600 3 2000");
    let options = &["--evidence", "sys_exit"];
    let scene = Scene { app, options, ..Scene::new(&lab, "") };
    let report = scene.run().expect(0);
    assert_eq!(scene.receipts().iter().filter(|r| r.id != "eof").count(), 3, "all have arrived");
    are_unknown(&report);
    lab.close();
}
