//! One run of the flowfault binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fault_user::report::model::Report;
use nix::sys::signal::Signal;

use super::objects::{Objects, traces_of};
use super::process::{Process, wait_for};
use super::{Lab, flowfault, slow};

/// Longest time that any run here may take.
const LIMIT: Duration = Duration::from_secs(40);
/// How long the kernel may take to free programs that nobody holds (RCU grace periods).
const FREED: Duration = Duration::from_secs(2);

/// A run that goes on.
pub struct Run {
    pub process: Process,
    pub out: PathBuf,
    pub objects: Objects,
}

/// A run that is over, and left nothing.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub out: PathBuf,
    /// BPF objects that it had.
    pub objects: Objects,
}

impl Run {
    /// Starts `flowfault run` on this scenario text, with the results in `lab/NAME`.
    pub fn start(lab: &Lab, name: &str, scenario: &str, options: &[&str]) -> Self {
        Self::start_with(lab, name, scenario, options, &[])
    }

    /// The same with these variables in its environment.
    pub fn start_with(
        lab: &Lab,
        name: &str,
        scenario: &str,
        options: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let file = lab.path().join(format!("{name}.toml"));
        fs::write(&file, scenario).expect("the directory is ours");
        let out = lab.path().join(name);
        let mut command = Command::new(flowfault());
        command.arg("run").arg(&file).arg("--out").arg(&out).args(options);
        Self::launch(lab, name, command, out, env)
    }

    /// The same where this file is /etc/hosts, for flowfault and its apps.
    pub fn start_with_hosts(lab: &Lab, name: &str, scenario: &str, hosts: &Path) -> Self {
        Self::start_over(lab, name, scenario, (hosts, "/etc/hosts"))
    }

    /// The same where `over.0` stands in the place of `over.1`.
    pub fn start_over(lab: &Lab, name: &str, scenario: &str, over: (&Path, &str)) -> Self {
        let file = lab.path().join(format!("{name}.toml"));
        fs::write(&file, scenario).expect("the directory is ours");
        let out = lab.path().join(name);
        let mut command = Command::new("unshare");
        let mount = format!("mount --bind \"$0\" {} && exec \"$@\"", over.1);
        command.args(["--mount", "sh", "-c", &mount]).arg(over.0).arg(flowfault());
        command.arg("run").arg(&file).arg("--out").arg(&out);
        Self::launch(lab, name, command, out, &[])
    }

    fn launch(
        lab: &Lab,
        name: &str,
        mut command: Command,
        out: PathBuf,
        env: &[(&str, &str)],
    ) -> Self {
        // Apps run as the user behind sudo, who could not enter root's temporary directory.
        for variable in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
            command.env_remove(variable);
        }
        command.envs(env.iter().copied());
        let base = lab.path().join(format!("{name}-flowfault"));
        let process = Process::start(command, &lab.near, &base);
        Self { process, out, objects: Objects::default() }
    }

    /// Waits for a line in an app's copied output.
    pub fn app_says(&mut self, app: &str, text: &str) {
        self.until(&format!("`{text}` from app {app}"), |run| run.app_output(app).contains(text));
    }

    /// What an app has written to stdout until now.
    pub fn app_output(&self, app: &str) -> String {
        let path = self.out.join(format!("apps/{app}.stdout"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits for a condition while the run goes on.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_for(what, Duration::from_secs(10), || {
            self.objects.add_those_of(self.process.pid());
            let ended = self.process.ended();
            assert!(ended.is_none(), "no {what}: {ended:?}\n{}", self.process.stderr());
            holds(self).then_some(())
        });
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, and until nothing of it is left.
    pub fn finish(mut self) -> Finished {
        let status = wait_for("end of the run", LIMIT, || {
            self.objects.add_those_of(self.process.pid());
            self.process.ended()
        });
        let stderr = self.process.stderr();
        let code = status.code().unwrap_or_else(|| panic!("flowfault: {status}\n{stderr}"));
        self.is_gone(FREED);
        let stdout = self.process.stdout();
        Finished { code, stdout, stderr, out: self.out, objects: self.objects }
    }

    /// Waits until the kernel and the file system know nothing of it any more.
    pub fn is_gone(&self, within: Duration) {
        let pid = self.process.pid();
        let deadline = std::time::Instant::now() + within * slow();
        loop {
            let (left, traces) = (self.objects.left(), traces_of(pid));
            if left == Objects::default() && traces.is_empty() {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "left behind: {left:?} {traces:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Finished {
    /// The report of a run that got as far as loading its programs.
    pub fn report(&self) -> Report {
        assert!(!self.objects.programs.is_empty(), "no program was ever seen: {self:#?}");
        assert!(!self.objects.links.is_empty(), "no link was ever seen: {self:#?}");
        read_report(&self.out).unwrap_or_else(|e| panic!("no report.json ({e}): {self:#?}"))
    }

    /// The report, after checking the exit code.
    pub fn expect(&self, code: i32) -> Report {
        let report = self.report();
        assert_eq!(self.code, code, "{:#?}\n{}\n{}", report.warnings, self.stderr, self.stdout);
        report
    }
}

fn read_report(out: &Path) -> Result<Report, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(out.join("report.json"))?)?)
}
