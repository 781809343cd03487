//! The line that tells what became of a message.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::console::say;
use super::policy::Status;
use super::role::Role;

/// What became of one message.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub id: String,
    pub status: Status,
    /// From the first act for this message to the moment before the line is written.
    #[serde(serialize_with = "milliseconds", rename = "elapsed_ms")]
    pub elapsed: Duration,
    /// Length of the websocket payload.
    pub bytes: usize,
    /// The websocket the status is about: the last one tried.
    pub via: Role,
    /// Every websocket tried, in order.
    pub attempts: Vec<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Outcome {
    /// Writes the line to stdout.
    ///
    /// # Errors
    /// stdout is closed.
    pub fn report(&self) -> Result<()> {
        let line = serde_json::to_string(self).context("cannot encode an outcome")?;
        say(line).context("cannot write the outcome to stdout")
    }
}

/// To the microsecond: what lies below is noise.
fn milliseconds<S: serde::Serializer>(elapsed: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(elapsed.as_micros() as f64 / 1000.0)
}
