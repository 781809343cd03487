//! psql against PostgreSQL.

use std::io::{PipeWriter, Write as _};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::scene::{Outage, SERVER, client, connections, lines, program, server};
use crate::support::Lab;
use crate::support::process::{Process, run};

const PORT: u16 = 5432;
/// PostgreSQL refuses to run as root; every Debian has this user.
const NOBODY: u32 = 65534;

/// A session that reads statements from a pipe.
struct Session {
    process: Process,
    statements: PipeWriter,
}

impl Session {
    fn start(lab: &Lab, name: &str) -> Self {
        let (reader, statements) = std::io::pipe().expect("a pipe");
        let mut command = Command::new(program("psql"));
        command.args(["-XAt", "-h", SERVER, "-p", &PORT.to_string(), "-U", "postgres"]);
        command.arg("postgres").stdin(reader).env("PGSSLMODE", "disable");
        let mut session = Self { process: client(lab, name, command), statements };
        session.says("SELECT 'ready';", 1);
        session
    }

    fn ask(&mut self, statement: &str) {
        writeln!(self.statements, "{statement}").expect("psql reads");
    }

    /// Its answers, after this one.
    fn says(&mut self, statement: &str, count: usize) -> Vec<String> {
        self.ask(statement);
        lines(&self.process, count)
    }
}

struct Scene {
    _server: Process,
    lit: Session,
    dark: Session,
    _data: TempDir,
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::pair();
        crate::wire::patient(&lab);
        let data =
            tempfile::Builder::new().prefix("ffe2e-pg-").tempdir().expect("a place for files");
        chown(data.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        let dir = data.path().join("db").into_os_string().into_string().expect("UTF-8");
        let initdb = tool("initdb").into_os_string().into_string().expect("UTF-8");
        let who = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let args = ["-D", &dir, "-A", "trust", "-U", "postgres", "--no-sync", "--no-locale"];
        run("setpriv", &[&who[..], &[&initdb], &args].concat());
        let rules = format!("{dir}/pg_hba.conf");
        std::fs::write(rules, "host all all 10.77.0.0/24 trust\n").expect("root may");
        let mut command = Command::new("setpriv");
        command.args(who).arg(tool("postgres")).args(["-D", &dir, "-p", &PORT.to_string()]);
        command.args(["-h", SERVER, "-c", "fsync=off", "-c", "shared_buffers=16MB", "-k"]);
        let server = server(
            &lab,
            {
                command.arg(data.path());
                command
            },
            PORT,
        );
        let [lit, dark] = ["lit", "dark"].map(|name| Session::start(&lab, name));
        Self { _server: server, lit, dark, _data: data, lab }
    }

    /// Both are asked something in the dark; the lit one answers at once, the other when it is over.
    fn outage(&mut self, outage: &Outage<'_>) {
        let Self { lab, lit, dark, .. } = self;
        let open = connections(lab, dark.process.pid(), PORT, 1)[0];
        let lit_port = connections(lab, lit.process.pid(), PORT, 1)[0].port;
        let (report, wires) = outage.during(lab, |clock| {
            dark.ask("SELECT 6 * 7;");
            for n in 0..5 {
                assert_eq!(lit.says(&format!("SELECT {n};"), n + 2)[n + 1], n.to_string());
            }
            assert_eq!(lines(&dark.process, 1), ["ready"], "no answer in the dark");
            clock.still_dark();
            clock.lifted();
        });
        assert_eq!(lines(&dark.process, 2), ["ready", "42"], "the answer is only late");
        assert_eq!(dark.process.stderr(), "", "psql has noticed nothing");
        wires.finish().untouched(lit_port);
        assert_eq!(report.flows[0].cookie, open.cookie, "{:#?}", report.flows);
        let hit = report.flows[0].egress.dropped + report.flows[0].ingress.dropped;
        assert!(hit > 0 && report.flows[0].selected, "{:#?}", report.flows);
    }

    fn close(self) {
        let Self { _server, lit, dark, _data, lab } = self;
        drop((lit, dark, _server));
        lab.close();
    }
}

/// A program of the newest PostgreSQL that is here: Debian keeps them apart by version.
fn tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|e| e.path()).max_by_key(number);
    let found = newest.map(|dir| dir.join("bin").join(name)).filter(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no {name}: run `cargo xtask test`, which installs it"))
}

#[test]
fn a_session_that_goes_dark_answers_when_it_is_over() {
    let mut scene = Scene::new();
    let dark = &scene.dark.process;
    // By the place that it was put into, as a service's unit.
    let cgroup = crate::cgroup::Cgroup::with(dark.pid(), &format!("ffe2e-{}.service", dark.pid()));
    let place = cgroup.path().file_name().expect("a name").to_string_lossy().into_owned();
    let flow = format!("remote = '{SERVER}:{PORT}'");
    scene.outage(&Outage::new(format!("cgroup = '/{place}'"), flow, "drop = 1.0"));
    scene.close();
    drop(cgroup);
}

#[test]
fn a_session_that_is_not_heard_answers_when_it_is_over() {
    let mut scene = Scene::new();
    let dark = &scene.dark.process;
    let fd = connections(&scene.lab, dark.pid(), PORT, 1)[0].fd;
    let app = format!("pid = {}", dark.pid());
    scene.outage(&Outage::new(app, format!("fd = {fd}"), "direction = 'egress', drop = 1.0"));
    scene.close();
}
