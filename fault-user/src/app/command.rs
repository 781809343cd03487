//! Programs as they are started: in their cgroup, in a process group of their own, as their user.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child, Command};

use super::cgroup::AppCgroup;
use super::user::{self, Identity};
use super::{AppError, Supervisor};
use crate::netns::Netns;

impl Supervisor {
    /// Starts a command of a step: as the invoking user, in `cwd`, its output in `log`.
    ///
    /// # Errors
    /// The program cannot be started or the file not made; both are named.
    pub fn command(&self, argv: &[String], cwd: &Path, log: &Path) -> Result<Child, AppError> {
        let what = || format!("run {argv:?} in {}", cwd.display());
        let file = File::create(log).map_err(AppError::io(format!("write {}", log.display())))?;
        let copy = file.try_clone().map_err(AppError::io(what()))?;
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(cwd).stdin(Stdio::null()).stdout(file).stderr(copy);
        let user = user::resolve("exec", None)?;
        settle(&mut command, &self.commands, self.home.as_ref(), user.as_ref())?;
        command.spawn().map_err(AppError::io(what()))
    }
}

/// Makes the command join the cgroup, go home, take a process group of its own (Ctrl-C is the controller's
/// to handle) and become the user: in this order, for the first two need privileges.
pub(super) fn settle(
    command: &mut Command,
    cgroup: &AppCgroup,
    home: Option<&Arc<Netns>>,
    identity: Option<&Identity>,
) -> Result<(), AppError> {
    if let Some(identity) = identity {
        command.env("HOME", &identity.home).env("USER", &identity.name);
        command.env("LOGNAME", &identity.name);
    }
    let procs = cgroup.procs()?;
    let (home, identity) = (home.cloned(), identity.cloned());
    command.process_group(0);
    // SAFETY: between fork and exec only a write to an open descriptor, setns and the set*id
    // calls are made; the groups were looked up before the fork.
    unsafe {
        command.pre_exec(move || {
            (&procs).write_all(b"0")?;
            home.as_ref().map_or(Ok(()), |home| home.enter())?;
            identity.as_ref().map_or(Ok(()), become_user)
        });
    }
    Ok(())
}

fn become_user(id: &Identity) -> io::Result<()> {
    nix::unistd::setgroups(&id.groups)?;
    nix::unistd::setgid(id.gid)?;
    nix::unistd::setuid(id.uid)?;
    Ok(())
}
