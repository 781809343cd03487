//! `at` and `after`: when a step happens.

use std::time::Duration;

use super::Context;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{AppId, FlowId, FlowState, StepId, Trigger};
use crate::scenario::reader::{Fields, Item};
use crate::scenario::values;

const AFTER: &str = "after = { step = \"outage\", plus = \"2s\" }";
const FORMS: &str = "after = { step = \"...\", plus = \"2s\" }, { log = \"...\", app = \"...\" }, \
                     { flow = \"...\", state = \"established\" } or \
                     { outcome = { app = \"...\", count = 5 } }";

/// Reads the trigger of a step: exactly one of `at` and `after`.
pub fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Trigger> {
    let at = fields.field("at", |i| values::duration(&mut cx.problems, i));
    let after = fields.field("after", |i| after(cx, i));
    match (fields.entry("at"), fields.entry("after")) {
        (Some(first), Some(second)) => {
            let help = "keep one of the two: a step has a single beginning";
            let problem = Problem::new(second.key_at, "`after` contradicts `at`", help);
            cx.problems.push(problem.also(first.key_at, "the other beginning"));
            None
        }
        (None, None) => {
            let help = format!("add `at = \"10s\"`, counted from t = 0, or `{AFTER}`");
            let problem = Problem::new(fields.at(), "a [[step]] needs `at` or `after`", help);
            cx.problems.push(problem.label("nothing says when").relational());
            None
        }
        (Some(_), None) => at.good().map(Trigger::At),
        (None, Some(_)) => after.good(),
    }
}

fn after(cx: &mut Context<'_>, item: Item<'_>) -> Option<Trigger> {
    let mut fields = Fields::of(&mut cx.problems, item, "`after`", AFTER)?;
    let kinds = fields.present(&["step", "log", "flow", "outcome"]);
    let trigger = match kinds.as_slice() {
        [] => {
            let help = format!("one of these:\n{FORMS}");
            let problem = Problem::new(item.at(), "`after` does not say after what", help);
            cx.problems.push(problem.relational());
            None
        }
        [only] => match only.key.as_str() {
            "step" => after_step(cx, &mut fields),
            "log" => after_log(cx, &mut fields),
            "flow" => after_flow(cx, &mut fields),
            _ => fields.field("outcome", |i| after_outcome(cx, i)).good(),
        },
        [first, second, ..] => {
            let message = format!("`{}` contradicts `{}`", second.key, first.key);
            let help = format!("`after` waits for one thing:\n{FORMS}");
            let problem = Problem::new(second.key_at, message, help);
            cx.problems.push(problem.also(first.key_at, "waits for this already"));
            // The keys of the other forms are known, just not together.
            fields.present(&["plus", "app", "state"]);
            None
        }
    };
    fields.finish(&mut cx.problems);
    trigger
}

fn after_step(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Trigger> {
    let step = fields.field("step", |i| cx.steps.resolve(&mut cx.problems, i));
    let plus = fields.field("plus", |i| values::duration(&mut cx.problems, i));
    Some(Trigger::After { step: StepId(step.good()?), plus: plus.or(Duration::ZERO)? })
}

/// Unlike elsewhere, no `app` means any app's output here, also with a single one.
fn after_log(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Trigger> {
    let log = fields.field("log", |i| values::pattern(&mut cx.problems, i, "log = \"connected\""));
    let app = fields.field("app", |i| cx.apps.resolve(&mut cx.problems, i)).optional();
    let app = app?.map(AppId);
    let help =
        "its output cannot be read: wait for a state of a flow, or for an outcome from a file";
    cx.must_be_started(app, fields.at(), "`log` waits for output", help).then_some(())?;
    Some(Trigger::Log { log: log.good()?, app })
}

fn after_flow(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Trigger> {
    let flow = fields.field("flow", |i| cx.flows.resolve(&mut cx.problems, i));
    let states = [
        ("opened", FlowState::Opened),
        ("established", FlowState::Established),
        ("closed", FlowState::Closed),
    ];
    let state = fields.field("state", |i| values::choice(&mut cx.problems, i, &states));
    if !state.is_present() {
        fields.missing(&mut cx.problems, "state", "state = \"established\"");
    }
    Some(Trigger::Flow { flow: FlowId(flow.good()?), state: state.good()? })
}

fn after_outcome(cx: &mut Context<'_>, item: Item<'_>) -> Option<Trigger> {
    const EXAMPLE: &str = "outcome = { app = \"sender\", count = 5 }";
    let mut fields = Fields::of(&mut cx.problems, item, "`outcome`", EXAMPLE)?;
    let app = cx.needed_app(&mut fields);
    let count = fields.field("count", |i| values::integer(&mut cx.problems, i, 1, u64::MAX));
    if !count.is_present() {
        fields.missing(&mut cx.problems, "count", "count = 5");
    }
    fields.finish(&mut cx.problems);
    let AppId(app) = app?;
    if !cx.app_outcomes[app] {
        let name = cx.apps.name(app);
        let message = format!("the app `{name}` has no [app.outcomes] to count");
        let help = "add an [app.outcomes] to it, or wait for a `log` line";
        cx.problems.push(Problem::new(item.at(), message, help).relational());
        return None;
    }
    Some(Trigger::Outcomes { app: AppId(app), count: count.good()? })
}
