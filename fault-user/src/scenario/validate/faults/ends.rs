//! `reset`, `abort`, `reject`, `stall` and `limit`: what ends or stops a connection.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Limit, Reject, Side, Then};
use crate::scenario::quantities::size;
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::values;

type Problems = Vec<Problem>;

/// The values of `reset`.
pub const SIDES: [(&str, Side); 3] =
    [("local", Side::Local), ("peer", Side::Peer), ("both", Side::Both)];

/// The values of `reject`.
pub const REJECTS: [(&str, Reject); 5] = [
    ("reset", Reject::Reset),
    ("port", Reject::Port),
    ("host", Reject::Host),
    ("net", Reject::Net),
    ("admin", Reject::Admin),
];

/// The values of `then`.
pub const THENS: [(&str, Then); 2] = [("drop", Then::Drop), ("reset", Then::Reset)];

/// Reads a key that can only be `true`: `abort` and `stall`.
pub fn only_true(problems: &mut Problems, item: Item<'_>) -> Option<()> {
    if values::boolean(problems, item)? {
        return Some(());
    }
    let help = format!("`{} = true`, or leave the fault out", item.key);
    wrong_value(problems, item, "false would do nothing", &help);
    None
}

/// Reads the value of `limit`.
pub fn limit(problems: &mut Problems, item: Item<'_>) -> Option<Limit> {
    const EXAMPLE: &str = "limit = { bytes = \"1MiB\", then = \"drop\" }";
    let mut fields = Fields::of(problems, item, "`limit`", EXAMPLE)?;
    let bytes = fields.field("bytes", |i| bytes(problems, i));
    if !bytes.is_present() {
        fields.missing(problems, "bytes", "bytes = \"1MiB\"");
    }
    let then = fields.field("then", |i| values::choice(problems, i, &THENS));
    if !then.is_present() {
        fields.missing(problems, "then", "then = \"drop\"");
    }
    fields.finish(problems);
    Some(Limit { bytes: bytes.good()?, then: then.good()? })
}

fn bytes(problems: &mut Problems, item: Item<'_>) -> Option<u64> {
    let bytes = size(problems, item)?;
    if bytes > 0 {
        return Some(bytes);
    }
    let help = "1 or more payload bytes; `drop` with `when = { tcp = \"data\" }` lets none through";
    wrong_value(problems, item, "it must not be zero", help);
    None
}
