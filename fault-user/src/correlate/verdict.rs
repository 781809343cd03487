//! The contract's verdict table.

use super::attempts::{Attempt, Fate};
use super::{Facts, Gap};
use crate::ledger::flow::FlowRecord;
use crate::outcome::AppMessage;
use crate::verdict::{Outcome, Verdict};

/// A verdict and the attempt that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    /// Position among the attempts; `None` if no byte was ever handed to a socket.
    pub about: Option<usize>,
}

/// Judges a message by its attempts, in order of time, and by those of later outcome lines with
/// the same id.
pub(super) fn judge(outcome: Outcome, own: &[Attempt], later: &[&Attempt]) -> Judgement {
    let Some(first) = own.first() else {
        let verdict = word(outcome, Fate::Never);
        return Judgement { verdict, about: None };
    };
    let about = |i, verdict| Judgement { verdict, about: Some(i) };
    let earliest = (0..own.len()).filter(|&i| own[i].acked.is_some()).min_by_key(|&i| own[i].acked);
    let elsewhere = |a: &Attempt| a.flow.cookie != first.flow.cookie;
    if let Some(i) = earliest {
        let moved = first.acked.is_none() && elsewhere(&own[i]);
        return match outcome {
            Outcome::Ok if moved => about(0, Verdict::Rerouted),
            _ => about(i, word(outcome, own[i].fate)),
        };
    }
    if outcome != Outcome::None && later.iter().any(|a| a.acked.is_some() && elsewhere(a)) {
        return about(0, Verdict::Rerouted);
    }
    // The most that may still have happened decides: no failure is clean, and no loss proven,
    // while one attempt may have reached the peer.
    let with = |fate| own.iter().position(|a| a.fate == fate);
    let i = with(Fate::Open).or_else(|| with(Fate::Left)).unwrap_or(0);
    about(i, word(outcome, own[i].fate))
}

/// One cell of the table.
fn word(outcome: Outcome, fate: Fate) -> Verdict {
    match (outcome, fate) {
        (Outcome::None, _) => Verdict::Unlogged,
        (_, Fate::Open) => Verdict::Pending,
        (Outcome::Ok, Fate::InTime) => Verdict::Delivered,
        (Outcome::Ok, Fate::Late) => Verdict::Late,
        (Outcome::Ok, Fate::Left) => Verdict::Unconfirmed,
        (Outcome::Ok, Fate::Never) => Verdict::SilentLoss,
        (Outcome::Failed, Fate::InTime | Fate::Late) => Verdict::FalseFailure,
        (Outcome::Failed, Fate::Left) => Verdict::AmbiguousFailure,
        (Outcome::Failed, Fate::Never) => Verdict::CleanFailure,
    }
}

/// Whether the verdict on a message would rest on events that may be among the lost ones.
pub(super) fn in_gap(
    message: &AppMessage,
    own: &[Attempt],
    flows: &[&FlowRecord],
    known: impl Fn(u64) -> bool,
    facts: &Facts,
) -> bool {
    let acked = own.iter().any(|a| a.acked.is_some());
    if own.iter().any(|a| a.in_gap(message.t0, &facts.gaps)) {
        return true;
    }
    // What was over before the message began is its own only for want of a better one, which may be among the lost.
    let early = |a: &&Attempt| a.settled < message.t0;
    let meant = |g: &Gap, a: &Attempt| g.cookie.is_none_or(|c| c == a.flow.cookie);
    let hidden =
        |a: &Attempt| facts.gaps.iter().any(|g| meant(g, a) && g.meets(message.t0, message.t1));
    if own.iter().filter(early).any(hidden) {
        return true;
    }
    // What seems lost may have gone out on another socket of the app, even on one of which no
    // event at all is left.
    let could_hide = |cookie: u64| flows.iter().any(|f| f.cookie == cookie) || !known(cookie);
    !acked
        && facts
            .gaps
            .iter()
            .any(|g| g.cookie.is_none_or(could_hide) && g.meets(message.t0, message.t1))
}
