//! One sample: a client, alone or under flowfault.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fault_user::report::model::Report;
use serde_json::Value;

use super::lab::Lab;
use super::scenario::{self, Conditions};
use crate::server::DECOY;

/// The longest that a sample may take; an emulated guest loads the programs for ten seconds.
const LIMIT: Duration = Duration::from_secs(90);

/// What a client said, and what flowfault reported if it was there.
pub struct Sample {
    said: Value,
    pub report: Option<Report>,
}

impl Sample {
    /// A number that the client says.
    ///
    /// # Errors
    /// It does not.
    pub fn number(&self, key: &str) -> Result<f64> {
        self.said[key].as_f64().with_context(|| format!("the client says no {key}: {}", self.said))
    }

    /// The port of the client.
    ///
    /// # Errors
    /// It does not say it.
    pub fn port(&self) -> Result<u16> {
        Ok(self.number("port")? as u16)
    }
}

/// Takes a sample without flowfault, or under these conditions.
///
/// # Errors
/// Anything did not go as it should: such a sample is worth nothing.
pub fn take(lab: &Lab, under: Option<&Conditions>, work: &str) -> Result<Sample> {
    match under {
        None => direct(lab, work),
        Some(conditions) => faulted(lab, conditions, work),
    }
}

/// Takes a sample of a client that is none of flowfault's, while that is at work on another.
///
/// # Errors
/// As [`take`].
pub fn beside(lab: &Lab, conditions: &Conditions, work: &str) -> Result<Sample> {
    let stop = lab.file("stop");
    let mut run = Run::start(lab, conditions, &format!("idle {}", stop.display()))?;
    let sample = run.until_go(lab).and_then(|()| direct(lab, work));
    fs::write(&stop, "").context("cannot stop the client")?;
    let done = run.finish(lab);
    fs::remove_file(&stop)?;
    let sample = sample?;
    Ok(Sample { report: Some(done?), ..sample })
}

fn direct(lab: &Lab, work: &str) -> Result<Sample> {
    let command = client(None, false, work)?;
    let (program, words) = command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(words).stdout(Stdio::piped());
    lab.near.put(&mut command)?;
    let out = command.spawn()?.wait_with_output()?;
    ensure!(out.status.success(), "the client without flowfault: {}", out.status);
    Ok(Sample { said: json_line(&String::from_utf8_lossy(&out.stdout))?, report: None })
}

fn faulted(lab: &Lab, conditions: &Conditions, work: &str) -> Result<Sample> {
    let report = Run::start(lab, conditions, work)?.finish(lab)?;
    let said = fs::read_to_string(lab.file("out/apps/client.stdout"))?;
    Ok(Sample { said: json_line(&said)?, report: Some(report) })
}

/// The command line of a client.
fn client(go: Option<&Path>, decoy: bool, work: &str) -> Result<Vec<String>> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut words = vec![own.display().to_string(), "client".into()];
    if let Some(go) = go {
        words.extend(["--go".into(), go.display().to_string()]);
    }
    if decoy {
        words.extend(["--decoy".into(), DECOY.to_string()]);
    }
    words.extend(work.split_whitespace().map(str::to_owned));
    Ok(words)
}

fn json_line(text: &str) -> Result<Value> {
    let line = text.lines().find(|line| line.starts_with('{'));
    let line = line.with_context(|| format!("the client says nothing: {text:?}"))?;
    serde_json::from_str(line).context("the client prints no JSON")
}

/// A flowfault at work.
struct Run {
    child: Child,
}

impl Run {
    fn start(lab: &Lab, conditions: &Conditions, work: &str) -> Result<Self> {
        let go = lab.file("go");
        if go.exists() {
            fs::remove_file(&go)?;
        }
        let command = client(Some(&go), conditions.decoy, work)?;
        let file = lab.file("bench.toml");
        fs::write(&file, scenario::text(conditions, &command, &go, LIMIT))?;
        let mut command = Command::new(&lab.flowfault);
        command.arg("run").arg(&file).arg("--out").arg(lab.file("out"));
        command.args(["--overwrite", "--quiet"]).stdin(Stdio::null());
        command.args(conditions.every_packet.then_some("--every-packet"));
        command.stdout(Stdio::null()).stderr(fs::File::create(lab.file("stderr"))?);
        // Apps run as the user behind sudo, who could not enter root's temporary directory.
        for variable in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
            command.env_remove(variable);
        }
        lab.near.put(&mut command)?;
        let program = lab.flowfault.display();
        Ok(Self { child: command.spawn().with_context(|| format!("cannot start {program}"))? })
    }

    /// Waits until the fault is armed.
    fn until_go(&mut self, lab: &Lab) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while !lab.file("go").exists() {
            let ended = self.child.try_wait()?;
            ensure!(ended.is_none(), "flowfault ended early: {}", said(lab));
            ensure!(Instant::now() < end, "flowfault is not ready after {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end, which has to be a good one.
    fn finish(mut self, lab: &Lab) -> Result<Report> {
        // `duration` ends the run; this is for what comes before and after.
        let end = Instant::now() + 2 * LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= end {
                bail!("flowfault does not end: {}", said(lab));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        ensure!(status.success(), "flowfault: {status}: {}", said(lab));
        let report = fs::read_to_string(lab.file("out/report.json"))?;
        serde_json::from_str(&report).context("report.json is no report")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The kernel takes what it had attached off, its janitor the rest.
            if let Err(e) = self.child.kill().and_then(|()| self.child.wait()) {
                eprintln!("a flowfault still runs: {e}");
            }
        }
    }
}

fn said(lab: &Lab) -> String {
    fs::read_to_string(lab.file("stderr")).unwrap_or_default().trim().to_owned()
}
