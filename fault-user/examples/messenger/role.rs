//! The two websockets of a sender.

use std::fmt;

use serde::Serialize;

/// Which of the two websockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The server knows who sends.
    Identified,
    /// The server does not.
    Unidentified,
}

impl Role {
    const ALL: [Self; 2] = [Self::Identified, Self::Unidentified];

    /// Path of the websocket request.
    pub fn path(self) -> &'static str {
        match self {
            Self::Identified => "/v1/identified",
            Self::Unidentified => "/v1/unidentified",
        }
    }

    /// The role whose websockets are requested under this path.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.path() == path)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identified => "identified",
            Self::Unidentified => "unidentified",
        })
    }
}
