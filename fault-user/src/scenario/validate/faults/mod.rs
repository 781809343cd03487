//! `faults` of a step: what is done to which packets.

mod copies;
mod corrupt;
mod delay;
mod ends;
mod files;
mod fits;
mod link;
mod loss;
mod stack;
mod when;

use super::{Context, line};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{DirectionSpec, Fault, FaultSpec, FlowId, When};
use crate::scenario::quantities;
use crate::scenario::reader::{Fields, Item, array, wrong_value};
use crate::scenario::values;

pub use ends::{REJECTS, SIDES, THENS};
pub use when::SEGMENTS;

const EXAMPLE: &str = "faults = [{ flow = \"upstream\", direction = \"egress\", drop = 0.1 }]";

/// The keys of which an entry has exactly one.
const FAULTS: [&str; 13] = [
    "drop",
    "delay",
    "rate",
    "trace",
    "corrupt",
    "duplicate",
    "reorder",
    "reset",
    "abort",
    "reject",
    "stall",
    "limit",
    "mark_ce",
];

/// The values of `direction`.
pub const DIRECTIONS: [(&str, DirectionSpec); 3] = [
    ("both", DirectionSpec::Both),
    ("egress", DirectionSpec::Egress),
    ("ingress", DirectionSpec::Ingress),
];

/// Reads the list.
pub fn read(cx: &mut Context<'_>, item: Item<'_>) -> Option<Vec<FaultSpec>> {
    let nodes = array(&mut cx.problems, item, "an array of faults", EXAMPLE)?;
    if nodes.is_empty() {
        let help = format!("for example `{EXAMPLE}`");
        wrong_value(&mut cx.problems, item, "the list is empty", &help);
        return None;
    }
    let read: Vec<_> = nodes.iter().map(|node| fault(cx, item.element(node))).collect();
    let placed: Vec<stack::Placed<'_>> = read.into_iter().collect::<Option<_>>()?;
    let fits = stack::check(cx, item, &placed);
    fits.then(|| placed.into_iter().map(|(spec, _)| spec).collect())
}

fn fault<'t>(cx: &mut Context<'_>, item: Item<'t>) -> Option<stack::Placed<'t>> {
    let mut fields = Fields::of(&mut cx.problems, item, "a fault", EXAMPLE)?;
    let flow = fields.field("flow", |i| cx.flows.resolve(&mut cx.problems, i));
    let problems = &mut cx.problems;
    if !flow.is_present() {
        fields.missing(problems, "flow", "flow = \"upstream\"");
    }
    let direction = fields.field("direction", |i| values::choice(problems, i, &DIRECTIONS));
    let when = fields.field("when", |i| when::when(problems, i));
    let pulse = fields.field("pulse", |i| when::pulse(problems, i));
    let may_miss = fields.field("may_miss", |i| values::boolean(problems, i));
    let what = single(cx, &mut fields);
    let spec = || {
        let (fault, at) = what?;
        let spec = FaultSpec {
            flow: FlowId(flow.good()?),
            direction: direction.or(DirectionSpec::default())?,
            fault,
            when: when.or(When::default())?,
            pulse: pulse.optional()?,
            may_miss: may_miss.or(false)?,
        };
        Some((spec, at))
    };
    let placed = spec().filter(|(spec, at)| {
        fits::check(cx, &mut fields, spec, *at) && line::carries(cx, spec, *at)
    });
    fields.finish(&mut cx.problems);
    placed
}

/// What the entry does: reads every fault key that is there, but there may only be one.
fn single<'t>(cx: &mut Context<'_>, fields: &mut Fields<'t>) -> Option<(Fault, Item<'t>)> {
    let present = fields.present(&FAULTS);
    match present.as_slice() {
        [] => {
            let help = format!("one of {}; for example `drop = 0.1`", FAULTS.join(", "));
            let problem = Problem::new(fields.at(), "a fault needs to say what is done", help);
            cx.problems.push(problem.label("nothing is done").relational());
        }
        [first, second, ..] => {
            let message = format!("`{}` and `{}` stand in one fault", first.key, second.key);
            let help = "make two entries of it: the faults of a flow stack in their order";
            let problem = Problem::new(second.key_at, message, help);
            cx.problems.push(problem.also(first.key_at, "the first one"));
        }
        [_] => {}
    }
    let items: Vec<Item<'t>> = FAULTS.iter().filter_map(|key| fields.item(key)).collect();
    let read: Vec<_> = items.into_iter().map(|item| (value(cx, item), item)).collect();
    match <[_; 1]>::try_from(read) {
        Ok([(fault, item)]) => Some((fault?, item)),
        Err(_) => None,
    }
}

/// Reads the value of a fault key.
fn value(cx: &mut Context<'_>, item: Item<'_>) -> Option<Fault> {
    let (problems, base_dir) = (&mut cx.problems, cx.base_dir);
    match item.key {
        "drop" => loss::read(problems, item).map(Fault::Drop),
        "delay" => delay::read(problems, item, base_dir).map(Fault::Delay),
        "rate" => link::rate(problems, item).map(Fault::Rate),
        "trace" => link::trace(problems, item, base_dir).map(Fault::Trace),
        "corrupt" => corrupt::read(problems, item).map(Fault::Corrupt),
        "duplicate" => copies::duplicate(problems, item).map(Fault::Duplicate),
        "reorder" => copies::reorder(problems, item).map(Fault::Reorder),
        "reset" => values::choice(problems, item, &SIDES).map(Fault::Reset),
        "abort" => ends::only_true(problems, item).map(|()| Fault::Abort),
        "reject" => values::choice(problems, item, &REJECTS).map(Fault::Reject),
        "stall" => ends::only_true(problems, item).map(|()| Fault::Stall),
        "limit" => ends::limit(problems, item).map(Fault::Limit),
        _ => quantities::probability(problems, item).map(Fault::MarkCe),
    }
}
