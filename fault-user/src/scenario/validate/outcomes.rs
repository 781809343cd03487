//! `[app.outcomes]`: how an app tells what became of a send.

use std::path::Path;

use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{
    OutcomeFields, OutcomeFormat, OutcomeSource, OutcomeTiming, Outcomes, Pattern,
};
use crate::scenario::names::nearest;
use crate::scenario::reader::{Field, Fields, Item, wrong_value};
use crate::scenario::tree::Value;
use crate::scenario::values;

type Problems = Vec<Problem>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Json,
    Regex,
}

/// Reads the table; a relative `file` is taken from `base_dir`.
pub fn read(problems: &mut Problems, item: Item<'_>, base_dir: &Path) -> Option<Outcomes> {
    const EXAMPLE: &str = "[app.outcomes]";
    let mut fields = Fields::of(problems, item, "[app.outcomes]", EXAMPLE)?;
    let from = fields.field("from", |i| source(problems, i, base_dir));
    let kind = fields.field("format", |i| {
        values::choice(problems, i, &[("json", Kind::Json), ("regex", Kind::Regex)])
    });
    let kind = kind.or(Kind::Json);
    let pattern = pattern(problems, &mut fields, kind);
    let groups = pattern.as_ref().and_then(Option::as_ref);
    let id = needed(problems, &mut fields, "id", groups);
    let status = needed(problems, &mut fields, "status", groups);
    let bytes = name(problems, &mut fields, "bytes", groups);
    let retry_of = name(problems, &mut fields, "retry_of", groups);
    let timing = timing(problems, &mut fields, groups);
    let (ok, failed) = statuses(problems, &mut fields);
    fields.finish(problems);
    let (bytes, retry_of) = (bytes.optional()?, retry_of.optional()?);
    let names = OutcomeFields { id: id?, status: status?, bytes, retry_of };
    let format = match pattern? {
        Some(pattern) => OutcomeFormat::Regex { pattern, fields: names },
        None => OutcomeFormat::Json(names),
    };
    let (from, timing) = (from.or(OutcomeSource::Stdout)?, timing?);
    Some(Outcomes { from, format, ok: ok?, failed: failed?, timing })
}

fn source(problems: &mut Problems, item: Item<'_>, base_dir: &Path) -> Option<OutcomeSource> {
    const EXAMPLE: &str = "from = { file = \"traces.jsonl\" }";
    if let Value::String(_) = item.node.value {
        let choices = [("stdout", false), ("stderr", true)];
        let stderr = values::choice(problems, item, &choices)?;
        return Some(if stderr { OutcomeSource::Stderr } else { OutcomeSource::Stdout });
    }
    let mut fields = Fields::of(problems, item, "`from`", EXAMPLE)?;
    let file = fields.field("file", |i| values::text(problems, i, "file = \"traces.jsonl\""));
    if !file.is_present() {
        fields.missing(problems, "file", "file = \"traces.jsonl\"");
    }
    fields.finish(problems);
    Some(OutcomeSource::File(base_dir.join(file.good()?)))
}

/// `pattern`, which `format = "regex"` needs and `format = "json"` must not have.
fn pattern(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    kind: Option<Kind>,
) -> Option<Option<Pattern>> {
    const EXAMPLE: &str = "pattern = 'sent (?<id>\\S+): (?<status>\\w+)'";
    let entry = fields.entry("pattern");
    let pattern = fields.field("pattern", |i| values::pattern(problems, i, EXAMPLE));
    match (kind?, pattern) {
        (Kind::Regex, Field::Absent) => {
            fields.missing(problems, "pattern", EXAMPLE);
            None
        }
        (Kind::Json, Field::Absent) => Some(None),
        (Kind::Json, _) => {
            let at = entry.map_or(fields.at(), |e| e.key_at);
            let help = "add `format = \"regex\"`, or leave `pattern` out";
            problems.push(Problem::new(at, "`pattern` contradicts `format = \"json\"`", help));
            None
        }
        (Kind::Regex, pattern) => Some(Some(pattern.good()?)),
    }
}

