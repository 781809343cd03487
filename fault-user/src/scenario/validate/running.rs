//! What holds for flows of apps that run already, and for selectors that only those have.

use super::Context;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::AppId;
use crate::scenario::reader::Fields;
use crate::scenario::tree::{Entry, Value};

const ATTACH: &str = "attach to the process that holds it: an [[app]] with `pid`, `process`, `cgroup` or `container`";

/// Checks one flow. Returns whether all of it fits.
pub fn fits(cx: &mut Context<'_>, fields: &mut Fields<'_>, app: Option<Option<AppId>>) -> bool {
    // An app that is not known is reported already.
    let Some(app) = app else { return true };
    let before = cx.problems.len();
    if let Some(after) = fields.entry("opened_after") {
        let help =
            "its output cannot be read: pick the connection by `remote` with `nth`, or by `local`";
        cx.must_be_started(app, after.key_at, "`opened_after` waits for output", help);
    }
    let open = fields.present(&["cookie", "fd"]);
    for entry in &open {
        needs_attached(cx, app, entry, reason(&entry.key));
        not_udp(cx, fields, entry, "pick it by `remote` and `local`: it is known by its datagrams");
        alone(cx, fields, entry);
    }
    if let (Some(fd), None) = (fields.entry("fd"), app) {
        let help = format!("say whose descriptor, for example `{}`", cx.app_example());
        cx.problems.push(Problem::new(fd.key_at, "`fd` needs `app`", help).relational());
    }
    if let Some(cgroup) = fields.entry("cgroup") {
        needs_attached(cx, app, cgroup, reason(&cgroup.key));
    }
    if let Some(opened) = fields.entry("opened")
        && opened.node.as_str() == Some("accept")
    {
        not_udp(cx, fields, opened, "nobody accepts in UDP: leave it out");
    }
    cx.problems.len() == before
}

/// Why only an app that is attached to can have that key.
pub fn reason(key: &str) -> &'static str {
    match key {
        "cgroup" => "tells processes apart that were there before",
        "opened" => "is told by who listens when the run starts",
        _ => "picks a socket that is open when the run starts",
    }
}

/// A selector that only an app which is attached to can have.
pub fn needs_attached(cx: &mut Context<'_>, app: Option<AppId>, entry: &Entry, why: &str) {
    let attached = match app {
        Some(AppId(app)) => cx.attached.get(app).is_some_and(Option::is_some),
        None => cx.attached.iter().any(Option::is_some),
    };
    if attached {
        return;
    }
    let message = match app {
        Some(AppId(app)) => {
            format!("`{}` {why}, and the run starts the app `{}`", entry.key, cx.apps.name(app))
        }
        None => format!("`{}` {why}, and the run starts all of its apps", entry.key),
    };
    cx.problems.push(Problem::new(entry.key_at, message, ATTACH).relational());
}

fn not_udp(cx: &mut Context<'_>, fields: &mut Fields<'_>, entry: &Entry, help: &str) {
    if let Some(protocol) = fields.entry("protocol")
        && protocol.node.as_str() == Some("udp")
    {
        let message = format!("`{}` needs TCP", entry.key);
        let problem = Problem::new(entry.key_at, message, help);
        cx.problems.push(problem.also(protocol.key_at, "the flow is UDP"));
    }
}

/// What says that there may be another socket, beside a selector that names one.
fn alone(cx: &mut Context<'_>, fields: &mut Fields<'_>, entry: &Entry) {
    for other in fields.present(&["nth", "max_flows", "follow", "share", "exclude"]) {
        let harmless = match other.node.value {
            Value::Integer(sockets) => other.key == "max_flows" && sockets == 1,
            Value::Boolean(follow) => !follow,
            _ => false,
        };
        if harmless {
            continue;
        }
        let message = format!("`{}` contradicts `{}`", other.key, entry.key);
        let help = format!(
            "`{}` is one socket, which is open already: leave one of the two out, or pick by `remote` and `local`",
            entry.key
        );
        cx.problems
            .push(Problem::new(other.key_at, message, help).also(entry.key_at, "a single socket"));
    }
}
