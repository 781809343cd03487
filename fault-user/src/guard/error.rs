//! Why a fault cannot be armed, or was not met.

use std::io;
use std::time::Duration;

use super::Counts;
use crate::act::ActError;
use crate::experiment::RunError;
use crate::experiment::lay::LayError;
use crate::kernel::KernelError;
use crate::scenario::ScenarioErrors;

/// See the messages.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The socket does not tell what is asked of it.
    #[error("cannot {what} of the stream: {source}")]
    Stream {
        /// What was asked.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Neither TCP nor UDP.
    #[error(
        "this socket is neither TCP nor UDP over IPv4 or IPv6, and only such sockets can be guarded"
    )]
    Protocol,
    /// UDP, and it has sent nothing yet.
    #[error("the socket has no port yet: bind it, with port 0 to any, before arming the fault")]
    NotBound,
    /// It has no peer.
    #[error("the stream is not connected: arm the fault after connect() or accept() has returned")]
    NotConnected,
    /// It lives where this thread does not.
    #[error(
        "the stream is in another network namespace than this thread: arm the fault on a thread that has \
         entered that one (setns(2))"
    )]
    Elsewhere,
    /// The faults are not what a scenario may say.
    #[error("{}", .0.for_stderr())]
    Fault(#[from] ScenarioErrors),
    /// A fault that a guard cannot carry out.
    #[error("`{fault}` cannot be guarded: {why}")]
    Unavailable {
        /// As a scenario says it.
        fault: String,
        /// Why, and what to do instead.
        why: &'static str,
    },
    /// It lives on.
    #[error("the stream did not take its reset: {why}")]
    NotReset {
        /// Why that may be, and what to do instead.
        why: &'static str,
    },
    /// Too many at a time.
    #[error(
        "{count} {what} at a time are as many as one process can have: drop some guards before arming this one"
    )]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        count: usize,
    },
    /// This kernel, or these privileges.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The delay line, or other things of a run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The rules were refused.
    #[error("cannot arm the fault: {0}")]
    Lay(#[from] LayError),
    /// The connection itself could not be acted on.
    #[error(transparent)]
    Act(#[from] ActError),
    /// A condition that was waited for did not come.
    #[error("after {within:?} still not so: {what}. Counted until now: {counts:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// The counters at the end.
        counts: Box<Counts>,
    },
    /// Something of the system.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl GuardError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// Whether it is a matter of this machine: privileges, kernel features, devices. A test may then be skipped; any
    /// other error is one of the test, or of flowfault.
    pub fn is_machine(&self) -> bool {
        match self {
            Self::Kernel(e) => is_machine(e),
            Self::Run(RunError::Kernel(e)) => is_machine(e),
            Self::Run(RunError::Line { .. }) => true,
            Self::Run(RunError::Io { source, .. }) | Self::Io { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Run(RunError::Act(e)) | Self::Act(e) => {
                matches!(e, ActError::Privilege { .. } | ActError::Missing { .. })
            }
            _ => false,
        }
    }
}

fn is_machine(e: &KernelError) -> bool {
    matches!(e, KernelError::Privilege { .. } | KernelError::Missing { .. } | KernelError::NoBtf(_))
}
