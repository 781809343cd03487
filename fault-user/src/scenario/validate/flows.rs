//! `[[flow]]`: which sockets are meant.

use std::time::Duration;

use fault_common::rule::MAX_FLOWS;

use super::{Context, exclude, hello, read_each, running};
use crate::scenario::address::{self, AddressError};
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{
    AppId, Flow, Local, Marker, Opened, OpenedAfter, Pattern, Protocol, Remote, Same,
};
use crate::scenario::names::identifier;
use crate::scenario::reader::{Fields, Item, wrong_value};
use crate::scenario::tree::{Node, Value};
use crate::scenario::values;

type Problems = Vec<Problem>;

const WITHIN: Duration = Duration::from_secs(30);
/// Sockets that one entry may stand for at a time.
const MAX_SOCKETS: u32 = 1024;
/// Bytes that the kernel can look for in a line of output.
const MAX_LITERAL: usize = 256;

/// TOML has no larger number; the kernel counts cookies up from 1.
pub(super) const MAX_COOKIE: u64 = i64::MAX as u64;
/// The keys of which a flow needs at least one.
const SELECTORS: [&str; 10] = [
    "remote",
    "local",
    "opened_after",
    "cookie",
    "fd",
    "uid",
    "cgroup",
    "share",
    "sni",
    "http_path",
];

const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
const OPENED: [(&str, Opened); 2] = [("connect", Opened::Connect), ("accept", Opened::Accept)];

/// Reads all flows.
pub fn read_all(cx: &mut Context<'_>, nodes: &[Node]) -> Option<Vec<Flow>> {
    if let Some(node) = nodes.get(MAX_FLOWS as usize) {
        let message = format!("a scenario has at most {MAX_FLOWS} flows, this has {}", nodes.len());
        let help = "let one [[flow]] stand for several sockets with `max_flows`";
        cx.problems.push(Problem::new(node.at, message, help));
    }
    read_each(cx, nodes, "flow", |cx, _, item| flow(cx, item))
}

fn flow(cx: &mut Context<'_>, item: Item<'_>) -> Option<Flow> {
    let mut fields = Fields::of(&mut cx.problems, item, "a [[flow]]", "[[flow]]")?;
    let app = cx.app(&mut fields);
    let problems = &mut cx.problems;
    let name = fields.field("name", |i| identifier(problems, i));
    if !name.is_present() {
        fields.missing(problems, "name", "name = \"upstream\"");
    }
    let remote = fields.field("remote", |i| remote(problems, i));
    let local = fields.field("local", |i| local(problems, i));
    let nth = fields.field("nth", |i| values::small(problems, i, 1, u32::MAX));
    let protocol = fields.field("protocol", |i| values::choice(problems, i, &PROTOCOLS));
    let opened = fields.field("opened", |i| values::choice(problems, i, &OPENED));
    let after = fields.field("opened_after", |i| opened_after(problems, i));
    let cookie = fields.field("cookie", |i| values::integer(problems, i, 1, MAX_COOKIE));
    let fd = fields.field("fd", |i| values::small(problems, i, 0, i32::MAX as u32));
    // 2^32 - 1 is no user.
    let uid = fields.field("uid", |i| values::small(problems, i, 0, u32::MAX - 1));
    let cgroup = fields.field("cgroup", |i| cgroup(problems, i));
    let said = hello::read(problems, &mut fields);
    let share = fields.field("share", |i| share(problems, i));
    let max_flows = fields.field("max_flows", |i| values::small(problems, i, 1, MAX_SOCKETS));
    let follow = fields.field("follow", |i| values::boolean(problems, i));
    let within = fields.field("within", |i| values::positive_duration(problems, i));
    let hello_fits = hello::fits_itself(cx, &mut fields, app.flatten());
    let exclude = fields.item("exclude").map(|i| exclude::read(cx, i, &mut fields, app.flatten()));
    let fits = combination(cx, &mut fields, app) && running::fits(cx, &mut fields, app);
    fields.finish(&mut cx.problems);
    (fits && hello_fits).then_some(())?;
    Some(Flow {
        name: name.good()?,
        app: app?,
        remote: remote.optional()?,
        local: local.optional()?,
        protocol: protocol.or(Protocol::default())?,
        nth: nth.optional()?,
        opened: opened.optional()?,
        opened_after: after.optional()?,
        cookie: cookie.optional()?,
        fd: fd.optional()?.and_then(|fd| i32::try_from(fd).ok()),
        uid: uid.optional()?,
        cgroup: cgroup.optional()?,
        hello: said?,
        exclude: exclude.map_or(Some(Vec::new()), |read| read)?,
        max_flows: max_flows.or(if share.is_present() { MAX_SOCKETS } else { 1 })?,
        // All of them is no choice.
        share: share.optional()?.filter(|share| *share < 1.0),
        follow: follow.or(false)?,
        within: within.or(WITHIN)?,
    })
}

