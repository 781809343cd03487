//! `sni` and `http_path`: what a client says first.

use super::Context;
use crate::scenario::address::is_label;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{AppId, Hello, Text};
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::tree::Entry;
use crate::scenario::values;

type Problems = Vec<Problem>;

/// Bytes of a name or path that are told apart.
const LONGEST: usize = fault_common::hello::LONGEST as usize;
const SNI_HELP: &str =
    "a host name, \"chat.example\", or \"*.example\" for all hosts below a domain";
const PATH_HELP: &str = "\"/v1/chat\", or \"/v1/*\" for all paths that begin so; without a query";

/// Reads both keys of a flow or an `exclude`; at most one may be there.
pub fn read(problems: &mut Problems, fields: &mut Fields<'_>) -> Option<Option<Hello>> {
    let sni = fields.field("sni", |i| sni(problems, i));
    let path = fields.field("http_path", |i| path(problems, i));
    if let (Some(_), Some(path)) = (fields.entry("sni"), fields.entry("http_path")) {
        let help = "of a TLS connection only the server name can be read: leave one of the two out";
        problems.push(Problem::new(path.key_at, "`http_path` contradicts `sni`", help));
        return None;
    }
    match (sni, path) {
        (Field::Absent, path) => path.optional(),
        (sni, _) => sni.optional(),
    }
}

fn sni(problems: &mut Problems, item: Item<'_>) -> Option<Hello> {
    let given = values::text(problems, item, "sni = \"chat.example\"")?;
    let (name, open) = match given.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (given.as_str(), false),
    };
    let labels = if open { name.strip_prefix('.').unwrap_or("*") } else { name };
    let address = name.parse::<std::net::IpAddr>().is_ok();
    if address || name.len() > LONGEST || !labels.split('.').all(is_label) {
        let why = match address {
            true => format!("\"{given}\" is an address, for which no client sends a server name"),
            false => format!("\"{given}\" is not a server name"),
        };
        wrong_value(problems, item, &why, SNI_HELP);
        return None;
    }
    Some(Hello::Sni(Text { text: name.to_ascii_lowercase(), open }))
}

fn path(problems: &mut Problems, item: Item<'_>) -> Option<Hello> {
    let given = values::text(problems, item, "http_path = \"/v1/chat\"")?;
    let (path, open) = match given.strip_suffix('*') {
        Some(rest) => (rest, true),
        None => (given.as_str(), false),
    };
    let fits = |b: u8| b.is_ascii_graphic() && !b"?#*".contains(&b);
    // An exact path must be told from longer ones.
    if !path.starts_with('/') || path.len() >= LONGEST || !path.bytes().all(fits) {
        let why = format!("\"{given}\" is not a path of at most {} bytes", LONGEST - 1);
        wrong_value(problems, item, &why, PATH_HELP);
        return None;
    }
    Some(Hello::Path(Text { text: path.to_owned(), open }))
}

/// Checks what stands beside them in a flow; whether it fits.
pub fn fits_itself(cx: &mut Context<'_>, flow: &mut Fields<'_>, app: Option<AppId>) -> bool {
    let said = flow.present(&["sni", "http_path"]);
    fits(cx, flow, &said, app)
}

/// The same where they stand in a flow or in its `exclude`.
pub fn fits(
    cx: &mut Context<'_>,
    flow: &mut Fields<'_>,
    said: &[&Entry],
    app: Option<AppId>,
) -> bool {
    let before = cx.problems.len();
    for entry in said {
        for key in ["opened_after", "cookie", "fd"] {
            if let Some(other) = flow.entry(key) {
                let message = format!("`{}` contradicts `{key}`", entry.key);
                let help = format!(
                    "`{key}` picks a socket before it says anything: leave one of the two out"
                );
                let problem = Problem::new(entry.key_at, message, help);
                cx.problems.push(problem.also(other.key_at, "known earlier"));
            }
        }
        for (key, word, help) in [
            ("protocol", "udp", "QUIC encrypts its ClientHello: pick the flow by `remote`"),
            (
                "opened",
                "accept",
                "what is said to a server comes too late to be met: pick it by `local`",
            ),
        ] {
            if let Some(other) = flow.entry(key).filter(|e| e.node.as_str() == Some(word)) {
                let message = format!("`{}` is what the app says first, over TCP", entry.key);
                let problem = Problem::new(entry.key_at, message, help);
                cx.problems.push(problem.also(other.key_at, format!("not so with \"{word}\"")));
            }
        }
        let attached = match app {
            Some(AppId(app)) => cx.attached.get(app).is_some_and(Option::is_some),
            // One that is not known, which is an error already.
            None if flow.entry("app").is_some() => false,
            None => cx.attached.iter().any(Option::is_some),
        };
        if attached {
            let message = format!(
                "`{}` needs an app that the run starts: what open sockets said first, nobody has seen",
                entry.key
            );
            let help =
                "pick it by `remote` with `local`, or by `cookie`, or name a started app as `app`";
            cx.problems.push(Problem::new(entry.key_at, message, help));
        }
    }
    cx.problems.len() == before
}
