//! Apps under test: started in cgroups of their own, their output read with the kernel's time of
//! each write, ended when the run is.

pub mod cgroup;
pub mod output;
pub mod supervisor;
mod tail;
mod user;

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
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
