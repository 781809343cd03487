//! From the tree to the model: reads every entry, resolves every name, gathers every problem.
//!
//! A scenario is built only if there is no problem at all.

mod apps;
mod attach;
mod capture;
mod exclude;
mod expects;
mod faults;
mod flows;
mod hello;
mod line;
mod metrics;
mod outcomes;
mod running;
mod steps;
mod text;
mod timeline;
mod triggers;

pub use faults::{REJECTS, SEGMENTS, SIDES, THENS};

use std::path::Path;
use std::time::Duration;

use super::diagnostic::Problem;
use super::model::{AppId, Capture, Line, Scenario};
use super::names::Names;
use super::reader::{Fields, Item, array, wrong_type, wrong_value};
use super::tree::{Node, Place, Table, Value};
use super::values;

/// The version of the format that this program reads.
pub const SCHEMA: u64 = 1;

/// What the parts of a scenario need to know of each other while they are read.
#[derive(Debug)]
struct Context<'b> {
    problems: Vec<Problem>,
    apps: Names,
    flows: Names,
    steps: Names,
    /// For each app: whether it has an `[app.outcomes]`, right or wrong.
    app_outcomes: Vec<bool>,
    /// For each app: the key that makes it one that is attached to.
    attached: Vec<Option<&'static str>>,
    /// For each flow: whether it says that it is UDP.
    udp: Vec<bool>,
    /// The delay line, if it could be read.
    line: Option<Line>,
    /// The run's hard stop, if it could be read.
    duration: Option<Duration>,
    base_dir: &'b Path,
}

impl Context<'_> {
    /// Reads a reference to an app; without one it is the only app there is, if so.
    fn app(&mut self, fields: &mut Fields<'_>) -> Option<Option<AppId>> {
        let (names, problems) = (&self.apps, &mut self.problems);
        let field = fields.field("app", |item| names.resolve(problems, item));
        let given = field.optional()?;
        Some(given.or_else(|| self.apps.only()).map(AppId))
    }

    /// The same where an app is needed: with several apps, `app` must name one.
    fn needed_app(&mut self, fields: &mut Fields<'_>) -> Option<AppId> {
        let app = self.app(fields)?;
        if app.is_none() {
            let example = self.app_example();
            fields.missing(&mut self.problems, "app", &example);
        }
        app
    }

    /// Reports a use of an app that only those have which the run starts; whether it may be used so.
    fn must_be_started(&mut self, app: Option<AppId>, at: Place, what: &str, help: &str) -> bool {
        let Some(AppId(app)) = app else { return true };
        let Some(Some(key)) = self.attached.get(app) else { return true };
        let name = self.apps.name(app);
        let message = format!("{what}, and the app `{name}` runs already (`{key}`)");
        self.problems.push(Problem::new(at, message, help));
        false
    }

    fn app_example(&self) -> String {
        let name = if self.app_outcomes.is_empty() { "NAME" } else { self.apps.name(0) };
        format!("app = \"{name}\"")
    }
}

/// Validates a whole document. `base_dir` is what relative paths are relative to, `fallback_name`
/// the scenario's name if the file has none.
///
/// # Errors
/// Every problem that was found, in no particular order; none if what is wrong are only values
/// that are not TOML, whose errors the parser has.
pub fn document(
    root: &Table,
    base_dir: &Path,
    fallback_name: &str,
) -> Result<Scenario, Vec<Problem>> {
    let mut problems = Vec::new();
    let top = Place { source: 0, start: 0, end: 0 };
    let mut fields = Fields::new(root, top, "the scenario");
    schema(&mut problems, &mut fields);
    let [apps, flows, steps, expects] =
        ["app", "flow", "step", "expect"].map(|key| entries(&mut problems, &mut fields, key));
    if apps.is_empty() && fields.entry("app").is_none() {
        fields.missing(&mut problems, "[[app]]", "[[app]] with `name` and `command`");
    }
    let head = head(&mut problems, fields, fallback_name);
    let mut cx = Context {
        apps: Names::gather(&mut problems, "app", apps, None),
        flows: Names::gather(&mut problems, "flow", flows, None),
        steps: Names::gather(&mut problems, "step", steps, Some(|i| format!("step-{}", i + 1))),
        app_outcomes: apps.iter().map(|n| has_key(n, "outcomes")).collect(),
        attached: apps.iter().map(attach::key_of).collect(),
        udp: flows.iter().map(|n| says(n, "protocol", "udp")).collect(),
        line: head.line,
        duration: head.duration.flatten(),
        base_dir,
        problems,
    };
    let apps = apps::read_all(&mut cx, apps, steps);
    let flows = flows::read_all(&mut cx, flows);
    let steps = steps::read_all(&mut cx, steps);
    let expects = expects::read_all(&mut cx, expects);
    let scenario = head.scenario(apps, flows, steps, expects);
    match scenario {
        Some(scenario) if cx.problems.is_empty() => Ok(scenario),
        _ => Err(cx.problems),
    }
}

