//! What the app says became of its sends: its own lines, read as the scenario describes them.
//!
//! A line that is no outcome is nothing, however it looks; a line that is one but cannot be used is
//! an [`OutcomeWarning`], because a message that silently disappears would falsify the verdicts.

#![expect(missing_docs, reason = "fields and variants whose name says it all")]

mod json;
mod parser;
mod regex;
mod scalar;
mod time;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::verdict::Outcome;
pub use parser::OutcomeParser;

/// One send, as the app tells it. Times are CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppMessage {
    /// App index of the plan.
    pub app: u32,
    pub id: String,
    pub outcome: Outcome,
    /// The status as it stands in the line.
    pub raw_status: String,
    /// When the app began, and when it knew.
    pub t0: u64,
    pub t1: u64,
    /// Payload size, if the app tells it.
    pub bytes: Option<u64>,
    /// Whether the app gave `t0`; else it is the moment of its previous outcome line.
    pub timing_given: bool,
    /// How far `t0` and `t1` may be off because the app rounds its times, ns.
    pub resolution: u64,
    /// The message that it repeats, if the app gives each try an id of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
}

/// What one line came to; both are `None` for a line that is no outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    pub message: Option<AppMessage>,
    pub warning: Option<OutcomeWarning>,
}

/// Why an outcome line is not, or not fully, what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutcomeWarning {
    #[error(
        "a line with the id `{id}` has no `{field}`, which an outcome has: if it is one, check [app.outcomes]; others \
         without it are not told of"
    )]
    Missing { id: String, field: String },
    #[error("outcome line of `{id}`: `{field}` = `{value}` is no {want}, check [app.outcomes]")]
    Bad { id: String, field: String, value: String, want: &'static str },
    #[error(
        "status `{status}` (first seen at `{id}`) is neither in `ok` nor in `failed`: such sends count as without an outcome"
    )]
    UnknownStatus { id: String, status: String },
    #[error("outcome line of `{id}`: it finished before it started; the line is not counted")]
    Backwards { id: String },
}

#[cfg(test)]
mod tests;
