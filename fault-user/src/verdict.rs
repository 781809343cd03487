//! What the app said beside what the kernel saw: the words of the contract's verdict table.

use serde::{Deserialize, Serialize};

/// What an app said about one send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Failed,
    /// It said nothing (or a status that the scenario does not name).
    None,
}

/// What became of one send (contract, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Delivered,
    Late,
    Rerouted,
    SilentLoss,
    Unconfirmed,
    FalseFailure,
    CleanFailure,
    AmbiguousFailure,
    Pending,
    Unlogged,
    Unknown,
}

impl Verdict {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Delivered,
        Self::Late,
        Self::Rerouted,
        Self::SilentLoss,
        Self::Unconfirmed,
        Self::FalseFailure,
        Self::CleanFailure,
        Self::AmbiguousFailure,
        Self::Pending,
        Self::Unlogged,
        Self::Unknown,
    ];

    /// The word that scenario files and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Late => "late",
            Self::Rerouted => "rerouted",
            Self::SilentLoss => "silent_loss",
            Self::Unconfirmed => "unconfirmed",
            Self::FalseFailure => "false_failure",
            Self::CleanFailure => "clean_failure",
            Self::AmbiguousFailure => "ambiguous_failure",
            Self::Pending => "pending",
            Self::Unlogged => "unlogged",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a send fared as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No fault had a part in it.
    Untouched,
    /// A packet of its own was faulted.
    Hit,
    /// It waited behind bytes that were.
    HeadOfLine,
    /// Its bytes got through, the way back was faulted.
    AckPath,
    /// The send call itself blocked.
    SenderBlocked,
}

/// How sure the byte range of a send is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Exact,
    /// Several threads on one socket, or several messages that share their sends.
    Overlap,
    /// Events were lost around it.
    Gap,
}
