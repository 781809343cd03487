//! `corrupt`: which bits are flipped.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::Corrupt;
use crate::scenario::quantities::{MAX_PACKET, probability, probability_or_table, range};
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

const EXAMPLE: &str = "corrupt = { p = 0.01, bits = 1 }";
/// Beyond that a packet is better lost.
const MAX_BITS: u32 = 1024;

/// Reads the value of `corrupt`.
pub fn read(problems: &mut Problems, item: Item<'_>) -> Option<Corrupt> {
    let Value::Table(_) = item.node.value else {
        let p = probability_or_table(problems, item)?;
        return Some(Corrupt { p, bits: 1, valid: true, offset: None, headers: false });
    };
    let mut fields = Fields::of(problems, item, "`corrupt`", EXAMPLE)?;
    let p = fields.field("p", |i| probability(problems, i));
    if !p.is_present() {
        fields.missing(problems, "p", "p = 0.01");
    }
    let bits = fields.field("bits", |i| values::small(problems, i, 1, MAX_BITS));
    let checksum = [("valid", true), ("bad", false)];
    let valid = fields.field("checksum", |i| values::choice(problems, i, &checksum));
    let offset = fields.field("offset", |i| offset(problems, i));
    let headers = fields.field("headers", |i| values::boolean(problems, i));
    fields.finish(problems);
    let corrupt = Corrupt {
        p: p.good()?,
        bits: bits.or(1)?,
        valid: valid.or(true)?,
        offset: offset.optional()?,
        headers: headers.or(false)?,
    };
    has_room(problems, item, &corrupt).then_some(corrupt)
}

fn offset(problems: &mut Problems, item: Item<'_>) -> Option<(u32, u32)> {
    let (from, to) = range(problems, item, u64::from(MAX_PACKET), true)?;
    Some((u32::try_from(from).ok()?, u32::try_from(to).ok()?))
}

fn has_room(problems: &mut Problems, item: Item<'_>, corrupt: &Corrupt) -> bool {
    let Some((from, to)) = corrupt.offset else { return true };
    let room = (to - from) * 8;
    if corrupt.bits <= room {
        return true;
    }
    let why = format!("{} different bits do not fit into bytes [{from}, {to})", corrupt.bits);
    wrong_value(problems, item, &why, &format!("at most {room} bits there, or a wider `offset`"));
    false
}
