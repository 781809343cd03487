//! redis-cli, which asks again and again, against redis-server.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::scene::{Outage, SERVER, client, connections, lines, program, server};
use crate::support::Lab;
use crate::support::process::{Process, run};

const PORT: u16 = 6379;

/// A server, and two clients that count up, each a key of its own.
struct Scene {
    _server: Process,
    lit: Process,
    dark: Process,
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::pair();
        crate::wire::patient(&lab);
        let mut command = Command::new(program("redis-server"));
        command.args(["--bind", SERVER, "--port", &PORT.to_string(), "--save", "", "--dir"]);
        command.arg(lab.path()).args(["--protected-mode", "no"]);
        let server = server(&lab, command, PORT);
        let [lit, dark] = ["lit", "dark"].map(|key| counter(&lab, key));
        Self { _server: server, lit, dark, lab }
    }

    /// What the server has counted, asked over a connection that does not cross the cable.
    fn counted(&self, key: &str) -> usize {
        let far = self.lab.far.as_ref().expect("a pair");
        let cli = program("redis-cli");
        let ask = || run(cli.to_str().expect("a path"), &["-h", SERVER, "GET", key]);
        far.within(ask).trim().parse().expect("a number")
    }

    /// The lit one has counted without a break, and its packets have come as if nobody had been there.
    fn lit_is_untouched(&self, seen: &crate::wire::Seen) {
        counts(&self.lit);
        seen.untouched(connections(&self.lab, self.lit.pid(), PORT, 1)[0].port);
    }

    fn close(self) {
        let Self { _server, lit, dark, lab } = self;
        drop((lit, dark, _server));
        lab.close();
    }
}

fn counter(lab: &Lab, key: &str) -> Process {
    // Its output is a file, and buffered otherwise.
    let mut command = Command::new(program("stdbuf"));
    command.arg("-oL").arg(program("redis-cli"));
    command.args(["-h", SERVER, "-p", &PORT.to_string(), "-r", "-1", "-i", "0.02", "INCR", key]);
    let process = client(lab, key, command);
    lines(&process, 2);
    process
}

/// Each number once and in order: no command was lost, and none came twice. How many.
fn counts(process: &Process) -> usize {
    let said = lines(process, 1);
    for (said, count) in said.iter().zip(1..) {
        assert_eq!(*said, count.to_string(), "{}", process.stdout());
    }
    said.len()
}

#[test]
fn one_of_two_clients_goes_dark_both_ways() {
    let scene = Scene::new();
    let Scene { lab, lit, dark, .. } = &scene;
    let open = connections(lab, dark.pid(), PORT, 1)[0];
    let outage = Outage::new(
        format!("pid = {}", dark.pid()),
        format!("remote = '{SERVER}:{PORT}'"),
        "drop = 1.0",
    );
    let mut said = 0;
    let (report, wires) = outage.during(lab, |clock| {
        // An answer to the last command may have been on its way.
        std::thread::sleep(std::time::Duration::from_millis(100));
        said = counts(dark);
        let before = counts(lit);
        lines(lit, before + 5);
        assert_eq!(counts(dark), said, "in the dark it waits");
        clock.still_dark();
    });
    lines(dark, said + 5);
    let seen = wires.finish();
    scene.lit_is_untouched(&seen);
    counts(dark);
    assert!(seen.silence(open.port) > f64::from(crate::scene::OUTAGE) * 0.8, "{:?}", seen.out);
    assert_eq!(report.flows.len(), 1, "the other is another process's: {:#?}", report.flows);
    assert_eq!(report.flows[0].cookie, open.cookie);
    assert!(report.flows[0].egress.dropped > 0, "{:#?}", report.flows);
    scene.close();
}

/// What is lost on the way back has been done.
#[test]
fn one_of_two_clients_hears_nothing() {
    let scene = Scene::new();
    let Scene { lab, dark, .. } = &scene;
    let open = connections(lab, dark.pid(), PORT, 1)[0];
    let outage = Outage::new(
        "process = 'redis-cli .* INCR dark'".into(),
        format!("cookie = {}", open.cookie),
        "direction = 'ingress', drop = 1.0",
    );
    let mut said = 0;
    let (report, wires) = outage.during(lab, |clock| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        said = counts(dark);
        assert_eq!(scene.counted("dark"), said + 1, "done, and not heard of");
        clock.still_dark();
    });
    lines(dark, said + 5);
    let seen = wires.finish();
    scene.lit_is_untouched(&seen);
    counts(dark);
    let (_, back) = seen.repeated(open.port);
    assert!(back > 0, "the server repeats its answer: {:?}", seen.back);
    assert_eq!(report.flows[0].egress.dropped, 0, "{:#?}", report.flows);
    assert!(report.flows[0].ingress.dropped > 0, "{:#?}", report.flows);
    scene.close();
}

/// What is lost on the way out has not been done.
#[test]
fn one_of_two_clients_is_not_heard() {
    let scene = Scene::new();
    let Scene { lab, dark, .. } = &scene;
    let open = connections(lab, dark.pid(), PORT, 1)[0];
    let outage = Outage::new(
        format!("pid = {}", dark.pid()),
        format!("fd = {}", open.fd),
        "direction = 'egress', drop = 1.0",
    );
    let mut said = 0;
    let (report, wires) = outage.during(lab, |clock| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        said = counts(dark);
        assert_eq!(scene.counted("dark"), said, "never asked");
        clock.still_dark();
    });
    lines(dark, said + 5);
    let seen = wires.finish();
    scene.lit_is_untouched(&seen);
    counts(dark);
    assert!(report.flows[0].egress.dropped > 0, "{:#?}", report.flows);
    assert_eq!(report.flows[0].ingress.dropped, 0, "{:#?}", report.flows);
    scene.close();
}

#[test]
fn a_reset_is_what_the_client_says_it_is() {
    let mut scene = Scene::new();
    let Scene { lab, dark, .. } = &scene;
    let mut outage = Outage::new(
        format!("pid = {}", dark.pid()),
        format!("remote = '{SERVER}:{PORT}'"),
        "reset = 'local'",
    );
    outage.lasts = 100;
    let (report, wires) = outage.during(lab, |_| ());
    let seen = wires.finish();
    let status = crate::support::process::wait_for("end of redis-cli", crate::scene::SOON, || {
        scene.dark.ended()
    });
    assert_eq!(status.code(), Some(1), "{}", scene.dark.stderr());
    let said = scene.dark.stderr() + &scene.dark.stdout();
    assert!(said.contains("Error: Connection reset by peer"), "{said}");
    assert!(report.flows[0].closed_ms.is_some(), "{:#?}", report.flows);
    scene.lit_is_untouched(&seen);
    scene.lit.signal(Signal::SIGTERM);
    scene.close();
}
