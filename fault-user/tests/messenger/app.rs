//! Runs the messenger's processes; each wait has a deadline.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Far above what any of these tests needs, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

/// The example lies beside the directory of this test's own program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let target = own.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let program = target.join("examples/messenger");
    assert!(
        program.exists(),
        "no {}: run `cargo build -p fault-user --example messenger`",
        program.display()
    );
    program
}

/// What a process wrote and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The JSON lines.
    pub outcomes: Vec<Value>,
    /// The other lines.
    pub plain: Vec<String>,
}

/// A running messenger process; killed on drop.
pub struct App {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl App {
    pub fn start(args: &[String]) -> Self {
        let mut child = Command::new(program())
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the messenger starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // The test may be over before the process is.
                if sender.send(line.expect("lines are UTF-8")).is_err() {
                    break;
                }
            }
        });
        let seen = Vec::new();
        Self { child, lines, seen }
    }

    /// Waits for a further line with this text in it.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| {
                panic!("no line with `{text}` ({error}) after {:#?}", self.seen)
            });
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the process to end by itself.
    pub fn finish(mut self) -> Run {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.result(),
                Err(RecvTimeoutError::Timeout) => panic!("still running after {:#?}", self.seen),
            }
        }
    }

    /// Ends the process and returns what it wrote until then.
    pub fn stop(self) -> Run {
        self.signal(Signal::SIGKILL);
        self.finish()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the process is there");
    }

    /// Its stdout is closed, so the process is at its very end.
    fn result(mut self) -> Run {
        let status = self.child.wait().expect("the process can be waited for");
        let (json, plain): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.seen).into_iter().partition(|line| line.starts_with('{'));
        Run { code: status.code(), outcomes: json.iter().map(|line| parse(line)).collect(), plain }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Fails only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A messenger server on a free port with a directory of its own.
pub struct Server {
    app: App,
    address: SocketAddr,
    dir: TempDir,
}

impl Server {
    pub fn start(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let path = |name: &str| text(&dir.path().join(name));
        let mut args: Vec<String> =
            ["server", "--listen", "127.0.0.1:0", "--make-ca"].map(str::to_owned).to_vec();
        args.extend(["--tls".to_owned(), path("tls")]);
        args.extend(["--receipts".to_owned(), path("receipts.jsonl")]);
        args.extend(options.iter().map(|option| (*option).to_owned()));
        let mut app = App::start(&args);
        let line = app.wait_for("listening on ");
        let address = line.trim_start_matches("listening on ").parse();
        Self { app, address: address.expect("the server prints its address"), dir }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The arguments of a sending command that trusts this server.
    pub fn connect_to(&self, to: SocketAddr, command: &str, options: &[&str]) -> Vec<String> {
        let ca = text(&self.dir.path().join("tls/ca.pem"));
        let to = to.to_string();
        let fixed = [command, "--connect", &to, "--ca", &ca];
        fixed.iter().chain(options).map(|arg| (*arg).to_owned()).collect()
    }

    pub fn send_loop(&self, to: SocketAddr, options: &[&str]) -> App {
        App::start(&self.connect_to(to, "send-loop", options))
    }

    /// The receipts, once there is one for each of these messages.
    pub fn receipts_of(&self, ids: &[&str]) -> Vec<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let receipts = self.receipts();
            let has = |id: &&str| receipts.iter().any(|receipt| receipt["id"] == **id);
            if ids.iter().all(has) {
                return receipts;
            }
            assert!(Instant::now() < deadline, "missing receipts: {receipts:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn receipts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("receipts.jsonl"));
        text.expect("the receipts file").lines().map(parse).collect()
    }

    pub fn signal(&self, signal: Signal) {
        self.app.signal(signal);
    }

    pub fn finish(self) -> Run {
        self.app.finish()
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths are UTF-8").to_owned()
}
