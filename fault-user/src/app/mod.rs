//! Apps under test: started in cgroups of their own, their output read with the kernel's time of
//! each write, ended when the run is.

mod attached;
pub mod cgroup;
mod command;
pub mod hold;
pub mod output;
mod stopping;
pub mod supervisor;
mod tail;
mod user;

pub use attached::Attached;
pub use supervisor::{AppEvent, Supervisor};

/// What can go wrong with apps and their surroundings.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no cgroup2 hierarchy to be had.
    #[error(
        "no cgroup2 hierarchy: none is mounted, and mounting one failed ({source}). Mount it with `mount -t cgroup2 none DIR`"
    )]
    NoCgroup2 {
        /// Why it could not be mounted.
        source: std::io::Error,
    },
    /// An operation on files, cgroups or sockets.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The program could not be started.
    #[error("cannot start app `{app}` (`{program}`): {source}. Its directory is {cwd}")]
    Start {
        /// Name of the app.
        app: String,
        /// Its program.
        program: String,
        /// Its working directory.
        cwd: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A step starts an app that has not ended.
    #[error(
        "cannot start app `{app}`: it still runs ({}). Let a step stop it first, and start it once it has ended", .pids.iter().map(|p| format!("process {p}")).collect::<Vec<_>>().join(", ")
    )]
    StillRuns {
        /// Name of the app.
        app: String,
        /// What runs of it.
        pids: Vec<i32>,
    },
    /// Something does not go away.
    #[error(
        "{name} is still there 3 s after SIGKILL (processes {pids:?}): they wait for a device, or a debugger holds them; see /proc/PID/stack"
    )]
    Unkillable {
        /// Name of the app, or `@commands`.
        name: String,
        /// What is left.
        pids: Vec<i32>,
    },
    /// sudo has not said whom to run as.
    #[error(
        "cannot run programs as the user behind sudo: {name} is {found}. Unset SUDO_UID to run them as root, or set both SUDO_UID and SUDO_GID to numbers"
    )]
    Sudo {
        /// Which variable.
        name: &'static str,
        /// What it holds.
        found: String,
    },
    /// There is no such user.
    #[error("app `{app}`: there is no user `{user}` on this machine")]
    NoUser {
        /// Name of the app.
        app: String,
        /// The name or uid.
        user: String,
    },
}

impl AppError {
    /// As [`Self::io`], for calls of nix.
    pub(crate) fn io_of(what: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let io = Self::io(what);
        move |e| io(e.into())
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
