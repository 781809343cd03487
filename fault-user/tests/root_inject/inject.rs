//! One `flowfault inject`, from its start until nothing of it is left.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::objects::{Objects, traces_of};
use crate::support::process::{Process, wait_for};
use crate::support::{Lab, flowfault, slow};

const LIMIT: Duration = Duration::from_secs(30);
/// How long the kernel may take to free programs that nobody holds (RCU grace periods).
const FREED: Duration = Duration::from_secs(2);

/// One that goes on.
pub struct Inject {
    pub process: Process,
    objects: Objects,
}

/// One that is over.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// BPF objects that it had.
    pub objects: Objects,
}

impl Inject {
    pub fn start(lab: &Lab, name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(flowfault());
        command.arg("inject").args(args);
        // Results belong to the user behind sudo, who could not enter root's temporary directory.
        for variable in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
            command.env_remove(variable);
        }
        command.current_dir(lab.path());
        let process = Process::start(command, &lab.near, &lab.path().join(name));
        Self { process, objects: Objects::default() }
    }

    /// Waits until a line of JSON says so.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Value) -> bool) {
        wait_for(what, LIMIT, || {
            self.objects.add_those_of(self.process.pid());
            lines(&self.process.stdout()).iter().any(&holds).then_some(())
        });
    }

    pub fn finish(mut self) -> Done {
        let status = wait_for("end of inject", LIMIT, || {
            self.objects.add_those_of(self.process.pid());
            self.process.ended()
        });
        let (stdout, stderr) = (self.process.stdout(), self.process.stderr());
        let deadline = Instant::now() + FREED * slow();
        loop {
            let (left, traces) = (self.objects.left(), traces_of(self.process.pid()));
            if left == Objects::default() && traces.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "left behind: {left:?} {traces:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        let code = status.code().unwrap_or_else(|| panic!("inject: {status}\n{stderr}"));
        Done { code, stdout, stderr, objects: self.objects }
    }
}

/// Runs one to its end.
pub fn inject(lab: &Lab, name: &str, args: &[&str]) -> Done {
    Inject::start(lab, name, args).finish()
}

/// Whole lines of JSON.
fn lines(stdout: &str) -> Vec<Value> {
    let whole = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

impl Done {
    /// What `--json` says at the end; all before it are lines of progress.
    pub fn summary(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:#?}");
        let mut lines = lines(&self.stdout);
        let last = lines.pop().unwrap_or_else(|| panic!("nothing was said: {self:#?}"));
        assert!(lines.iter().all(|line| line["kind"] == "progress"), "{self:#?}");
        assert_eq!(last["kind"], "summary", "{self:#?}");
        last
    }
}

/// The only socket of a summary.
pub fn only(summary: &Value) -> Value {
    let sockets = summary["sockets"].as_array().expect("a list");
    assert_eq!(sockets.len(), 1, "{summary:#}");
    sockets[0].clone()
}
