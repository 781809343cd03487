//! `[[step]]`: what happens when.

use super::{Context, faults, line, timeline, triggers};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{AppId, Clear, FlowId, SignalSpec, Step, Trigger};
use crate::scenario::names::{identifier, nearest};
use crate::scenario::reader::{Field, Fields, Item, array, wrong_type, wrong_value};
use crate::scenario::signals;
use crate::scenario::tree::{Node, Value};
use crate::scenario::values;

/// The keys of which a step needs at least one.
const ACTIONS: [&str; 6] = ["faults", "clear", "exec", "signal", "start", "stop"];

/// Reads all steps, and checks what holds between them.
pub fn read_all(cx: &mut Context<'_>, nodes: &[Node]) -> Option<Vec<Step>> {
    let mut drafts = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        drafts.push(step(cx, index, Item { key: "step", node }));
    }
    let triggers: Vec<_> = drafts.iter().map(|d| d.trigger.clone()).collect();
    timeline::check(cx, nodes, &triggers);
    let steps: Vec<Step> = drafts.into_iter().map(|draft| draft.step).collect::<Option<_>>()?;
    line::check_mixed(cx, nodes, &steps);
    Some(steps)
}

/// A step that may be wrong; its trigger is known even if the rest is not.
struct Draft {
    trigger: Option<Trigger>,
    step: Option<Step>,
}

fn step(cx: &mut Context<'_>, index: usize, item: Item<'_>) -> Draft {
    let fields = Fields::of(&mut cx.problems, item, "a [[step]]", "[[step]]");
    let Some(mut fields) = fields else {
        return Draft { trigger: None, step: None };
    };
    let trigger = triggers::read(cx, &mut fields);
    let step = actions(cx, &mut fields, index, trigger.clone());
    fields.finish(&mut cx.problems);
    Draft { trigger, step }
}

fn actions(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    index: usize,
    trigger: Option<Trigger>,
) -> Option<Step> {
    let given = fields.field("name", |i| identifier(&mut cx.problems, i)).optional();
    let faults = fields.field("faults", |i| faults::read(cx, i));
    let lasts = fields.field("for", |i| values::positive_duration(&mut cx.problems, i));
    let clear = fields.field("clear", |i| clear(cx, i));
    let exec = fields.field("exec", |i| values::command(&mut cx.problems, i));
    let signal = fields.field("signal", |i| signal(cx, i));
    let start = fields.field("start", |i| cx.apps.resolve(&mut cx.problems, i));
    let stop = fields.field("stop", |i| cx.apps.resolve(&mut cx.problems, i));
    let fits = combination(cx, fields, &start, &stop) && of_the_run(cx, &start, &stop);
    fits.then_some(())?;
    Some(Step {
        name: given?.unwrap_or_else(|| cx.steps.name(index).to_owned()),
        trigger: trigger?,
        faults: faults.or(Vec::new())?,
        lasts: lasts.optional()?,
        clear: clear.or(Clear::Nothing)?,
        exec: exec.optional()?,
        signal: signal.optional()?,
        start: start.optional()?.map(AppId),
        stop: stop.optional()?.map(AppId),
    })
}

/// What holds between the actions of one step. Returns whether all of it does.
fn combination(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    start: &Field<usize>,
    stop: &Field<usize>,
) -> bool {
    let before = cx.problems.len();
    if fields.present(&ACTIONS).is_empty() {
        let help = "add at least one of `faults`, `clear`, `exec`, `signal`, `start`, `stop`";
        let problem = Problem::new(fields.at(), "the step does nothing", help);
        cx.problems.push(problem.relational());
    }
    if let (Some(lasts), None) = (fields.entry("for"), fields.entry("faults")) {
        let help = "`for` says when the step's faults are lifted: add `faults`, or leave it out";
        cx.problems.push(Problem::new(lasts.key_at, "`for` needs `faults`", help).relational());
    }
    if let (Field::Good(started, start_at), Field::Good(stopped, stop_at)) = (start, stop)
        && started == stopped
    {
        let help = "make two steps of it: one stops the app, the next one (`after`) starts it";
        cx.problems.push(
            Problem::new(*stop_at, "`stop` contradicts `start` in the same step", help)
                .also(*start_at, "the same app"),
        );
    }
    cx.problems.len() == before
}

