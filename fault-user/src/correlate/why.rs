//! A verdict in one line that a tired person understands.

use super::attempts::{Attempt, Fate};
use super::cause::Reason;
use super::names::Names;
use crate::ledger::datagrams::UDP;
use crate::outcome::AppMessage;
use crate::verdict::{Cause, Outcome};

/// The evidence on one attempt: what happened to its bytes, and how that ended. `now`: the run's
/// end, ns.
pub(super) fn attempt(a: &Attempt, reason: Reason, names: &Names, now: u64) -> String {
    let cut = if a.complete { String::new() } else { cut_off(a) };
    if a.range.is_empty() {
        return cut;
    }
    let parts = [cut, bytes(a, reason, names), ending(a, now)];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What the app said of a message.
pub(super) fn said(message: &AppMessage) -> String {
    match message.outcome {
        Outcome::Ok => "the app said sent".to_owned(),
        Outcome::Failed => "the app said failed".to_owned(),
        Outcome::None => format!("the app said `{}`, which is neither", message.raw_status),
    }
}

fn cut_off(a: &Attempt) -> String {
    let wrote = match a.written {
        0 => "no byte of it was written".to_owned(),
        n => format!("only {n} bytes of it were written"),
    };
    match a.errno {
        Some(errno) => format!("{wrote}, the send call failed with {}", errno_name(errno)),
        None => wrote,
    }
}

fn errno_name(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

fn bytes(a: &Attempt, reason: Reason, names: &Names) -> String {
    let what = format!("bytes {}..{}", a.range.start, a.range.end);
    let by = reason.rule.map(|r| format!(" by {}", names.rule_in_words(r))).unwrap_or_default();
    match reason.cause {
        Cause::Hit => hit(a, &what, &by),
        Cause::SenderBlocked => {
            format!("the send call for {what} blocked behind bytes that were not acknowledged")
        }
        Cause::AckPath => {
            format!("{what} got through, but packets that acknowledged them were dropped{by}")
        }
        Cause::HeadOfLine if a.first_tx.is_none() => {
            format!("{what} never had a packet: they waited behind bytes that were held up{by}")
        }
        Cause::HeadOfLine => format!("{what} waited behind earlier bytes that were dropped{by}"),
        Cause::Untouched if a.first_tx.is_none() && a.acked.is_none() => {
            format!("{what} never had a packet")
        }
        Cause::Untouched => format!("{what} were not touched by any fault"),
    }
}

fn hit(a: &Attempt, what: &str, by: &str) -> String {
    let (drops, all) = (a.drops, a.drops + a.passes);
    match (drops, all) {
        (1, 1) => format!("the only copy of {what} was dropped{by}"),
        _ if drops == all => format!("all {all} copies of {what} were dropped{by}"),
        _ => format!("{drops} of {all} copies of {what} were dropped{by}"),
    }
}

fn ending(a: &Attempt, now: u64) -> String {
    let after = |ts: u64| seconds(ts.saturating_sub(a.begun));
    if let Some(at) = a.acked {
        return format!("acknowledged after {}", after(at));
    }
    match (a.flow.closed, a.fate) {
        (_, Fate::Never) if !a.complete || a.flow.proto == UDP => String::new(),
        _ if a.flow.proto == UDP => "UDP does not say what arrived".to_owned(),
        (Some(at), _) => format!("the socket closed {} later without an ack", after(at)),
        (None, Fate::Never | Fate::Left) => {
            format!("the run ended {} later with the fault still on, without an ack", after(now))
        }
        (None, _) => format!("still without an ack when the run ended {} later", after(now)),
    }
}

/// Time in the unit that suits it.
fn seconds(ns: u64) -> String {
    match ns as f64 / 1e6 {
        ms if ms < 1_000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}
