//! curl against nginx.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::scene::{Outage, SERVER, SOON, client, connections, program, server};
use crate::support::Lab;
use crate::support::process::{Process, wait_for};

const PORT: u16 = 8080;
/// Bytes of the file that is fetched, and how many of them nginx sends a second.
const SIZE: usize = 400_000;
const RATE: &str = "150k";

struct Scene {
    server: Process,
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::pair();
        crate::wire::patient(&lab);
        let dir = lab.path();
        let content: Vec<u8> =
            (0..SIZE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::write(dir.join("file"), content).expect("the directory is ours");
        let d = dir.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            temporary.iter().map(|t| format!("{t}_temp_path {d}/{t};\n")).collect();
        let conf = format!(
            "daemon off;\nmaster_process off;\npid {d}/nginx.pid;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}server {{\nlisten {SERVER}:{PORT};\nroot {d};\nlimit_rate {RATE};\n}}\n}}\n"
        );
        fs::write(dir.join("nginx.conf"), conf).expect("the directory is ours");
        let mut command = Command::new(program("nginx"));
        command
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .arg("-e")
            .arg(dir.join("error.log"));
        Self { server: server(&lab, command, PORT), lab }
    }

    /// A curl that fetches the file to each of these, over a connection of its own.
    fn fetch(&self, to: &[&str], options: &[&str]) -> Process {
        let mut command = Command::new(program("curl"));
        command.args([
            "--silent",
            "--show-error",
            "--http1.1",
            "--parallel",
            "--parallel-immediate",
        ]);
        command.args(options);
        for name in to {
            command.args(["-o", &self.lab.file(name), &format!("http://{SERVER}:{PORT}/file")]);
        }
        let process = client(&self.lab, &format!("curl-{}", to[0]), command);
        connections(&self.lab, process.pid(), PORT, to.len());
        to.iter().for_each(|name| self.grows(name));
        process
    }

    fn size(&self, name: &str) -> u64 {
        fs::metadata(self.lab.path().join(name)).map_or(0, |m| m.size())
    }

    fn grows(&self, name: &str) {
        let now = self.size(name);
        let more = || (self.size(name) > now).then_some(());
        wait_for(&format!("more of {name}"), SOON, more);
    }

    fn is_whole(&self, name: &str) {
        let read = |name: &str| fs::read(self.lab.path().join(name)).expect("it was fetched");
        assert!(read("file") == read(name), "{name} has {} bytes of {SIZE}", self.size(name));
    }

    fn close(self) {
        drop(self.server);
        self.lab.close();
    }
}

fn exit_code(process: &mut Process) -> Option<i32> {
    wait_for("end of curl", SOON, || process.ended()).code()
}

#[test]
fn one_of_two_downloads_times_out() {
    let scene = Scene::new();
    let mut lit = scene.fetch(&["lit"], &[]);
    let lit_port = connections(&scene.lab, lit.pid(), PORT, 1)[0].port;
    // Undisturbed it needs 2.7 s.
    let limit = format!("{}", 4 * crate::support::slow());
    let mut dark = scene.fetch(&["dark"], &["--max-time", &limit]);
    let open = connections(&scene.lab, dark.pid(), PORT, 1)[0];
    let mut outage = Outage::new(
        format!("pid = {}", dark.pid()),
        format!("remote = '{SERVER}:{PORT}'"),
        "direction = 'ingress', drop = 1.0",
    );
    outage.lasts = 4_500;
    let (report, wires) = outage.during(&scene.lab, |clock| {
        scene.grows("lit");
        assert_eq!(exit_code(&mut dark), Some(28), "curl's own word for a time-out");
        clock.still_dark();
    });
    assert!(dark.stderr().contains("Operation timed out"), "{}", dark.stderr());
    assert_eq!(exit_code(&mut lit), Some(0), "{}", lit.stderr());
    scene.is_whole("lit");
    assert!(scene.size("dark") < SIZE as u64);
    let seen = wires.finish();
    seen.untouched(lit_port);
    assert!(seen.repeated(open.port).1 > 0, "nginx sends again: {:?}", seen.back);
    assert!(report.flows[0].ingress.dropped > 0 && report.flows[0].egress.dropped == 0);
    drop((lit, dark));
    scene.close();
}

#[test]
fn one_of_two_downloads_of_one_process_waits_and_comes_whole() {
    let scene = Scene::new();
    let mut curl = scene.fetch(&["one", "two"], &[]);
    let open = connections(&scene.lab, curl.pid(), PORT, 2);
    let outage = Outage::new(
        format!("pid = {}", curl.pid()),
        format!("cookie = {}", open[1].cookie),
        "drop = 1.0",
    );
    let (report, wires) = outage.during(&scene.lab, |clock| clock.lifted());
    assert_eq!(exit_code(&mut curl), Some(0), "{}", curl.stderr());
    ["one", "two"].iter().for_each(|name| scene.is_whole(name));
    let seen = wires.finish();
    seen.untouched(open[0].port);
    assert!(seen.repeated(open[1].port).1 > 0, "nginx sends again: {:?}", seen.back);
    let of = |cookie| report.flows.iter().find(|f| f.cookie == cookie).expect("both are told of");
    let (lit, dark) = (of(open[0].cookie), of(open[1].cookie));
    assert!(dark.selected && dark.ingress.dropped > 0, "{dark:#?}");
    assert!(!lit.selected && lit.ingress.dropped + lit.egress.dropped == 0, "{lit:#?}");
    drop(curl);
    scene.close();
}
