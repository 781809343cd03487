//! Starting other programs: plainly, with a deadline, and as root.

use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::on_path;

/// This machine cannot do it: exit code 3. The text says what to do about it.
#[derive(Debug)]
pub struct Unable(pub String);

impl std::fmt::Display for Unable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unable {}

/// A program that ran and said no: its exit code becomes ours.
#[derive(Debug)]
pub struct Failed {
    command: String,
    code: u8,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` failed with exit code {}", self.command, self.code)
    }
}

impl std::error::Error for Failed {}

/// The exit code for an error: 3 if the machine cannot, a failed program's own, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Unable>().is_some() {
        return 3;
    }
    error.downcast_ref::<Failed>().map_or(1, |failed| failed.code)
}

/// The exit code of a shell for this status: 128 plus the number of the signal that ended it.
pub fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|n| 128 + n));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Runs a command to its end; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(Failed { command: shown(command), code: code_of(status) }.into())
}

/// Runs a command, and kills it when it takes longer than `limit`.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", shown(command)))?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("`{}` failed", shown(command));
        }
        if Instant::now() >= end {
            child.kill().context("cannot end a command that takes too long")?;
            child.wait()?;
            bail!("`{}` took more than {} s", shown(command), limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A command as it would be typed.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// How to get root's privileges here.
#[derive(Clone, Copy)]
pub enum Raise {
    /// We are root.
    Root,
    /// sudo does it without a question, now at least.
    Sudo,
}

impl Raise {
    /// Finds out, and lets sudo ask for the password if there is a terminal. Asked for here, a
    /// refused password cannot be taken for the exit code of what runs afterwards.
    ///
    /// # Errors
    /// [`Unable`] if there is no way; `what` says what needs root.
    pub fn find(what: &str) -> Result<Self> {
        if is_root()? {
            return Ok(Self::Root);
        }
        let unable =
            || Unable(format!("{what} needs root, and sudo does not give it: run as root"));
        if on_path("sudo").is_none() {
            return Err(unable().into());
        }
        let quiet = |args: &[&str]| {
            Command::new("sudo")
                .args(args)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        };
        if quiet(&["-n", "true"]) {
            return Ok(Self::Sudo);
        }
        if std::io::stdin().is_terminal() {
            eprintln!("{what} needs root:");
            if Command::new("sudo").arg("-v").status().is_ok_and(|s| s.success()) {
                return Ok(Self::Sudo);
            }
        }
        Err(unable().into())
    }

    /// A command that runs `program` as root with our environment.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.args(["-n", "-E", "--"]).arg(program);
                sudo
            }
        }
    }
}

/// Whether the effective user is root. From /proc, since std does not say it.
fn is_root() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")
        .context("cannot read /proc/self/status to learn who runs this: is /proc mounted?")?;
    effective_uid(&status).map(|uid| uid == 0).context("/proc/self/status has no Uid line")
}

fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_uid_is_the_second_number() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t1000\t0\t1000\t1000\n"), Some(0));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }

    #[test]
    fn a_signal_counts_from_128() {
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(code_of(ExitStatus::from_raw(4 << 8)), 4);
    }

    #[test]
    fn a_hanging_command_is_ended() {
        let start = Instant::now();
        let done = run_within(Command::new("sleep").arg("30"), Duration::from_millis(200));
        assert!(done.unwrap_err().to_string().contains("took more than"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_machine_s_lack_is_exit_code_3_even_inside_context() {
        let error = anyhow::Error::from(Unable("no root".into())).context("cannot run");
        assert_eq!(exit_code(&error), 3);
    }
}
