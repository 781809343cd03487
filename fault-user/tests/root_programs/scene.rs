//! An outage on one of two connections, and what both ends of the cable see of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fault_user::report::model::Report;

use crate::support::process::{Process, wait_for};
use crate::support::run::Run;
use crate::support::{Lab, stretched};
use crate::wire::Wires;

/// Address of the servers.
pub const SERVER: &str = "10.77.0.2";
/// How long an outage lasts, in milliseconds on a fast machine.
pub const OUTAGE: u32 = 900;
pub const SOON: Duration = Duration::from_secs(10);

/// An open connection, as ss(8) tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    pub port: u16,
    pub fd: u32,
    pub cookie: u64,
}

/// The connections of a process to this port of the server; there have to be so many.
pub fn connections(lab: &Lab, pid: u32, port: u16, count: usize) -> Vec<Open> {
    let ask = || {
        let mut ss = Command::new("ss");
        ss.args(["-HOtnpe", "state", "established", "dst", &format!("{SERVER}:{port}")]);
        lab.near.put(&mut ss);
        let out = ss.output().expect("iproute2 is installed");
        let text = String::from_utf8(out.stdout).expect("ss prints UTF-8");
        let mut found: Vec<Open> = text.lines().filter_map(|line| open(line, pid)).collect();
        found.sort_by_key(|open| open.fd);
        (found.len() == count).then_some(found)
    };
    wait_for(&format!("{count} connections of process {pid}"), SOON, ask)
}

fn open(line: &str, pid: u32) -> Option<Open> {
    let after = |word: &str| Some(line.split_once(word)?.1);
    let fd = after(&format!("pid={pid},fd="))?.split_once(')')?.0;
    let cookie = after(" sk:")?.split_whitespace().next()?;
    let local = line.split_whitespace().nth(2)?;
    Some(Open {
        port: local.rsplit_once(':')?.1.parse().ok()?,
        fd: fd.parse().ok()?,
        cookie: u64::from_str_radix(cookie, 16).ok()?,
    })
}

/// What becomes of a connection, and which.
pub struct Outage<'a> {
    /// Keys of the app that is attached to.
    pub app: String,
    /// Keys of the flow that goes dark.
    pub flow: String,
    pub fault: &'a str,
    pub lasts: u32,
}

impl<'a> Outage<'a> {
    pub fn new(app: String, flow: String, fault: &'a str) -> Self {
        Self { app, flow, fault, lasts: OUTAGE }
    }

    /// `open` is a command that the run starts first, for connections that are to open under its eyes.
    fn text(&self, lab: &Lab, open: Option<&str>) -> String {
        let Self { app, flow, fault, lasts } = self;
        let (lasts, after, all) = (stretched(*lasts), stretched(*lasts + 50), stretched(20_000));
        let lasts =
            if fault.contains("drop") { format!("for = '{lasts}'\n") } else { String::new() };
        let touch = |file: &str| format!("exec = ['touch', '{}']\n", lab.file(file));
        let (first, at) = match open {
            Some(command) => (
                format!("[[step]]\nat = '0s'\nexec = ['sh', '-c', '{command}']\n"),
                "after = { flow = 'dark', state = 'established' }".to_owned(),
            ),
            None => (String::new(), "at = '100ms'".to_owned()),
        };
        format!(
            "schema = 1\nname = 'programs'\nseed = 7\nduration = '{all}'\n\
             [[app]]\nname = 'client'\n{app}\n[[flow]]\nname = 'dark'\napp = 'client'\n{flow}\n{first}\
             [[step]]\nname = 'outage'\n{at}\nfaults = [{{ flow = 'dark', {fault} }}]\n{lasts}\
             [[step]]\nafter = {{ step = 'outage', plus = '0s' }}\n{}\
             [[step]]\nafter = {{ step = 'outage', plus = '{after}' }}\n{}",
            touch("armed"),
            touch("lifted"),
        )
    }

    /// Runs it, does `work` once it has begun, and waits for its end. `work` is given a way to see whether the outage
    /// is over.
    pub fn during(&self, lab: &Lab, work: impl FnOnce(&Clock)) -> (Report, Wires) {
        self.with(lab, None, work)
    }

    /// The same, with a command that has the app open its connections under flowfault's eyes.
    pub fn opening(&self, lab: &Lab, command: &str, work: impl FnOnce(&Clock)) -> (Report, Wires) {
        self.with(lab, Some(command), work)
    }

    fn with(&self, lab: &Lab, open: Option<&str>, work: impl FnOnce(&Clock)) -> (Report, Wires) {
        let wires = Wires::start(lab);
        let mut run = Run::start(lab, "out", &self.text(lab, open), &[]);
        let clock = Clock { armed: lab.path().join("armed"), lifted: lab.path().join("lifted") };
        run.until("outage", |_| clock.armed.exists());
        work(&clock);
        (run.finish().expect(0), wires)
    }
}

/// Where an outage is.
pub struct Clock {
    armed: PathBuf,
    lifted: PathBuf,
}

impl Clock {
    /// What was just seen was seen in the outage.
    pub fn still_dark(&self) {
        assert!(!self.lifted.exists(), "this machine was too slow to look in time");
    }

    pub fn lifted(&self) {
        wait_for("end of the outage", SOON, || self.lifted.exists().then_some(()));
    }
}

/// Waits until a file or an output has this many lines.
pub fn lines(process: &Process, count: usize) -> Vec<String> {
    let ask = || {
        let text = process.stdout();
        let whole: Vec<String> = text
            .split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(|l| l.trim().into())
            .collect();
        (whole.len() >= count).then_some(whole)
    };
    wait_for(&format!("{count} lines of {}", process.pid()), SOON, ask)
}

/// A server that answers at this port.
pub fn answers(lab: &Lab, port: u16) {
    let far = lab.far.as_ref().expect("a pair");
    let open = || std::net::TcpStream::connect((SERVER, port)).ok().map(drop);
    wait_for(&format!("server at port {port}"), SOON, || far.within(open));
}

/// Starts a server at the far end.
pub fn server(lab: &Lab, command: Command, port: u16) -> Process {
    let far = lab.far.as_ref().expect("a pair");
    let process = Process::start(command, far, &lab.path().join("server"));
    answers(lab, port);
    process
}

/// Starts a client at the near end.
pub fn client(lab: &Lab, name: &str, command: Command) -> Process {
    Process::start(command, &lab.near, &lab.path().join(name))
}

/// A program of a Debian package.
pub fn program(name: &str) -> PathBuf {
    let dirs = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let found = dirs.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no {name}: run `cargo xtask test`, which installs it"))
}
