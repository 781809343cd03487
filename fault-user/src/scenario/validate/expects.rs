//! `[[expect]]`: what must hold at the end.

use super::faults::DIRECTIONS;
use super::metrics::{self, Unit};
use super::{Context, read_each, text};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{AppId, Counter, DirectionSpec, Expect, ExpectWhat, FlowId, StepId};
use crate::scenario::reader::{Fields, Item};
use crate::scenario::tree::{Entry, Node};
use crate::scenario::values;
use crate::verdict::{Outcome, Verdict};

/// The keys that say which kind of expectation it is; each has exactly one.
const KINDS: [&str; 16] = [
    "verdict",
    "outcome",
    "closed_within",
    "log",
    "exit",
    "packets",
    "bytes",
    "dropped",
    "delayed",
    "corrupted",
    "duplicated",
    "reordered",
    "reset",
    "retransmits",
    "delivered_ratio",
    "max_gap",
];

/// The counters of a flow.
const COUNTERS: [(&str, Counter); 9] = [
    ("packets", Counter::Packets),
    ("bytes", Counter::Bytes),
    ("dropped", Counter::Dropped),
    ("delayed", Counter::Delayed),
    ("corrupted", Counter::Corrupted),
    ("duplicated", Counter::Duplicated),
    ("reordered", Counter::Reordered),
    ("reset", Counter::Reset),
    ("retransmits", Counter::Retransmits),
];

const EXAMPLES: &str = "verdict = \"silent_loss\" with at_most = 0\n\
                        outcome = \"failed\" with at_most = 3\n\
                        flow = \"...\", closed_within = \"110s\", of_step = \"...\"\n\
                        flow = \"...\", dropped = { at_least = 1 }\n\
                        log = \"...\" with within = \"10s\"\n\
                        exit = 0\n\
                        delivered_ratio = { at_least = 0.9 }\n\
                        max_gap = \"30s\"";

/// Reads all expectations.
pub fn read_all(cx: &mut Context<'_>, nodes: &[Node]) -> Option<Vec<Expect>> {
    read_each(cx, nodes, "expect", |cx, _, item| expect(cx, item))
}

fn expect(cx: &mut Context<'_>, item: Item<'_>) -> Option<Expect> {
    let what = "an [[expect]]";
    let mut fields = Fields::of(&mut cx.problems, item, what, "[[expect]]")?;
    let kinds = fields.present(&KINDS);
    let what = match kinds.as_slice() {
        [only] => kind(cx, &mut fields, only),
        [] => {
            let message = "the [[expect]] does not say what is expected";
            let help = format!("one of these:\n{EXAMPLES}");
            cx.problems.push(Problem::new(item.at(), message, help).relational());
            all_keys(&mut fields);
            None
        }
        [first, second, ..] => {
            let message = format!("`{}` contradicts `{}`", second.key, first.key);
            let help = "an [[expect]] says one thing: make two of it";
            let problem = Problem::new(second.key_at, message, help);
            cx.problems.push(problem.also(first.key_at, "what is expected already"));
            all_keys(&mut fields);
            None
        }
    };
    fields.finish(&mut cx.problems);
    let what = what?;
    let words = text::Words { apps: &cx.apps, flows: &cx.flows, steps: &cx.steps };
    Some(Expect { text: text::of(&what, words), what })
}

/// Makes every key of any kind known, where it is not clear which kind is meant.
fn all_keys(fields: &mut Fields<'_>) {
    fields.present(&["app", "flow", "at_least", "at_most", "within", "of_step", "direction"]);
}

fn kind(cx: &mut Context<'_>, fields: &mut Fields<'_>, kind: &Entry) -> Option<ExpectWhat> {
    match kind.key.as_str() {
        "verdict" => verdict(cx, fields),
        "outcome" => outcome(cx, fields),
        "closed_within" => closed(cx, fields),
        "log" => log(cx, fields),
        "exit" => exit(cx, fields),
        "delivered_ratio" => delivered_ratio(cx, fields),
        "max_gap" => max_gap(cx, fields),
        key => {
            let (key, which) = COUNTERS.into_iter().find(|(name, _)| *name == key)?;
            counter(cx, fields, key, which)
        }
    }
}

fn verdict(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let words = Verdict::ALL.map(|v| (v.name(), v));
    let verdict = fields.field("verdict", |i| values::choice(&mut cx.problems, i, &words)).good();
    // The kernel sees sends that no app has logged: those need no outcomes.
    let app = match verdict {
        Some(Verdict::Unlogged) => narrowing_app(cx, fields),
        _ => logged_app(cx, fields),
    };
    let bounds = metrics::bounds(&mut cx.problems, fields, Unit::Count);
    Some(ExpectWhat::Verdict { verdict: verdict?, app: app?, bounds: bounds? })
}

