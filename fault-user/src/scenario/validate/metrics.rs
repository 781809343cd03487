//! Bounds of an expectation: `at_least` and `at_most`.

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::Bounds;
use crate::scenario::reader::{Field, Fields, Item, wrong_type};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A share, 0 to 1.
    Share,
}

impl Unit {
    /// The largest value there is, if there is one.
    fn max(self) -> Option<f64> {
        (self == Self::Share).then_some(1.0)
    }

    fn read(self, problems: &mut Problems, item: Item<'_>) -> Option<f64> {
        match self {
            // Counters beyond 2^53 are out of reach, so `f64` is exact.
            Self::Count => values::integer(problems, item, 0, 1 << 53).map(|n| n as f64),
            Self::Share => values::fraction(problems, item, "a number from 0.0 to 1.0"),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Count => "at_most = 0",
            Self::Share => "at_least = 0.9",
        }
    }
}

/// Reads a metric's bounds: either a table, `dropped = { at_least = 1 }`, or
/// `dropped = true` with the bounds beside it.
pub fn metric(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    key: &'static str,
    unit: Unit,
) -> Option<Bounds> {
    let item = fields.item(key)?;
    match item.node.value {
        Value::Boolean(true) => bounds(problems, fields, unit),
        Value::Table(_) => {
            let mut inner = Fields::of(problems, item, "the bounds", "")?;
            let bounds = bounds(problems, &mut inner, unit);
            inner.finish(problems);
            bounds
        }
        _ => {
            let example = format!("{key} = {{ {} }}", unit.example());
            wrong_type(problems, item, "a table with `at_least` and/or `at_most`", &example);
            fields.present(&["at_least", "at_most"]);
            None
        }
    }
}

/// Reads `at_least` and `at_most`, at least one of them, of which some value can be true and
/// some value false.
pub fn bounds(problems: &mut Problems, fields: &mut Fields<'_>, unit: Unit) -> Option<Bounds> {
    let least = fields.field("at_least", |i| unit.read(problems, i));
    let most = fields.field("at_most", |i| unit.read(problems, i));
    match (&least, &most) {
        (Field::Absent, Field::Absent) => {
            let help = format!("add at least one of them, for example `{}`", unit.example());
            let problem = Problem::new(fields.at(), "`at_least` or `at_most` is needed", help);
            problems.push(problem.label("no bound").relational());
            return None;
        }
        (Field::Good(low, low_at), Field::Good(high, high_at)) if low > high => {
            let message = format!("`at_least` ({low}) is more than `at_most` ({high})");
            let help = "no number can be both; exchange the two, or leave one out";
            problems.push(Problem::new(*low_at, message, help).also(*high_at, "the other bound"));
            return None;
        }
        _ => {}
    }
    let (least_at, most_at) = (place(&least), place(&most));
    let bounds = Bounds { at_least: least.optional()?, at_most: most.optional()? };
    let low_open = bounds.at_least.is_none_or(|b| b <= 0.0);
    let high_open = bounds.at_most.is_none_or(|b| unit.max().is_some_and(|max| b >= max));
    if low_open && high_open {
        let at = least_at.or(most_at).unwrap_or(fields.at());
        let help = format!("a bound that can fail, for example `{}`", unit.example());
        problems.push(Problem::new(at, "the expectation always holds", help));
        return None;
    }
    Some(bounds)
}

fn place<T>(field: &Field<T>) -> Option<crate::scenario::tree::Place> {
    match field {
        Field::Good(_, at) => Some(*at),
        _ => None,
    }
}
