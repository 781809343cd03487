//! `exclude` of a `[[flow]]`: sockets that it is never.

use super::Context;
use super::flows::{self, MAX_COOKIE};
use super::hello;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{AppId, Exclude};
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

const EXAMPLE: &str = "exclude = { remote = \"10.0.0.0/8:443\" }";

/// Reads a table, or an array of them; `flow` are the keys of the flow that has it, `of` is its app.
pub fn read(
    cx: &mut Context<'_>,
    item: Item<'_>,
    flow: &mut Fields<'_>,
    of: Option<AppId>,
) -> Option<Vec<Exclude>> {
    match &item.node.value {
        Value::Array(nodes) if nodes.is_empty() => {
            wrong_value(&mut cx.problems, item, "it is empty", &format!("for example `{EXAMPLE}`"));
            None
        }
        Value::Array(nodes) => {
            let read: Vec<_> = nodes.iter().map(|n| one(cx, item.element(n), flow, of)).collect();
            read.into_iter().collect()
        }
        _ => one(cx, item, flow, of).map(|one| vec![one]),
    }
}

fn one(
    cx: &mut Context<'_>,
    item: Item<'_>,
    flow: &mut Fields<'_>,
    of: Option<AppId>,
) -> Option<Exclude> {
    let mut fields = Fields::of(&mut cx.problems, item, "an `exclude`", EXAMPLE)?;
    let (names, problems) = (&cx.apps, &mut cx.problems);
    let app = fields.field("app", |item| names.resolve(problems, item));
    let remote = fields.field("remote", |i| flows::remote(problems, i));
    let local = fields.field("local", |i| flows::local(problems, i));
    let cookie = fields.field("cookie", |i| values::integer(problems, i, 1, MAX_COOKIE));
    let fd = fields.field("fd", |i| values::small(problems, i, 0, i32::MAX as u32));
    let uid = fields.field("uid", |i| values::small(problems, i, 0, u32::MAX - 1));
    let cgroup = fields.field("cgroup", |i| flows::cgroup(problems, i));
    let said = hello::read(problems, &mut fields);
    let before = problems.len();
    if item.node.as_table().is_some_and(|table| table.entries.is_empty()) {
        wrong_value(problems, item, "it excludes nothing", &format!("for example `{EXAMPLE}`"));
    }
    if let (Some(entry), Some(of)) = (fields.entry("app"), of) {
        let help = "leave it out, or let the [[flow]] be any app's";
        let message = format!("`exclude` by `app` in a flow of the app `{}`", cx.apps.name(of.0));
        problems.push(Problem::new(entry.key_at, message, help));
    }
    for entry in fields.present(&["cookie", "fd", "cgroup"]) {
        super::running::needs_attached(cx, of, entry, super::running::reason(&entry.key));
    }
    let first = fields.present(&["sni", "http_path"]);
    hello::fits(cx, flow, &first, of);
    fields.finish(&mut cx.problems);
    let fits = cx.problems.len() == before;
    fits.then_some(())?;
    Some(Exclude {
        app: app.optional()?.map(AppId),
        remote: remote.optional()?,
        local: local.optional()?,
        uid: uid.optional()?,
        cgroup: cgroup.optional()?,
        hello: said?,
        cookie: cookie.optional()?,
        fd: fd.optional()?.and_then(|fd| i32::try_from(fd).ok()),
    })
}
