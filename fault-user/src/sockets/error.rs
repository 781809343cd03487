//! What can go wrong with a look at the sockets.

use std::io;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The kernel has no socket diagnosis.
    #[error(
        "this kernel cannot list its sockets ({protocol}): load the modules tcp_diag and udp_diag, or use a kernel with CONFIG_INET_DIAG and CONFIG_INET_UDP_DIAG"
    )]
    NoDiagnosis {
        /// Which sockets were asked for.
        protocol: &'static str,
    },
    /// A call failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried, on what.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel's answer does not make sense.
    #[error(
        "cannot read the kernel's list of sockets: {reason}. Please report this with the output of `flowfault doctor`"
    )]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// No process is what was asked for.
    #[error("{asked}: there is no such process. {remedy}")]
    NoProcess {
        /// The option, as it was given.
        asked: String,
        /// How to find the right one.
        remedy: String,
    },
    /// More than one process is.
    #[error("{asked} is {} processes; name one of them with --pid:\n{}", candidates.len(), candidates.join("\n"))]
    Ambiguous {
        /// The option, as it was given.
        asked: String,
        /// One line for each: pid, name, command line.
        candidates: Vec<String>,
    },
    /// The pattern of a process is not a regular expression.
    #[error(
        "--process {pattern}: no process has this name, and it is no regular expression either: {reason}"
    )]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SocketsError {
    /// Whether other arguments would help, rather than another machine or a second try.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoProcess { .. } | Self::Ambiguous { .. } | Self::Pattern { .. })
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