/// What holds between the selectors of one flow. Returns whether all of it does.
fn combination(cx: &mut Context<'_>, fields: &mut Fields<'_>, app: Option<Option<AppId>>) -> bool {
    let mut found = Vec::new();
    let [nth, after] = ["nth", "opened_after"].map(|key| fields.entry(key));
    let remote = fields.entry("remote");
    let accepted = fields.entry("opened").is_some_and(|e| e.node.as_str() == Some("accept"));
    let said = !fields.present(&["sni", "http_path"]).is_empty();
    if let (Some(nth), None, false) = (nth, remote, accepted || said) {
        let help = "add the remote whose connections are counted, for example \
                    `remote = \"chat.example:443\"`";
        found.push(Problem::new(nth.key_at, "`nth` needs `remote`", help).relational());
    }
    if let (Some(nth), Some(max)) = (nth, fields.entry("max_flows"))
        && matches!(max.node.value, Value::Integer(sockets) if sockets != 1)
    {
        let help = "`nth` picks a single connection: leave one of the two out";
        found.push(
            Problem::new(max.key_at, "`max_flows` contradicts `nth`", help)
                .also(nth.key_at, "a single connection"),
        );
    }
    if let (Some(nth), Some(share)) = (nth, fields.entry("share")) {
        let help = "`nth` picks a single connection: leave one of the two out";
        found.push(
            Problem::new(share.key_at, "`share` contradicts `nth`", help)
                .also(nth.key_at, "a single connection"),
        );
    }
    if let (Some(after), Some(None)) = (after, app) {
        let help = format!("say whose output, for example `{}`", cx.app_example());
        found.push(Problem::new(after.key_at, "`opened_after` needs `app`", help).relational());
    }
    let selected = fields.present(&SELECTORS);
    if selected.is_empty() && nth.is_none() && !accepted {
        let help = "add `remote`, `local` or `opened_after`; a flow without a selector would be \
                    every connection there is";
        let problem = Problem::new(fields.at(), "a [[flow]] needs a selector", help);
        found.push(problem.label("nothing says which socket").relational());
    }
    let fits = found.is_empty();
    cx.problems.extend(found);
    fits
}

pub(super) fn remote(problems: &mut Problems, item: Item<'_>) -> Option<Remote> {
    let text = values::text(problems, item, "remote = \"chat.example:443\"")?;
    report(problems, item, address::parse_remote(&text))
}

pub(super) fn local(problems: &mut Problems, item: Item<'_>) -> Option<Local> {
    let text = values::text(problems, item, "local = \"127.0.0.1:5000\"")?;
    report(problems, item, address::parse_local(&text))
}

/// The name of a cgroup, or its path.
pub(super) fn cgroup(problems: &mut Problems, item: Item<'_>) -> Option<String> {
    values::text(problems, item, "cgroup = \"system.slice/coop.service\"")
}

/// A part of something that is not nothing.
fn share(problems: &mut Problems, item: Item<'_>) -> Option<f64> {
    let share = values::fraction(problems, item, "a number above 0.0 and up to 1.0")?;
    if share == 0.0 {
        let help = "above 0.0, for example `share = 0.1` for every tenth, more or less";
        wrong_value(problems, item, "it would be no socket at all", help);
        return None;
    }
    Some(share)
}

fn report<T>(
    problems: &mut Problems,
    item: Item<'_>,
    parsed: Result<T, AddressError>,
) -> Option<T> {
    parsed.map_err(|error| wrong_value(problems, item, &error.why, &error.help)).ok()
}

fn opened_after(problems: &mut Problems, item: Item<'_>) -> Option<OpenedAfter> {
    const EXAMPLE: &str = "opened_after = { log = \"creating websocket\" }";
    let mut fields = Fields::of(problems, item, "`opened_after`", EXAMPLE)?;
    let log = fields.field("log", |i| marker(problems, i));
    if !log.is_present() {
        fields.missing(problems, "log", "log = \"creating websocket\"");
    }
    let same = fields.field("same", |i| {
        values::choice(problems, i, &[("process", Same::Process), ("thread", Same::Thread)])
    });
    fields.finish(problems);
    Some(OpenedAfter { log: log.good()?, same: same.or(Same::default())? })
}

/// Text without a metacharacter is looked for by the kernel, anything else by the controller.
fn marker(problems: &mut Problems, item: Item<'_>) -> Option<Marker> {
    let Pattern(regex) = values::pattern(problems, item, "log = \"creating websocket\"")?;
    let text = regex.as_str();
    if text.contains(is_meta) {
        return Some(Marker::Regex(Pattern(regex)));
    }
    if text.len() > MAX_LITERAL {
        let why = format!("it is {} bytes long", text.len());
        let help = format!("at most {MAX_LITERAL} bytes: a telling part of the line will do");
        wrong_value(problems, item, &why, &help);
        return None;
    }
    Some(Marker::Literal(text.to_owned()))
}

/// Characters that mean something in a regular expression. `regex::escape` also escapes `#`,
/// `-`, `&` and `~`, which mean themselves outside of brackets.
fn is_meta(c: char) -> bool {
    "\\.+*?()|[]{}^$".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree::Place;

    fn read(text: &str) -> Option<Marker> {
        let at = Place { source: 0, start: 0, end: 0 };
        let node = Node { at, value: Value::String(text.into()) };
        marker(&mut Vec::new(), Item { key: "log", node: &node })
    }

    #[test]
    fn plain_text_is_a_literal_and_metacharacters_make_a_regex() {
        for text in ["creating unidentified websocket", "a-b #1 & c~", "größe", "x"] {
            assert_eq!(read(text), Some(Marker::Literal(text.into())), "{text}");
        }
        for text in ["a.b", "^x", "x$", "[ab]", "a|b", "a\\.b"] {
            assert!(matches!(read(text), Some(Marker::Regex(_))), "{text}");
        }
        assert_eq!(read(&"x".repeat(257)), None);
        assert_eq!(read(""), None);
    }
}