fn outcome(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let words = [("ok", Outcome::Ok), ("failed", Outcome::Failed), ("none", Outcome::None)];
    let outcome = fields.field("outcome", |i| values::choice(&mut cx.problems, i, &words));
    let app = logged_app(cx, fields);
    let bounds = metrics::bounds(&mut cx.problems, fields, Unit::Count);
    Some(ExpectWhat::Outcome { outcome: outcome.good()?, app: app?, bounds: bounds? })
}

fn delivered_ratio(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let app = logged_app(cx, fields);
    let bounds = metrics::metric(&mut cx.problems, fields, "delivered_ratio", Unit::Share);
    Some(ExpectWhat::DeliveredRatio { app: app?, bounds: bounds? })
}

fn max_gap(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let app = logged_app(cx, fields);
    let gap = fields.field("max_gap", |i| values::positive_duration(&mut cx.problems, i));
    Some(ExpectWhat::MaxGap { app: app?, at_most: gap.good()? })
}

fn closed(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let within = fields.field("closed_within", |i| values::positive_duration(&mut cx.problems, i));
    let flow = needed_flow(cx, fields);
    let of_step = of_step(cx, fields);
    if fields.entry("of_step").is_none() {
        fields.missing(&mut cx.problems, "of_step", "of_step = \"outage\"");
    }
    Some(ExpectWhat::Closed { flow: flow?, within: within.good()?, of_step: of_step?? })
}

fn log(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let log = fields.field("log", |i| values::pattern(&mut cx.problems, i, "log = \"hello\""));
    let app = narrowing_app(cx, fields);
    let within = fields.field("within", |i| values::positive_duration(&mut cx.problems, i));
    let of_step = of_step(cx, fields);
    let help = "its output cannot be read: expect something of its flows, or of its outcomes";
    let at = fields.at();
    cx.must_be_started(app?, at, "`log` is about output", help).then_some(())?;
    Some(ExpectWhat::Log {
        log: log.good()?,
        app: app?,
        within: within.optional()?,
        of_step: of_step?,
    })
}

fn exit(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<ExpectWhat> {
    let app = cx.needed_app(fields);
    let help = "only its parent is told how a process ends: leave the [[expect]] out";
    cx.must_be_started(app, fields.at(), "`exit` is a status", help).then_some(())?;
    // Ended by signal N counts as 128 + N, as in a shell.
    let code = fields.field("exit", |i| values::small(&mut cx.problems, i, 0, 255));
    let code = i32::try_from(code.good()?).ok()?;
    Some(ExpectWhat::Exit { app: app?, code })
}

fn counter(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
    counter: Counter,
) -> Option<ExpectWhat> {
    let flow = needed_flow(cx, fields);
    let direction_at = fields.entry("direction").map(|e| e.key_at);
    let direction = fields.field("direction", |i| values::choice(&mut cx.problems, i, &DIRECTIONS));
    let bounds = metrics::metric(&mut cx.problems, fields, key, Unit::Count);
    if let (Counter::Retransmits, Some(at)) = (counter, direction_at) {
        let help = "retransmits are what the flow's own socket sends again: leave it out";
        cx.problems.push(Problem::new(at, "`direction` contradicts `retransmits`", help));
        return None;
    }
    let (flow, direction) = (flow?, direction.or(DirectionSpec::default())?);
    if counter == Counter::Retransmits && cx.udp.get(flow.0).is_some_and(|udp| *udp) {
        let why =
            format!("`retransmits` needs TCP, and the flow `{}` is UDP", cx.flows.name(flow.0));
        let help = "UDP sends nothing again: count `packets` or `dropped`";
        cx.problems.push(Problem::new(fields.at(), why, help));
        return None;
    }
    Some(ExpectWhat::Counter { flow, counter, direction, bounds: bounds? })
}

fn needed_flow(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<FlowId> {
    let flow = fields.field("flow", |i| cx.flows.resolve(&mut cx.problems, i));
    if !flow.is_present() {
        fields.missing(&mut cx.problems, "flow", "flow = \"upstream\"");
    }
    flow.good().map(FlowId)
}

fn of_step(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Option<StepId>> {
    let step = fields.field("of_step", |i| cx.steps.resolve(&mut cx.problems, i));
    Some(step.optional()?.map(StepId))
}

/// `app` where leaving it out means every app.
fn narrowing_app(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Option<AppId>> {
    let app = fields.field("app", |i| cx.apps.resolve(&mut cx.problems, i));
    Some(app.optional()?.map(AppId))
}

/// The same for what is counted over logged sends: without any, it could not fail.
fn logged_app(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Option<AppId>> {
    let app = narrowing_app(cx, fields)?;
    let (logged, who) = match app {
        Some(AppId(index)) => {
            (cx.app_outcomes[index], format!("the app `{}` has no", cx.apps.name(index)))
        }
        None => (cx.app_outcomes.contains(&true), "no app has an".to_owned()),
    };
    if logged {
        return Some(app);
    }
    let at = fields.entry("app").map_or(fields.at(), |e| e.node.at);
    let help = "add one: it says how the app tells what became of a send";
    let problem = Problem::new(at, format!("{who} [app.outcomes] to judge"), help);
    cx.problems.push(problem.relational());
    None
}
