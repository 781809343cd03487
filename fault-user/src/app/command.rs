//! Programs as they are started: in their cgroup, in a process group of their own, as their user.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::cgroup::AppCgroup;
use super::user::{self, Identity};
use super::{AppError, Supervisor};

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
        settle(&mut command, &self.commands, user::resolve("exec", None)?.as_ref())?;
        command.spawn().map_err(AppError::io(what()))
    }
}

/// Makes the command join the cgroup, take a process group of its own (Ctrl-C is the controller's
/// to handle) and become the user: in this order, for the first needs privileges.
pub(super) fn settle(
    command: &mut Command,
    cgroup: &AppCgroup,
    identity: Option<&Identity>,
) -> Result<(), AppError> {
    if let Some(identity) = identity {
        command.env("HOME", &identity.home).env("USER", &identity.name);
        command.env("LOGNAME", &identity.name);
    }
    let procs = cgroup.procs()?;
    let identity = identity.cloned();
    command.process_group(0);
    // SAFETY: between fork and exec only a write to an open descriptor and the set*id calls are
    // made; the groups were looked up before the fork.
    unsafe {
        command.pre_exec(move || {
            (&procs).write_all(b"0")?;
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
