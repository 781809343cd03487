//! What follows from the outcome of one attempt: the policy under suspicion, and its repair.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use super::role::Role;

/// What sends a message over the identified websocket after an attempt on the unidentified one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// Only the server's refusal
    Refusal,
    /// A refusal, a transport error or a time-out
    AnyError,
}

/// How one attempt on one websocket went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The local kernel accepted all bytes; nothing more is known.
    Written,
    /// The server confirmed the message.
    Confirmed,
    /// The server refused the message, with its reason.
    Refused(String),
    /// Time ran out; the message may or may not arrive.
    TimedOut(String),
    /// The websocket broke under the attempt.
    Broken(String),
    /// There was no live websocket to try, and why.
    Unavailable(String),
}

impl Attempt {
    /// Whether the message counts as sent.
    pub fn succeeded(&self) -> bool {
        matches!(self, Self::Written | Self::Confirmed)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written => f.write_str("written"),
            Self::Confirmed => f.write_str("confirmed"),
            Self::Refused(reason) => write!(f, "refused by the server: {reason}"),
            Self::TimedOut(what) => write!(f, "timed out: {what}"),
            Self::Broken(reason) => write!(f, "websocket broke: {reason}"),
            Self::Unavailable(reason) => write!(f, "websocket unavailable: {reason}"),
        }
    }
}

/// What the sender claims about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted by the local kernel.
    Sent,
    /// Confirmed by the server.
    Ok,
    /// A websocket was broken or not there.
    Error,
    /// No answer, or no room in the socket buffer, in time.
    Timeout,
    /// Refused by the server, and no fallback was left.
    Refused,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The message is dealt with.
    Report(Status),
    /// Try the identified websocket.
    FallBack,
}

/// Decides what follows an attempt on the websocket of `role`.
pub fn next(fallback: Fallback, role: Role, attempt: &Attempt) -> Next {
    let status = match attempt {
        Attempt::Written => return Next::Report(Status::Sent),
        Attempt::Confirmed => return Next::Report(Status::Ok),
        Attempt::Refused(_) => Status::Refused,
        Attempt::TimedOut(_) => Status::Timeout,
        Attempt::Broken(_) | Attempt::Unavailable(_) => Status::Error,
    };
    let may_fall_back = status == Status::Refused || fallback == Fallback::AnyError;
    if role == Role::Unidentified && may_fall_back { Next::FallBack } else { Next::Report(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Attempt {
        Attempt::Refused("full".into())
    }

    /// The attempts that fail without a word from the server, with the status they end in.
    fn transport_failures() -> [(Attempt, Status); 3] {
        [
            (Attempt::TimedOut("5s".into()), Status::Timeout),
            (Attempt::Broken("reset".into()), Status::Error),
            (Attempt::Unavailable("reconnecting".into()), Status::Error),
        ]
    }

    #[test]
    fn success_is_final_on_either_websocket_under_either_policy() {
        for fallback in [Fallback::Refusal, Fallback::AnyError] {
            for role in [Role::Identified, Role::Unidentified] {
                let written = next(fallback, role, &Attempt::Written);
                assert_eq!(written, Next::Report(Status::Sent));
                let confirmed = next(fallback, role, &Attempt::Confirmed);
                assert_eq!(confirmed, Next::Report(Status::Ok));
            }
        }
    }

    #[test]
    fn a_refusal_falls_back_under_either_policy() {
        for fallback in [Fallback::Refusal, Fallback::AnyError] {
            let act = next(fallback, Role::Unidentified, &refused());
            assert_eq!(act, Next::FallBack, "{fallback:?}");
        }
    }

    #[test]
    fn refusal_only_reports_transport_failures() {
        for (attempt, status) in transport_failures() {
            let act = next(Fallback::Refusal, Role::Unidentified, &attempt);
            assert_eq!(act, Next::Report(status), "{attempt}");
        }
    }

    #[test]
    fn any_error_falls_back_on_transport_failures() {
        for (attempt, _) in transport_failures() {
            let act = next(Fallback::AnyError, Role::Unidentified, &attempt);
            assert_eq!(act, Next::FallBack, "{attempt}");
        }
    }

    #[test]
    fn nothing_follows_the_identified_websocket() {
        for fallback in [Fallback::Refusal, Fallback::AnyError] {
            let act = next(fallback, Role::Identified, &refused());
            assert_eq!(act, Next::Report(Status::Refused));
            for (attempt, status) in transport_failures() {
                let act = next(fallback, Role::Identified, &attempt);
                assert_eq!(act, Next::Report(status), "{fallback:?} {attempt}");
            }
        }
    }
}
