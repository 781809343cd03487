//! What the tests share: a laboratory with namespaces, runs, and eyes that are not flowfault's.

pub mod capture;
pub mod netns;
pub mod objects;
pub mod process;
pub mod run;
pub mod scenarios;
pub mod slow;
pub mod truth;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use netns::Netns;
pub use slow::slow;
use tempfile::TempDir;

/// Tests share the machine's cores and its list of programs: one at a time, however the test
/// program was started.
static SERIAL: Mutex<()> = Mutex::new(());

/// Namespaces and a directory of one test. Whatever is in it when the test ends, goes.
pub struct Lab {
    // In this order: the cable goes with its far end before the near one is looked at.
    pub far: Option<Netns>,
    pub near: Netns,
    dir: TempDir,
    names: Vec<String>,
    links: String,
    _serial: MutexGuard<'static, ()>,
}

impl Lab {
    /// One namespace with nothing but `lo`.
    pub fn alone() -> Self {
        Self::new(false)
    }

    /// Two namespaces, joined by a cable.
    pub fn pair() -> Self {
        Self::new(true)
    }

    fn new(pair: bool) -> Self {
        // SAFETY: a plain question.
        assert_eq!(unsafe { libc::geteuid() }, 0, "these tests need root: cargo xtask test --root");
        // A test that failed says nothing about the next.
        let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
        let near = Netns::new();
        let far = pair.then(|| {
            let far = Netns::new();
            netns::cable(&near, &far);
            far
        });
        let mut dir = tempfile::Builder::new();
        // To look at the files of a test that failed.
        let keep = std::env::var_os("E2E_KEEP").is_some();
        let dir = dir.prefix("ffe2e-").disable_cleanup(keep).tempdir().expect("a place for files");
        let names = std::iter::once(&near).chain(&far).map(|n| n.name.clone()).collect();
        let links = near.links();
        Self { far, near, dir, names, links, _serial: serial }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file in its directory, as text for a scenario.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().expect("paths are UTF-8").to_owned()
    }

    /// Ends the test: the namespace is as it was, and gone afterwards.
    pub fn close(self) {
        assert_eq!(self.near.links(), self.links, "the interfaces are as they were");
        let names = self.names.clone();
        drop(self);
        let left = process::run("ip", &["netns", "list"]);
        assert!(!names.iter().any(|n| left.contains(n.as_str())), "namespaces are left: {left}");
    }
}

/// So many milliseconds, as a duration of a scenario, stretched on slow machines.
pub fn stretched(ms: u32) -> String {
    format!("{}ms", ms * slow())
}

/// The binary under test.
pub fn flowfault() -> PathBuf {
    std::env::var_os("FLOWFAULT_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_flowfault").into(), PathBuf::from)
}

/// The messenger; cargo has no variable for examples.
pub fn messenger() -> String {
    let beside = flowfault().with_file_name("examples").join("messenger");
    let path = std::env::var_os("MESSENGER_BIN").map_or(beside, PathBuf::from);
    built(path)
}

/// Another example, which lies beside the messenger.
pub fn example(name: &str) -> String {
    built(Path::new(&messenger()).with_file_name(name))
}

fn built(path: PathBuf) -> String {
    let build = "run `cargo build -p fault-user --examples`";
    assert!(path.exists(), "no {}: {build}", path.display());
    path.into_os_string().into_string().expect("paths are UTF-8")
}

/// The Python interpreter itself: `python3` may be a shell script that chooses one.
pub fn python() -> &'static str {
    static PYTHON: LazyLock<String> = LazyLock::new(|| {
        let found = process::run("python3", &["-c", "import sys; print(sys.executable)"]);
        found.trim().to_owned()
    });
    &PYTHON
}

/// A Python program of these tests.
pub fn script(name: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root_run/apps");
    format!("{dir}/{name}")
}

/// A command with arguments that are separated by blanks.
pub fn command(program: &str, args: &str) -> Command {
    let mut command = Command::new(program);
    command.args(args.split_whitespace());
    command
}