/// A dotted path, or with a `pattern` the name of one of its groups.
fn name(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    key: &'static str,
    groups: Option<&Pattern>,
) -> Field<String> {
    let example = format!("{key} = \"{key}\"");
    fields.field(key, |item| {
        let name = values::text(problems, item, &example)?;
        let Some(Pattern(regex)) = groups else {
            return Some(name);
        };
        let known: Vec<&str> = regex.capture_names().flatten().collect();
        if known.contains(&name.as_str()) {
            return Some(name);
        }
        let mut help = format!("the groups of `pattern`: {}", known.join(", "));
        if known.is_empty() {
            help = format!("name a group of `pattern` so: (?<{name}>...)");
        } else if let Some(near) = nearest(&name, known.iter().copied()) {
            help = format!("did you mean \"{near}\"?\n{help}");
        }
        wrong_value(problems, item, &format!("`pattern` has no group \"{name}\""), &help);
        None
    })
}

fn needed(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    key: &'static str,
    groups: Option<&Pattern>,
) -> Option<String> {
    let field = name(problems, fields, key, groups);
    if !field.is_present() {
        fields.missing(problems, key, &format!("{key} = \"{key}\""));
    }
    field.good()
}

/// `elapsed_ms`, or `started` with or without `finished`, or nothing.
fn timing(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
    groups: Option<&Pattern>,
) -> Option<OutcomeTiming> {
    let elapsed_at = fields.entry("elapsed_ms").map(|e| e.key_at);
    let finished_at = fields.entry("finished").map(|e| e.key_at);
    let elapsed = name(problems, fields, "elapsed_ms", groups);
    let started = name(problems, fields, "started", groups);
    let finished = name(problems, fields, "finished", groups);
    if let Some(at) = elapsed_at
        && (started.is_present() || finished.is_present())
    {
        let help = "give either `elapsed_ms`, or `started` with or without `finished`";
        let message = "`elapsed_ms` contradicts `started` and `finished`";
        problems.push(Problem::new(at, message, help));
        return None;
    }
    if let (Some(at), false) = (finished_at, started.is_present()) {
        let help = "add the field with the beginning, for example `started = \"started\"`";
        problems.push(Problem::new(at, "`finished` needs `started`", help).relational());
        return None;
    }
    if let Some(field) = elapsed.optional()? {
        return Some(OutcomeTiming::ElapsedMs(field));
    }
    let finished = finished.optional()?;
    Some(match started.optional()? {
        Some(started) => OutcomeTiming::Stamps { started, finished },
        None => OutcomeTiming::LineOnly,
    })
}

/// `ok`, at least one value, and `failed`; no value may stand in both.
fn statuses(
    problems: &mut Problems,
    fields: &mut Fields<'_>,
) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let ok = fields.field("ok", |item| {
        let words = values::strings(problems, item, "ok = [\"ok\", \"sent\"]")?;
        if words.is_empty() {
            wrong_value(problems, item, "it is empty", "for example `ok = [\"ok\", \"sent\"]`");
            return None;
        }
        Some(words)
    });
    if !ok.is_present() {
        fields.missing(problems, "ok", "ok = [\"ok\", \"sent\"]");
    }
    let ok = ok.good();
    let failed = fields.field("failed", |item| {
        let words = values::strings(problems, item, "failed = [\"error\", \"timeout\"]")?;
        let both = words.iter().find(|word| ok.as_ref().is_some_and(|ok| ok.contains(word)));
        if let Some(word) = both {
            let why = format!("\"{word}\" stands in `ok` as well");
            wrong_value(problems, item, &why, "a status means success or failure, not both");
            return None;
        }
        Some(words)
    });
    (ok, failed.or(Vec::new()))
}
