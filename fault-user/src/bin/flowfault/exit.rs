//! Exit codes (contract, section 1) and the last words before them.

use std::borrow::Cow;
use std::process::ExitCode;

use fault_user::audit::AuditError;
use fault_user::chain;
use fault_user::experiment::RunError;
use fault_user::report::model::{Report, RunResult};
use fault_user::report::write::Error as WriteError;
use fault_user::scenario::LoadError;
use fault_user::sockets::SocketsError;

use crate::out;

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u8);

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        code.0.into()
    }
}

/// Done, and every expectation held.
pub const DONE: Code = Code(0);
/// At least one expectation failed.
pub const FAILED: Code = Code(1);
/// Bad usage or bad scenario file.
pub const USAGE: Code = Code(2);
/// This machine cannot do it.
pub const MACHINE: Code = Code(3);
/// The run itself failed.
pub const RUN: Code = Code(4);

/// An error of the command line that clap cannot know of; says what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub Cow<'static, str>);

/// The code of a command that a signal has ended.
pub fn signalled(signal: i32) -> Code {
    Code(128 + signal as u8)
}

/// The code of a finished run.
pub fn of(report: &Report, signal: Option<i32>) -> Code {
    match report.result {
        RunResult::Passed => DONE,
        RunResult::Failed => FAILED,
        RunResult::Error => RUN,
        RunResult::Interrupted => signalled(signal.unwrap_or(libc::SIGINT)),
    }
}

/// Says on stderr what went wrong and what to do; returns its code.
pub fn explain(error: &anyhow::Error) -> Code {
    if let Some(LoadError::Invalid(errors)) = error.downcast_ref() {
        out::message(&errors.for_stderr());
        return USAGE;
    }
    out::message(&format!("flowfault: {}\n", chain::told(error.as_ref())));
    if error.is::<LoadError>() || error.is::<BadUsage>() {
        return USAGE;
    }
    if let Some(e) = error.downcast_ref::<SocketsError>() {
        return if e.is_usage() { USAGE } else { MACHINE };
    }
    let written = match error.downcast_ref() {
        Some(AuditError::Report(e)) => Some(e),
        Some(AuditError::Open { .. }) => return USAGE,
        Some(AuditError::Read { .. }) => return RUN,
        None => error.downcast_ref::<WriteError>(),
    };
    match written {
        Some(WriteError::Occupied(_) | WriteError::Missing(_)) => return USAGE,
        Some(_) => return RUN,
        None => {}
    }
    match error.downcast_ref() {
        Some(RunError::Plan(_)) => USAGE,
        Some(RunError::Attach(e)) if e.is_usage() => USAGE,
        Some(RunError::Attach(e)) if e.is_machine() => MACHINE,
        Some(RunError::Kernel(_) | RunError::Io { .. }) => MACHINE,
        Some(RunError::NoDirectory) => USAGE,
        Some(RunError::App(_) | RunError::Act(_) | RunError::Line { .. }) => MACHINE,
        Some(RunError::Attach(_) | RunError::Resolve { .. }) | None => RUN,
    }
}
