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

/// One key.
struct Row {
    scope: Scope,
    key: &'static str,
    instead: &'static str,
}

const UNAVAILABLE: &[Row] = &[];

fn row(scope: Scope, key: &str) -> Option<&'static Row> {
    UNAVAILABLE.iter().find(|r| r.scope == scope && r.key == key)
}

/// The problem with a key of the format that this version does not have, if it is one.
pub fn refuse_key(scope: Scope, key: &str, at: Place) -> Option<Problem> {
    let row = row(scope, key)?;
    Some(Problem::new(at, format!("`{key}` is not available in this version"), row.instead))
}

/// Whether a table has a key that is refused here, so that nothing else need be said to be
/// missing in it.
pub fn any_refused(scope: Scope, table: &super::tree::Table) -> bool {
    table.entries.iter().any(|e| row(scope, &e.key).is_some())
}
