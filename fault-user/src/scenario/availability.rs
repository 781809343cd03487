//! What the format has and this version does not do yet: recognised, and refused by name.
//!
//! A later version removes rows (and reads the key); nothing else knows about this list.

use super::diagnostic::Problem;
use super::tree::Place;

/// The kind of table that a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The top of the file.
    Top,
    /// `[[app]]`.
    App,
    /// `[app.outcomes]`.
    Outcomes,
    /// `[[flow]]`.
    Flow,
    /// `[[step]]`.
    Step,
    /// An entry of `faults`.
    Fault,
    /// The table behind `drop`.
    Drop,
    /// `[[expect]]`.
    Expect,
    /// Any smaller table.
    Inner,
}

/// One key, or one value of a key.
struct Row {
    scope: Scope,
    key: &'static str,
    /// `None`: the key as such.
    value: Option<&'static str>,
    instead: &'static str,
}

const fn key(scope: Scope, key: &'static str, instead: &'static str) -> Row {
    Row { scope, key, value: None, instead }
}

const fn value(scope: Scope, key: &'static str, value: &'static str, instead: &'static str) -> Row {
    Row { scope, key, value: Some(value), instead }
}

const ATTACH: &str = "this version starts its apps itself: give the `[[app]]` a `command`";
const SELECT: &str = "this version picks flows by `remote`, `nth`, `local` and `opened_after`";
const FAULT: &str = "the fault of this version is `drop`";
const LOSS: &str =
    "this version has a probability, `{ every = N }`, `{ nth = [..] }` and `{ first = N }`";
const COUNT: &str = "this version counts `packets`, `bytes`, `dropped` and `retransmits`";

const UNAVAILABLE: &[Row] = &[
    key(Scope::App, "pid", ATTACH),
    key(Scope::App, "process", ATTACH),
    key(Scope::App, "cgroup", ATTACH),
    key(Scope::Flow, "cgroup", SELECT),
    key(Scope::Flow, "cookie", SELECT),
    key(Scope::Flow, "fd", SELECT),
    key(Scope::Flow, "uid", SELECT),
    value(Scope::Flow, "protocol", "udp", "this version has TCP flows: `protocol = \"tcp\"`"),
    value(
        Scope::Flow,
        "opened",
        "accept",
        "this version has flows that the app opens itself: `opened = \"connect\"`",
    ),
    key(Scope::Fault, "delay", FAULT),
    key(Scope::Fault, "rate", FAULT),
    key(Scope::Fault, "corrupt", FAULT),
    key(Scope::Fault, "duplicate", FAULT),
    key(Scope::Fault, "reorder", FAULT),
    key(Scope::Fault, "reset", FAULT),
    key(Scope::Fault, "abort", FAULT),
    key(Scope::Fault, "reject", FAULT),
    key(Scope::Fault, "stall", FAULT),
    key(Scope::Fault, "limit", FAULT),
    key(Scope::Fault, "mark_ce", FAULT),
    key(Scope::Fault, "when", "in this version a fault holds for every packet of its direction"),
    key(Scope::Drop, "burst", LOSS),
    key(Scope::Drop, "gilbert_elliott", LOSS),
    // Their counters would always be 0: an expectation on them could not fail.
    key(Scope::Expect, "delayed", COUNT),
    key(Scope::Expect, "corrupted", COUNT),
    key(Scope::Expect, "duplicated", COUNT),
    key(Scope::Expect, "reordered", COUNT),
    key(Scope::Expect, "reset", COUNT),
];

fn row(scope: Scope, key: &str, value: Option<&str>) -> Option<&'static Row> {
    UNAVAILABLE.iter().find(|r| r.scope == scope && r.key == key && r.value == value)
}

/// The problem with a key of the format that this version does not have, if it is one.
pub fn refuse_key(scope: Scope, key: &str, at: Place) -> Option<Problem> {
    let row = row(scope, key, None)?;
    Some(Problem::new(at, format!("`{key}` is not available in this version"), row.instead))
}

/// The same for one value of a key.
pub fn refuse_value(scope: Scope, key: &str, value: &str, at: Place) -> Option<Problem> {
    let row = row(scope, key, Some(value))?;
    let message = format!("`{key} = \"{value}\"` is not available in this version");
    Some(Problem::new(at, message, row.instead))
}

/// Whether a table has a key that is refused here, so that nothing else need be said to be
/// missing in it.
pub fn any_refused(scope: Scope, table: &super::tree::Table) -> bool {
    table.entries.iter().any(|e| row(scope, &e.key, None).is_some())
}
