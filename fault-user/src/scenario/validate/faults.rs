//! `faults` of a step: what is done to which packets.

use fault_common::rule::{CHAIN_LEN, Direction, NTH_LEN};

use super::Context;
use crate::scenario::availability::{Scope, any_refused};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{DirectionSpec, Fault, FaultSpec, FlowId, Loss};
use crate::scenario::reader::{Fields, Item, array, wrong_type, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

const EXAMPLE: &str = "faults = [{ flow = \"upstream\", direction = \"egress\", drop = 0.1 }]";

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
    let mut faults = Vec::new();
    for node in nodes {
        faults.push(fault(cx, item.element(node)));
    }
    let faults: Vec<FaultSpec> = faults.into_iter().collect::<Option<_>>()?;
    chains_fit(cx, item, &faults).then_some(faults)
}

/// The kernel's tables hold so many faults per flow and direction.
fn chains_fit(cx: &mut Context<'_>, item: Item<'_>, faults: &[FaultSpec]) -> bool {
    let stacked = |flow: FlowId, direction: Direction| {
        let meant = |f: &&FaultSpec| f.flow == flow && f.direction.each().contains(&direction);
        faults.iter().filter(meant).count()
    };
    let crowded = faults.iter().find(|fault| {
        fault.direction.each().iter().any(|&direction| stacked(fault.flow, direction) > CHAIN_LEN)
    });
    let Some(fault) = crowded else { return true };
    let flow = cx.flows.name(fault.flow.0);
    let why = format!("the flow `{flow}` has more than {CHAIN_LEN} faults in one direction");
    let help = format!("at most {CHAIN_LEN} faults of a flow stack in each direction");
    wrong_value(&mut cx.problems, item, &why, &help);
    false
}

fn fault(cx: &mut Context<'_>, item: Item<'_>) -> Option<FaultSpec> {
    let mut fields = Fields::of(&mut cx.problems, item, "a fault", Scope::Fault, EXAMPLE)?;
    let flow = fields.field("flow", |i| cx.flows.resolve(&mut cx.problems, i));
    let problems = &mut cx.problems;
    if !flow.is_present() {
        fields.missing(problems, "flow", "flow = \"upstream\"");
    }
    let direction = fields.field("direction", |i| values::choice(problems, i, &DIRECTIONS));
    let drop = fields.field("drop", |i| loss(problems, i));
    let refused = item.node.as_table().is_some_and(|t| any_refused(Scope::Fault, t));
    if !drop.is_present() && !refused {
        fields.missing(problems, "drop", "drop = 0.1");
    }
    let may_miss = fields.field("may_miss", |i| values::boolean(problems, i)).or(false);
    fields.finish(problems);
    Some(FaultSpec {
        flow: FlowId(flow.good()?),
        direction: direction.or(DirectionSpec::default())?,
        fault: Fault::Drop(drop.good()?),
        may_miss: may_miss?,
    })
}

const LOSSES: &str = "a probability (`drop = 0.1`), `{ every = 10 }`, `{ nth = [1, 5] }` or \
                      `{ first = 3 }`";

fn loss(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<Loss> {
    if !matches!(item.node.value, Value::Table(_)) {
        return probability(problems, item).map(Loss::Random);
    }
    let mut fields = Fields::of(problems, item, "`drop`", Scope::Drop, "drop = { every = 10 }")?;
    let models = fields.present(&["every", "nth", "first"]);
    let refused = item.node.as_table().is_some_and(|t| any_refused(Scope::Drop, t));
    match models.as_slice() {
        [] if !refused => {
            let problem = Problem::new(item.at(), "`drop` does not say which packets", LOSSES);
            problems.push(problem.relational());
        }
        [first, second, ..] => {
            let message = format!("`{}` contradicts `{}`", second.key, first.key);
            let help = "make two faults of it: the faults of a flow stack";
            let problem = Problem::new(second.key_at, message, help);
            problems.push(problem.also(first.key_at, "picks the packets already"));
        }
        _ => {}
    }
    let single = models.len() == 1;
    let every = fields.field("every", |i| values::integer(problems, i, 1, u64::MAX));
    let first = fields.field("first", |i| values::integer(problems, i, 1, u64::MAX));
    let nth = fields.field("nth", |i| packet_numbers(problems, i));
    fields.finish(problems);
    let model = every.good().map(Loss::Every).or(first.good().map(Loss::First));
    model.or(nth.good().map(Loss::Nth)).filter(|_| single)
}

fn probability(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<f64> {
    let p = values::fraction(problems, item, "a probability or a table")?;
    if p > 0.0 {
        return Some(p);
    }
    let help = "a probability above 0.0; 1.0 drops every packet. To drop nothing, leave the \
                fault out";
    wrong_value(problems, item, "with probability 0 it never happens", help);
    None
}

fn packet_numbers(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<Vec<u64>> {
    let nodes = array(problems, item, "an array of packet numbers", "nth = [1, 5]")?;
    let help = format!("1 to {NTH_LEN} packet numbers, counted from 1: `nth = [1, 5]`");
    if nodes.is_empty() || nodes.len() > NTH_LEN {
        let why = format!("the list has {} entries", nodes.len());
        wrong_value(problems, item, &why, &help);
        return None;
    }
    let mut numbers = Vec::new();
    for node in nodes {
        let element = item.element(node);
        let Value::Integer(_) = node.value else {
            wrong_type(problems, element, "an array of whole numbers", "nth = [1, 5]");
            numbers.push(None);
            continue;
        };
        let number = values::integer(problems, element, 1, u64::MAX);
        if number.is_some() && numbers.contains(&number) {
            wrong_value(problems, element, "the number stands there twice", &help);
            numbers.push(None);
            continue;
        }
        numbers.push(number);
    }
    let mut numbers: Vec<u64> = numbers.into_iter().collect::<Option<_>>()?;
    numbers.sort_unstable();
    Some(numbers)
}
