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

const UNAVAILABLE: &[Row] = &[
    key(Scope::App, "pid", ATTACH),
    key(Scope::App, "process", ATTACH),
    key(Scope::App, "cgroup", ATTACH),
    key(Scope::Flow, "cgroup", SELECT),
    key(Scope::Flow, "cookie", SELECT),
    key(Scope::Flow, "fd", SELECT),
    key(Scope::Flow, "uid", SELECT),
    value(
        Scope::Flow,
        "opened",
        "accept",
        "this version has flows that the app opens itself: `opened = \"connect\"`",
    ),
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

/// Whether this version takes a key of `[[flow]]`, or one value of it.
pub fn flow_key_available(key: &str, value: Option<&str>) -> bool {
    row(Scope::Flow, key, None).is_none() && row(Scope::Flow, key, value).is_none()
}
