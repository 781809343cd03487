//! `[[app]]`: who takes part.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Context, attach, outcomes, read_each};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{App, Ready, Stdio};
use crate::scenario::names::identifier;
use crate::scenario::reader::{Field, Fields, Item, wrong_type, wrong_value};
use crate::scenario::tree::{Node, Value};
use crate::scenario::values;

const GRACE: Duration = Duration::from_secs(5);
const READY_WITHIN: Duration = Duration::from_secs(30);

const STDIO: [(&str, Stdio); 2] = [("socket", Stdio::Socket), ("pipe", Stdio::Pipe)];

/// Reads all apps; `steps` tells which of them are ever started.
pub fn read_all(cx: &mut Context<'_>, nodes: &[Node], steps: &[Node]) -> Option<Vec<App>> {
    let read = read_each(cx, nodes, "app", |cx, _, item| app(cx, item, steps))?;
    Some(resolve_main(read))
}

/// An app whose `main` may still be open.
type Draft = (App, Option<bool>);

/// The contract's default: the apps started at the beginning that have outcomes; if none of
/// them has, all that are started at the beginning.
fn resolve_main(drafts: Vec<Draft>) -> Vec<App> {
    // What is attached to is not waited for.
    let begins = |app: &App| app.autostart && app.attach.is_none();
    let any_outcomes = drafts.iter().any(|(app, _)| begins(app) && app.outcomes.is_some());
    let resolve = |(app, main): Draft| {
        let default = begins(&app) && (app.outcomes.is_some() || !any_outcomes);
        App { main: main.unwrap_or(default), ..app }
    };
    drafts.into_iter().map(resolve).collect()
}

fn app(cx: &mut Context<'_>, item: Item<'_>, steps: &[Node]) -> Option<Draft> {
    let problems = &mut cx.problems;
    let mut fields = Fields::of(problems, item, "an [[app]]", "[[app]]")?;
    let name = name(problems, &mut fields);
    let attach = attach::read(problems, &mut fields);
    let children = fields.field("children", |i| values::boolean(problems, i)).or(false);
    let command = command(problems, &mut fields, attach.is_present());
    let env = fields.field("env", |i| environment(problems, i)).or(BTreeMap::new());
    let cwd = fields.field("cwd", |i| values::text(problems, i, "cwd = \"data\"")).optional();
    let user = fields.field("user", |i| user(problems, i)).optional();
    let ready = fields.field("ready", |i| ready(problems, i)).optional();
    let main = fields.field("main", |i| values::boolean(problems, i)).optional();
    let grace = fields.field("grace", |i| values::duration(problems, i)).or(GRACE);
    let autostart = autostart(problems, &mut fields, name.good_ref().cloned(), steps);
    let stdio = fields.field("stdio", |i| values::choice(problems, i, &STDIO));
    let base_dir = cx.base_dir;
    let outcomes = fields.field("outcomes", |i| outcomes::read(problems, i, base_dir)).optional();
    let fits = attach::fits(problems, &mut fields);
    fields.finish(problems);
    fits.then_some(())?;
    let attach = attach.optional()?;
    let app = App {
        name: name.good()?,
        command: command.or(Vec::new())?,
        env: env?,
        cwd: cwd?.map_or_else(|| base_dir.to_owned(), |dir| base_dir.join(dir)),
        user: user?,
        ready: ready?,
        main: false,
        grace: grace?,
        autostart: autostart?,
        outcomes: outcomes?,
        stdio: stdio.or(Stdio::default())?,
        attach,
        children: children?,
    };
    Some((app, main?))
}

fn name(problems: &mut Vec<Problem>, fields: &mut Fields<'_>) -> Field<String> {
    let name = fields.field("name", |i| identifier(problems, i));
    if !name.is_present() {
        fields.missing(problems, "name", "name = \"sender\"");
    }
    name
}

/// `command`, which only an app that is attached to does without.
fn command(
    problems: &mut Vec<Problem>,
    fields: &mut Fields<'_>,
    attached: bool,
) -> Field<Vec<String>> {
    let command = fields.field("command", |i| values::command(problems, i));
    if !command.is_present() && !attached {
        fields.missing(problems, "command", "command = [\"./sender\", \"--count\", \"20\"]");
    }
    command
}

/// `autostart = false` needs a step that starts the app, else nothing ever does.
fn autostart(
    problems: &mut Vec<Problem>,
    fields: &mut Fields<'_>,
    name: Option<String>,
    steps: &[Node],
) -> Option<bool> {
    let item = fields.item("autostart");
    let value = fields.field("autostart", |i| values::boolean(problems, i)).or(true)?;
    if let (false, Some(item), Some(name)) = (value, item, name) {
        let starts = |step: &Node| {
            step.as_table()
                .and_then(|t| t.get("start"))
                .is_some_and(|e| e.node.as_str().is_none_or(|started| started == name))
        };
        if !steps.iter().any(starts) {
            let message = format!("nothing ever starts the app `{name}`");
            let help = format!("add a step with `start = \"{name}\"`, or leave `autostart` out");
            problems.push(Problem::new(item.at(), message, help).relational());
            return None;
        }
    }
    Some(value)
}

fn environment(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<BTreeMap<String, String>> {
    let example = "env = { RUST_LOG = \"info\" }";
    let Some(table) = item.node.as_table() else {
        wrong_type(problems, item, "a table", example);
        return None;
    };
    let mut complete = true;
    let mut env = BTreeMap::new();
    for entry in &table.entries {
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let message =
                format!("`{}` cannot be the name of a variable", entry.key.escape_debug());
            problems.push(Problem::new(entry.key_at, message, format!("for example `{example}`")));
            complete = false;
        }
        let value = Item { key: &entry.key, node: &entry.node };
        let example = match &entry.node.value {
            Value::Integer(number) => format!("{} = \"{number}\"", entry.key),
            Value::Boolean(value) => format!("{} = \"{value}\"", entry.key),
            _ => example.to_owned(),
        };
        match values::string(problems, value, &example) {
            Some(text) => drop(env.insert(entry.key.clone(), text)),
            None => complete = false,
        }
    }
    complete.then_some(env)
}

/// A user name, or a uid as a number or in digits.
fn user(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<String> {
    match &item.node.value {
        Value::Integer(_) => {
            // 2^32 - 1 is "no change" to setuid, not a user.
            values::small(problems, item, 0, u32::MAX - 1).map(|uid| uid.to_string())
        }
        Value::String(name) if name.contains([':', '\n', '/']) => {
            let help = "a name or a uid, for example `user = \"nobody\"` or `user = 1000`";
            wrong_value(problems, item, "it is not a user name", help);
            None
        }
        _ => values::text(problems, item, "user = \"nobody\""),
    }
}

fn ready(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<Ready> {
    const EXAMPLE: &str = "ready = { log = \"connected\", within = \"30s\" }";
    let mut fields = Fields::of(problems, item, "`ready`", EXAMPLE)?;
    let log = fields.field("log", |i| values::pattern(problems, i, "log = \"connected\""));
    if !log.is_present() {
        fields.missing(problems, "log", "log = \"connected\"");
    }
    let within = fields.field("within", |i| values::positive_duration(problems, i));
    fields.finish(problems);
    Some(Ready { log: log.good()?, within: within.or(READY_WITHIN)? })
}
