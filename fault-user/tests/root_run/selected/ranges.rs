//! Networks and ranges of ports.

use super::Scene;

#[test]
fn a_network_and_a_range_of_ports_as_remote() {
    let scene = Scene::new();
    let connections = [
        "lit-lower;to=10.77.0.2:7800",
        "dark-1;to=10.77.0.2:7801",
        "dark-2;to=10.77.0.2:7900",
        "lit-other-net;to=10.88.0.2:7800",
        "lit-ipv6;to=[fd77::2]:7800",
    ];
    let flow = "remote = '10.77.0.0/16:7801-7900'\nmax_flows = 2";
    scene.run(&connections, flow).dark_from_the_syn();
    scene.close();
}

#[test]
fn a_network_of_ipv6_and_any_port_of_it() {
    let scene = Scene::new();
    let connections =
        ["lit;to=10.77.0.2:7800", "dark;to=[fd77::2]:7800", "lit-2;to=10.88.0.2:7800"];
    scene.run(&connections, "remote = '[fd00::/8]:*'").dark_from_the_syn();
    scene.close();
}

#[test]
fn of_two_to_one_port_the_one_from_a_range_of_local_ports() {
    let scene = Scene::new();
    let connections = [
        "lit;to=10.77.0.2:7800;from=10.77.0.1:20100",
        "dark;to=10.77.0.2:7800;from=10.77.0.1:20099",
        "lit-2;to=10.77.0.2:7801;from=10.77.0.1:20001",
    ];
    scene
        .run(&connections, "remote = ':7800'\nlocal = '10.77.0.0/24:20000-20099'")
        .dark_from_the_syn();
    scene.close();
}
