//! Processes whose output goes to files, and waits that have deadlines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::netns::Netns;
use super::slow;

/// Runs a command of the fixture to its end; it has to succeed.
pub fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output();
    let out = out.unwrap_or_else(|e| panic!("cannot run {program} (is it installed?): {e}"));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Asks every 10 ms until there is an answer; after `limit` (more on slow machines) the test
/// fails.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let limit = limit * slow();
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "after {limit:?} still no {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process in a namespace, with stdout and stderr in files; killed on drop.
pub struct Process {
    child: Child,
    base: PathBuf,
}

impl Process {
    /// Starts it; the output goes to `base` + `.out` and `.err`.
    pub fn start(mut command: Command, netns: &Netns, base: &Path) -> Self {
        netns.put(&mut command);
        Self::start_here(command, base)
    }

    /// The same in the namespace of the test itself.
    pub fn start_here(mut command: Command, base: &Path) -> Self {
        let file = |end| File::create(base.with_extension(end)).expect("the directory is ours");
        command.stdout(file("out")).stderr(file("err"));
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        Self { child, base: base.to_owned() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(self.base.with_extension("out")).expect("it was made at the start")
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.base.with_extension("err")).expect("it was made at the start")
    }

    /// Waits for this text on its stdout.
    pub fn says(&self, text: &str) {
        let found = || self.stdout().contains(text).then_some(());
        wait_for(&format!("`{text}` from {}", self.base.display()), Duration::from_secs(10), found);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("the process is there");
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has been waited for already.
        if self.child.kill().is_ok() {
            self.child.wait().expect("a killed child ends");
        }
    }
}
