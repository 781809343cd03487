//! A program that holds sockets of each kind and says what they are, in a namespace of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::netns::{self, Netns};
use super::process::{Process, wait_for};
use super::{flowfault, script, soon};

/// Cores are few, and a look is at the whole machine: one test at a time.
static SERIAL: Mutex<()> = Mutex::new(());
/// Whom nothing belongs to.
const NOBODY: u32 = 65534;

/// The app, its server at the other end of a cable, and their namespaces.
pub struct Lab {
    // Ends before its namespace does.
    pub app: Process,
    _server: Process,
    pub port: String,
    pub near: Netns,
    _far: Netns,
    dir: tempfile::TempDir,
    /// When no socket of the app's was open yet.
    pub begun: Instant,
    _serial: MutexGuard<'static, ()>,
}

impl Lab {
    /// Starts both, and waits until all sockets are open.
    pub fn new() -> Self {
        // SAFETY: a plain question.
        assert_eq!(unsafe { libc::geteuid() }, 0, "these tests need root: cargo xtask test --root");
        let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
        let (near, far) = (Netns::new(), Netns::new());
        netns::cable(&near, &far);
        let dir = tempfile::Builder::new().prefix("ffe2e-").tempdir().unwrap();
        let mut command = Command::new("python3");
        command.arg(script("echo.py")).arg("10.77.0.2");
        let server = Process::start(command, &far, &dir.path().join("server"));
        server.says("port ");
        let port = server.stdout().trim().trim_start_matches("port ").to_owned();
        let begun = Instant::now();
        // A copy: a process is named by its command line, and no other test has this one.
        let mut command = Command::new(interpreter());
        std::fs::copy(script("holder.py"), dir.path().join("holder.py")).unwrap();
        command.arg(dir.path().join("holder.py")).args(["10.77.0.2", &port]);
        command.arg(dir.path().join("go"));
        let app = Process::start(command, &near, &dir.path().join("app"));
        let lab = Self { app, _server: server, port, near, _far: far, dir, begun, _serial: serial };
        wait_for("the app's sockets", Duration::from_secs(10), || lab.lines().pop());
        lab
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the command lines of the app and of its child have in common.
    pub fn app_name(&self) -> String {
        self.file("holder.py").to_str().unwrap().to_owned()
    }

    fn lines(&self) -> Vec<Value> {
        // The last line may not be whole yet.
        self.app.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the app says of its sockets from now on.
    pub fn told(&self) -> Value {
        let count = self.lines().len();
        let deadline = soon();
        loop {
            if let Some(told) = self.lines().into_iter().nth(count) {
                return told;
            }
            assert!(Instant::now() < deadline, "the app says no more: {}", self.app.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `flowfault flows --pid` of the app, run in another namespace than the app's.
    pub fn flows_of_app(&self, options: &[&str]) -> Command {
        let mut command = Command::new(flowfault());
        command.args(["flows", "--pid", &self.app.pid().to_string()]).args(options);
        command
    }

    /// `flowfault flows` in the app's namespace.
    pub fn flows_in_namespace(&self, options: &[&str]) -> Command {
        let mut command = Command::new(flowfault());
        command.arg("flows").args(options);
        self.near.put(&mut command);
        command
    }

    /// The same as a user whom nothing belongs to.
    pub fn flows_as_nobody(&self, binary: &Path) -> Command {
        // That user may not be let into the directories where it was built.
        let copy = self.file("flowfault");
        std::fs::copy(binary, &copy).unwrap();
        for path in [self.dir.path(), &copy] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(copy);
        self.near.put(&mut command);
        // `pre_exec` comes after the change of user: first the namespace, then the user.
        // SAFETY: between fork and exec only plain system calls are made.
        unsafe {
            command.pre_exec(|| match (libc::setgid(NOBODY), libc::setuid(NOBODY)) {
                (0, 0) => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        command.arg("flows");
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The child outlives its parent, and would keep the namespace.
        if let Some(child) = self.lines().pop().and_then(|told| told["child"].as_i64()) {
            let child = nix::unistd::Pid::from_raw(child as i32);
            // An error means that it has ended.
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The Python interpreter itself: `python3` may be a shell script that chooses one.
fn interpreter() -> String {
    let found = super::run("python3", &["-c", "import sys; print(sys.executable)"]);
    found.trim().to_owned()
}

/// A whole number of a JSON document.
pub fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// A text of a JSON document.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// 4711 of `net:[4711]`.
pub fn inode(link: &Path) -> u64 {
    let text = link.to_str().unwrap();
    text.trim_start_matches("net:[").trim_end_matches(']').parse().unwrap()
}

/// The line of ss(8) about the socket with this cookie.
pub fn line_of(ss: &str, cookie: u64) -> &str {
    let key = format!(" sk:{cookie:x} ");
    let found = ss.lines().find(|line| format!("{line} ").contains(&key));
    found.unwrap_or_else(|| panic!("no{key}in\n{ss}"))
}
