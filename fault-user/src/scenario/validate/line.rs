//! `line`: what delays packets; and whether it can carry the faults of the scenario.

use fault_common::rule::Direction;

use super::Context;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Backend, Fault, FaultSpec, Line, Replay, Step, Via, unfit_for_fq};
use crate::scenario::quantities;
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::tree::{Node, Value};
use crate::scenario::units::format_size;
use crate::scenario::values;

const EXAMPLE: &str = "line = { backend = \"tap\", hold = \"64MiB\" }";
/// Room for some super-packets; with less, bulk traffic would meet losses that nobody asked for.
const MIN_HOLD: u64 = 1 << 20;
const MAX_HOLD: u64 = 16 << 30;

const BACKENDS: [(&str, Backend); 4] =
    [("auto", Backend::Auto), ("tap", Backend::Tap), ("fq", Backend::Fq), ("none", Backend::None)];

/// Reads it: a word, or a table.
pub fn read(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<Line> {
    if let Value::String(_) = item.node.value {
        let backend = values::choice(problems, item, &BACKENDS)?;
        return Some(Line { backend, ..Line::default() });
    }
    let mut fields = Fields::of(problems, item, "`line`", EXAMPLE)?;
    let backend = fields.field("backend", |i| values::choice(problems, i, &BACKENDS));
    let hold = fields.field("hold", |i| hold(problems, i));
    if let (Some(Backend::None), Some(entry)) = (backend.good_ref(), fields.entry("hold")) {
        let help = "without a line nothing is held: leave `hold` out";
        let message = "`hold` contradicts `backend = \"none\"`";
        problems.push(Problem::new(entry.key_at, message, help));
    }
    fields.finish(problems);
    Some(Line { backend: backend.or(Backend::default())?, hold: hold.or(Line::HOLD)? })
}

fn hold(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<u64> {
    let size = quantities::size(problems, item)?;
    if (MIN_HOLD..=MAX_HOLD).contains(&size) {
        return Some(size);
    }
    let range = format!("from \"{}\" to \"{}\"", format_size(MIN_HOLD), format_size(MAX_HOLD));
    wrong_value(problems, item, "it is out of range", &range);
    None
}

/// Reports a fault that the chosen line cannot carry; `key` is its key, at `item`.
pub fn carries(cx: &mut Context<'_>, spec: &FaultSpec, item: Item<'_>) -> bool {
    let Some(line) = cx.line else { return true };
    let needed = spec.via(line.backend) == Some(Via::Line);
    let (message, help) = match line.backend {
        Backend::None if needed => (
            format!("`{}` needs the delay line, and `line` is \"none\"", item.key),
            "leave `line` out. Without a line there are `drop` (a probability, `every`, `nth`, \
             `first`; with `when` only `tcp`, except \"fin\"; no `pulse`), `stall`, `reset` and \
             `abort`",
        ),
        Backend::Fq if needed && !matches!(spec.fault, Fault::Delay(_)) => (
            format!("`line = \"fq\"` cannot carry `{}`", item.key),
            "fq carries delays alone: leave `line` out, or `line = \"tap\"`",
        ),
        Backend::Fq if needed => match unfit(spec) {
            Some(why) => (
                format!("`line = \"fq\"` cannot carry this `{}`: {why}", item.key),
                "leave `line` out, or `line = \"tap\"`",
            ),
            None => return true,
        },
        _ => return queue_fits(cx, spec, item, line),
    };
    cx.problems.push(Problem::new(item.at(), message, help));
    false
}

/// Why fq cannot hold packets for this delay.
fn unfit(spec: &FaultSpec) -> Option<&'static str> {
    let constant = matches!(&spec.fault, Fault::Delay(delay) if delay.jitter.is_none());
    unfit_for_fq(constant, spec.pulse.is_some(), &spec.when)
}

/// What waits in the queue of a link waits in the line.
fn queue_fits(cx: &mut Context<'_>, spec: &FaultSpec, item: Item<'_>, line: Line) -> bool {
    let queue = match &spec.fault {
        Fault::Rate(rate) => rate.queue,
        Fault::Trace(trace) => match trace.replay {
            Replay::Mahimahi { queue, .. } => queue,
            Replay::Csv { .. } => 0,
        },
        _ => 0,
    };
    if queue <= line.hold {
        return true;
    }
    let (queue, hold) = (format_size(queue), format_size(line.hold));
    let why = format!("its queue of {queue} is more than the line may hold ({hold})");
    let help = format!("a queue of at most {hold}, or `line = {{ hold = \"{queue}\" }}`");
    wrong_value(&mut cx.problems, item, &why, &help);
    false
}

/// fq has no place for a packet that is to be lost among those that wait: reports flows that
/// have a delay and another packet fault in one direction, be it in different steps.
pub fn check_mixed(cx: &mut Context<'_>, nodes: &[Node], steps: &[Step]) {
    if cx.line.is_none_or(|line| line.backend != Backend::Fq) {
        return;
    }
    let faults = || steps.iter().zip(nodes).flat_map(|(s, n)| s.faults.iter().map(move |f| (f, n)));
    let delays: Vec<&FaultSpec> =
        faults().filter(|(f, _)| matches!(f.fault, Fault::Delay(_))).map(|(f, _)| f).collect();
    for (fault, node) in faults().filter(|(f, _)| matches!(f.fault, Fault::Drop(_))) {
        let shared = |d: Direction| fault.direction.each().contains(&d);
        let beside = |delay: &&&FaultSpec| {
            delay.flow == fault.flow && delay.direction.each().iter().any(|d| shared(*d))
        };
        if delays.iter().any(|delay| beside(&delay)) {
            let flow = cx.flows.name(fault.flow.0);
            let message =
                format!("`line = \"fq\"` cannot carry `delay` and `drop` of the flow `{flow}`");
            let help = "fq carries delays alone: leave `line` out, or `line = \"tap\"`";
            let at = node.as_table().and_then(|t| t.get("faults")).map_or(node.at, |e| e.node.at);
            cx.problems.push(Problem::new(at, message, help));
        }
    }
}