/// The keys at the top of the file; `None` where one was wrong.
struct Head {
    name: Option<String>,
    seed: Option<Option<u64>>,
    duration: Option<Option<Duration>>,
    late_after: Option<Option<Duration>>,
    line: Option<Line>,
    capture: Option<Capture>,
}

impl Head {
    fn scenario(
        self,
        apps: Option<Vec<super::model::App>>,
        flows: Option<Vec<super::model::Flow>>,
        steps: Option<Vec<super::model::Step>>,
        expects: Option<Vec<super::model::Expect>>,
    ) -> Option<Scenario> {
        Some(Scenario {
            name: self.name?,
            seed: self.seed?,
            duration: self.duration?,
            late_after: self.late_after?,
            line: self.line?,
            capture: self.capture?,
            apps: apps?,
            flows: flows?,
            steps: steps?,
            expects: expects?,
        })
    }
}

fn head(problems: &mut Vec<Problem>, mut fields: Fields<'_>, fallback_name: &str) -> Head {
    let name = fields.field("name", |item| title(problems, item)).or(fallback_name.to_owned());
    let seed = fields.field("seed", |item| values::integer(problems, item, 0, u64::MAX));
    let duration = fields.field("duration", |item| values::positive_duration(problems, item));
    let late = fields.field("late_after", |item| values::positive_duration(problems, item));
    let line = fields.field("line", |item| line::read(problems, item));
    let capture = fields.field("capture", |item| capture::read(problems, item));
    fields.finish(problems);
    Head {
        name,
        seed: seed.optional(),
        duration: duration.optional(),
        late_after: late.optional(),
        line: line.or(Line::default()),
        capture: capture.or(Capture::default()),
    }
}

fn title(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<String> {
    let text = values::text(problems, item, "name = \"the link dies silently\"")?;
    if text.chars().any(char::is_control) || text.chars().count() > 200 {
        let help = "one line of at most 200 characters; it stands in reports and folder names";
        wrong_value(problems, item, "it is not one short line", help);
        return None;
    }
    Some(text)
}

fn schema(problems: &mut Vec<Problem>, fields: &mut Fields<'_>) {
    let Some(item) = fields.item("schema") else {
        let help = "add `schema = 1` as the first line: it says which version of the format \
                    the file is written in";
        let problem = Problem::new(fields.at(), "the scenario needs `schema`", help);
        problems.push(problem.label("`schema` is missing").relational());
        return;
    };
    match item.node.value {
        Value::Integer(value) if value == i128::from(SCHEMA) => {}
        Value::Integer(value) => {
            let why = format!("version {value} of the format is not known");
            wrong_value(problems, item, &why, "this program reads `schema = 1`");
        }
        _ => wrong_type(problems, item, "a whole number", "schema = 1"),
    }
}

/// The entries of an array of tables.
fn entries<'t>(
    problems: &mut Vec<Problem>,
    fields: &mut Fields<'t>,
    key: &'static str,
) -> &'t [Node] {
    let Some(item) = fields.item(key) else {
        return &[];
    };
    let example = format!("[[{key}]]");
    if matches!(item.node.value, Value::Table(_)) {
        let help = format!("write the header with two brackets: `{example}`");
        let message = format!("`{key}` must be an array of tables, not a single table");
        problems.push(Problem::new(item.at(), message, help));
        return &[];
    }
    array(problems, item, "an array of tables", &example).unwrap_or(&[])
}

fn has_key(node: &Node, key: &str) -> bool {
    node.as_table().is_some_and(|table| table.get(key).is_some())
}

fn says(node: &Node, key: &str, word: &str) -> bool {
    node.as_table().and_then(|table| table.get(key)).and_then(|e| e.node.as_str()) == Some(word)
}

/// Reads every entry of an array of tables, and goes on after one that is wrong.
fn read_each<'t, T>(
    cx: &mut Context<'_>,
    nodes: &'t [Node],
    key: &'static str,
    mut read: impl FnMut(&mut Context<'_>, usize, Item<'t>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = nodes.iter().enumerate().map(|(i, node)| (i, Item { key, node }));
    let read: Vec<Option<T>> = items.map(|(i, item)| read(cx, i, item)).collect();
    read.into_iter().collect()
}
