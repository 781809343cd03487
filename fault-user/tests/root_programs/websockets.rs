//! Python's websockets, at both ends: two connections of one process.

use std::process::Command;

use serde_json::Value;

use crate::scene::{Outage, SERVER, SOON, client, connections, server};
use crate::support::Lab;
use crate::support::process::{Process, wait_for};

const PORT: u16 = 8765;
/// The distribution's Python has the distribution's packages; another one need not.
const PYTHON: &str = "/usr/bin/python3";

struct Scene {
    server: Process,
    client: Process,
    lab: Lab,
}

impl Scene {
    fn new(count: usize) -> Self {
        let lab = Lab::pair();
        crate::wire::patient(&lab);
        let server =
            server(&lab, script("websocket_server.py", &[SERVER, &PORT.to_string()]), PORT);
        std::fs::write(lab.path().join("orders"), "").expect("the directory is ours");
        let uri = format!("ws://{SERVER}:{PORT}");
        let arguments = [uri.as_str(), &lab.file("orders"), &count.to_string()];
        let client = client(&lab, "client", script("websocket_client.py", &arguments));
        Self { server, client, lab }
    }

    /// How many answers the connection with this local port has had.
    fn answers(&self, port: u16) -> u64 {
        let text = self.client.stdout();
        // The last line may not be whole yet.
        let told = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        told.and_then(|told| told[port.to_string()].as_u64()).unwrap_or(0)
    }

    fn moves(&self, port: u16) {
        let now = self.answers(port);
        let more = || (self.answers(port) > now + 2).then_some(());
        wait_for(&format!("answers on port {port}"), SOON, more);
    }

    fn close(self) {
        assert_eq!(self.client.stderr(), "", "websockets has noticed nothing");
        drop((self.client, self.server));
        self.lab.close();
    }
}

fn script(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(format!("{}/tests/root_programs/apps/{name}", env!("CARGO_MANIFEST_DIR")));
    command.args(arguments);
    command
}

#[test]
fn one_of_two_connections_of_one_process_goes_dark() {
    let scene = Scene::new(2);
    let open = connections(&scene.lab, scene.client.pid(), PORT, 2);
    let (lit, dark) = (open[0], open[1]);
    let outage = Outage::new(
        format!("pid = {}", scene.client.pid()),
        format!("fd = {}", dark.fd),
        "drop = 1.0",
    );
    let (report, wires) = outage.during(&scene.lab, |clock| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let before = scene.answers(dark.port);
        scene.moves(lit.port);
        assert_eq!(scene.answers(dark.port), before, "no answer in the dark");
        clock.still_dark();
    });
    scene.moves(dark.port);
    let seen = wires.finish();
    seen.untouched(lit.port);
    assert!(seen.silence(dark.port) > f64::from(crate::scene::OUTAGE) * 0.8, "{:?}", seen.out);
    let hit: Vec<u64> = report.flows.iter().filter(|f| f.selected).map(|f| f.cookie).collect();
    assert_eq!(hit, [dark.cookie], "{:#?}", report.flows);
    scene.close();
}

/// Of two that it opens later the second, by its number.
#[test]
fn the_second_that_opens_later_goes_dark_one_way() {
    let scene = Scene::new(0);
    let pid = scene.client.pid();
    let outage = Outage::new(
        format!("pid = {pid}"),
        format!("remote = '{SERVER}:{PORT}'\nnth = 2"),
        "direction = 'egress', drop = 1.0",
    );
    let orders = scene.lab.file("orders");
    let open = format!("echo open >> {orders}; sleep 0.3; echo open >> {orders}");
    let (report, wires) = outage.opening(&scene.lab, &open, |clock| clock.lifted());
    let open = connections(&scene.lab, pid, PORT, 2);
    let (lit, dark) = (open[0], open[1]);
    open.iter().for_each(|open| scene.moves(open.port));
    let seen = wires.finish();
    assert!(open.iter().all(|open| seen.opened(open.port)), "both handshakes: {:?}", seen.out);
    seen.untouched(lit.port);
    assert!(seen.silence(dark.port) > f64::from(crate::scene::OUTAGE) * 0.8, "{:?}", seen.out);
    let dark = report.flows.iter().find(|f| f.cookie == dark.cookie).expect("it is told of");
    assert!(dark.selected && dark.egress.dropped > 0 && dark.ingress.dropped == 0, "{dark:#?}");
    scene.close();
}