/// What runs already is neither started nor ended by the run.
fn of_the_run(cx: &mut Context<'_>, start: &Field<usize>, stop: &Field<usize>) -> bool {
    let mut fits = true;
    if let Field::Good(app, at) = start {
        let help = "leave `start` out: it is there from the beginning";
        fits &= cx.must_be_started(Some(AppId(*app)), *at, "`start` starts an app", help);
    }
    if let Field::Good(app, at) = stop {
        let help = "to end it nevertheless: `signal = { app = \"...\", name = \"TERM\" }`";
        fits &= cx.must_be_started(Some(AppId(*app)), *at, "`stop` ends an app", help);
    }
    fits
}

fn clear(cx: &mut Context<'_>, item: Item<'_>) -> Option<Clear> {
    const EXAMPLE: &str = "`clear = true` lifts everything, `clear = [\"FLOW\"]` one flow's faults";
    match &item.node.value {
        Value::Boolean(true) => Some(Clear::All),
        Value::Boolean(false) => {
            let help = format!("leave the key out; {EXAMPLE}");
            wrong_value(&mut cx.problems, item, "false would do nothing", &help);
            None
        }
        Value::Array(_) => {
            let nodes = array(&mut cx.problems, item, "an array", EXAMPLE)?;
            if nodes.is_empty() {
                wrong_value(&mut cx.problems, item, "the list is empty", EXAMPLE);
                return None;
            }
            let mut flows = Vec::new();
            for node in nodes {
                flows.push(cx.flows.resolve(&mut cx.problems, item.element(node)).map(FlowId));
            }
            flows.into_iter().collect::<Option<_>>().map(Clear::Flows)
        }
        _ => {
            let expected = "true or an array of flow names";
            wrong_type(&mut cx.problems, item, expected, "clear = true");
            None
        }
    }
}

fn signal(cx: &mut Context<'_>, item: Item<'_>) -> Option<SignalSpec> {
    const EXAMPLE: &str = "signal = { app = \"sender\", name = \"KILL\" }";
    let mut fields = Fields::of(&mut cx.problems, item, "`signal`", EXAMPLE)?;
    let app = cx.needed_app(&mut fields);
    let number = fields.field("name", |i| signal_name(&mut cx.problems, i));
    if !number.is_present() {
        fields.missing(&mut cx.problems, "name", "name = \"KILL\"");
    }
    let at = fields.at();
    fields.finish(&mut cx.problems);
    if let Some(AppId(index)) = app
        && matches!(cx.attached.get(index), Some(Some("cgroup" | "container")))
    {
        let message = format!(
            "`signal` goes to a process, and the app `{}` is a cgroup",
            cx.apps.name(index)
        );
        let help = "attach to one process with `pid` or `process`, or signal it with `exec`";
        cx.problems.push(Problem::new(at, message, help));
        return None;
    }
    Some(SignalSpec { app: app?, signal: number.good()? })
}

fn signal_name(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<i32> {
    let name = values::text(problems, item, "name = \"KILL\"")?;
    let number = signals::number(&name);
    if number.is_none() {
        let list = format!("one of {}", signals::names().collect::<Vec<_>>().join(", "));
        let bare = name.to_uppercase();
        let near = nearest(bare.strip_prefix("SIG").unwrap_or(&bare), signals::names());
        let help = match near {
            Some(near) => format!("did you mean \"{near}\"?\n{list}"),
            None => list,
        };
        wrong_value(problems, item, &format!("\"{name}\" is not a signal"), &help);
    }
    number
}
