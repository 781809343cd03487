//! The JSON texts that go over the websockets.

use serde::{Deserialize, Serialize};

/// What a sender sends.
#[derive(Debug, Deserialize, Serialize)]
pub struct Message {
    pub id: String,
    pub body: String,
}

impl Message {
    /// A message whose body is `size` bytes of readable filler.
    pub fn new(id: &str, size: usize) -> Self {
        let body = ('a'..='z').cycle().take(size).collect();
        Self { id: id.to_owned(), body }
    }
}

/// What the server answers to a message.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// Received; `ack` is the message's id.
    Ack { ack: String },
    /// Not taken; `refused` is the message's id.
    Refused { refused: String, reason: String },
}

impl Reply {
    /// Id of the message this answers.
    pub fn id(&self) -> &str {
        match self {
            Self::Ack { ack } => ack,
            Self::Refused { refused, .. } => refused,
        }
    }
}
