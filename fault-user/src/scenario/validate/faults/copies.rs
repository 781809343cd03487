//! `duplicate` and `reorder`.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Duplicate, Reorder};
use crate::scenario::quantities::{positive_delay, probability, probability_or_table};
use crate::scenario::reader::{Fields, Item};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

const MAX_COPIES: u32 = 100;
const MAX_GAP: u32 = 10_000;

/// Reads the value of `duplicate`.
pub fn duplicate(problems: &mut Problems, item: Item<'_>) -> Option<Duplicate> {
    const EXAMPLE: &str = "duplicate = { p = 0.01, copies = 1 }";
    let Value::Table(_) = item.node.value else {
        return probability_or_table(problems, item).map(|p| Duplicate { p, copies: 1 });
    };
    let mut fields = Fields::of(problems, item, "`duplicate`", EXAMPLE)?;
    let p = fields.field("p", |i| probability(problems, i));
    if !p.is_present() {
        fields.missing(problems, "p", "p = 0.01");
    }
    let copies = fields.field("copies", |i| values::small(problems, i, 1, MAX_COPIES));
    fields.finish(problems);
    Some(Duplicate { p: p.good()?, copies: copies.or(1)? })
}

/// Reads the value of `reorder`.
pub fn reorder(problems: &mut Problems, item: Item<'_>) -> Option<Reorder> {
    const EXAMPLE: &str = "reorder = { p = 0.01, gap = 3, delay = \"50ms\" }";
    let Value::Table(_) = item.node.value else {
        let p = probability_or_table(problems, item)?;
        return Some(Reorder { p, gap: Reorder::GAP, delay: Reorder::DELAY });
    };
    let mut fields = Fields::of(problems, item, "`reorder`", EXAMPLE)?;
    let p = fields.field("p", |i| probability(problems, i));
    if !p.is_present() {
        fields.missing(problems, "p", "p = 0.01");
    }
    let gap = fields.field("gap", |i| values::small(problems, i, 1, MAX_GAP));
    let delay = fields.field("delay", |i| positive_delay(problems, i));
    fields.finish(problems);
    Some(Reorder { p: p.good()?, gap: gap.or(Reorder::GAP)?, delay: delay.or(Reorder::DELAY)? })
}
