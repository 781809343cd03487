//! `delay`: for how long packets are held.

use std::path::Path;
use std::time::Duration;

use super::files;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Delay, Jitter, Shape};
use crate::scenario::quantities::{delay, positive_delay, share};
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

const EXAMPLE: &str = "delay = { mean = \"100ms\", jitter = \"20ms\" }";
const SHAPES: [(&str, Named); 4] = [
    ("uniform", Named::Uniform),
    ("normal", Named::Normal),
    ("pareto", Named::Pareto),
    ("paretonormal", Named::ParetoNormal),
];

#[derive(Clone, Copy)]
enum Named {
    Uniform,
    Normal,
    Pareto,
    ParetoNormal,
}

/// Reads the value of `delay`; the file of a distribution is taken from `base_dir`.
pub fn read(problems: &mut Problems, item: Item<'_>, base_dir: &Path) -> Option<Delay> {
    let Value::Table(_) = item.node.value else {
        let mean = positive_delay(problems, item)?;
        return Some(Delay { mean, jitter: None, keep_order: true });
    };
    let mut fields = Fields::of(problems, item, "`delay`", EXAMPLE)?;
    let mean = fields.field("mean", |i| delay(problems, i));
    if !mean.is_present() {
        fields.missing(problems, "mean", "mean = \"100ms\"");
    }
    let spread = fields.field("jitter", |i| positive_delay(problems, i));
    let shape = fields.field("distribution", |i| shape(problems, i, base_dir));
    let correlation = fields.field("correlation", |i| share(problems, i));
    let keep_order = fields.field("keep_order", |i| values::boolean(problems, i));
    let fits = without_jitter(problems, &mut fields, &spread, &keep_order);
    fields.finish(problems);
    let jitter = match spread.optional()? {
        Some(spread) => {
            let (shape, correlation) = (shape.or(Shape::Uniform)?, correlation.or(0.0)?);
            Some(Jitter { spread, shape, correlation })
        }
        None => None,
    };
    let mean = mean.good()?;
    if fits && jitter.is_none() && mean == Duration::ZERO {
        wrong_value(problems, item, "it delays nothing", &format!("for example `{EXAMPLE}`"));
        return None;
    }
    fits.then_some(Delay { mean, jitter, keep_order: keep_order.or(true)? })
}

/// Reports what means nothing without `jitter`.
fn without_jitter(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    spread: &Field<Duration>,
    keep_order: &Field<bool>,
) -> bool {
    if spread.is_present() {
        return true;
    }
    let before = problems.len();
    for entry in fields.present(&["distribution", "correlation"]) {
        let help = "add `jitter = \"20ms\"`, or leave it out: a constant delay does not scatter";
        let message = format!("`{}` needs `jitter`", entry.key);
        problems.push(Problem::new(entry.key_at, message, help).relational());
    }
    if let Field::Good(false, at) = keep_order {
        let help = "add `jitter = \"20ms\"`, or leave it out: a constant delay keeps the order";
        let message = "`keep_order = false` needs `jitter`";
        problems.push(Problem::new(*at, message, help).relational());
    }
    problems.len() == before
}

fn shape(problems: &mut Problems, item: Item<'_>, base_dir: &Path) -> Option<Shape> {
    if !matches!(item.node.value, Value::Table(_)) {
        return Some(match values::choice(problems, item, &SHAPES)? {
            Named::Uniform => Shape::Uniform,
            Named::Normal => Shape::Normal,
            Named::Pareto => Shape::Pareto,
            Named::ParetoNormal => Shape::ParetoNormal,
        });
    }
    const EXAMPLE: &str = "distribution = { file = \"wan.dist\" }";
    let mut fields = Fields::of(problems, item, "`distribution`", EXAMPLE)?;
    let table = fields.field("file", |i| files::distribution(problems, i, base_dir));
    if !table.is_present() {
        fields.missing(problems, "file", "file = \"wan.dist\"");
    }
    fields.finish(problems);
    let (file, values) = table.good()?;
    Some(Shape::Table { file, values })
}
