//! What narrows a flow: exclusions, and a share.

use fault_common::condition::{WHOLE_SHARE, in_share};

use super::Scene;

#[test]
fn what_is_excluded_is_never_the_flow_and_is_not_counted() {
    let scene = Scene::new();
    let connections = [
        "lit-excluded;to=10.77.0.2:7801",
        "lit-first;to=10.77.0.2:7800",
        "lit-excluded-2;to=10.77.0.2:7800;from=10.77.0.1:20200",
        "lit-excluded-3;to=10.77.0.2:7900;uid=4711",
        "dark-second;to=10.77.0.2:7900",
        "lit-third;to=10.77.0.2:7800",
    ];
    let flow = "remote = '10.77.0.0/24:*'\nnth = 2\nexclude = [{ remote = ':7801' }, \
                { local = ':20200-20300' }, { uid = 4711, remote = '10.77.0.2:7900' }]";
    let outcome = scene.run(&connections, flow);
    outcome.dark_from_the_syn();
    scene.close();
}

#[test]
fn a_table_of_one_exclusion_holds_only_as_a_whole() {
    let scene = Scene::new();
    let connections = [
        "dark-1;to=10.77.0.2:7800",
        "lit;to=10.77.0.2:7800;from=10.77.0.1:20210",
        "dark-2;to=10.77.0.2:7801;from=10.77.0.1:20211",
    ];
    let flow = "remote = '10.77.0.2:*'\nmax_flows = 9\n\
                exclude = { remote = '*:7800', local = ':20200-20300' }";
    scene.run(&connections, flow).dark_from_the_syn();
    scene.close();
}

#[test]
fn the_seed_decides_which_connections_a_share_is() {
    let scene = Scene::new();
    let is_picked = |nth: u32| in_share(7, 0, nth, WHOLE_SHARE / 2);
    let connection = |nth: u32| {
        let kind = if is_picked(nth) { "dark" } else { "lit" };
        format!("{kind}-{nth};to=10.77.0.2:7800")
    };
    let connections: Vec<String> = (1..=8).map(connection).collect();
    let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
    let picked = (1..=8).filter(|nth| is_picked(*nth)).count();
    assert!((2..=6).contains(&picked), "seed 7 makes a test of it");
    scene.run(&connections, "remote = '10.77.0.2:7800'\nshare = 0.5").dark_from_the_syn();
    let few = format!("remote = '10.77.0.2:7800'\nshare = 0.5\nmax_flows = {}", picked - 1);
    let finished = scene.finish(&connections, &few);
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stdout.contains("matches more than max_flows"), "{finished:#?}");
    scene.close();
}
