//! `--set path=value`: changes to the tree before it is validated.
//!
//! A path is dotted; an entry of an array is meant by its number (from 0) or by its `name`. A
//! name that has a dot in it stands in quotes: `flow."a.b".nth=1`.

use toml::de::DeValue;

use super::diagnostic::Problem;
use super::names::nearest;
use super::tree::{Entry, Node, Place, Table, Value};

/// Keys that hold arrays of tables, which an override does not create.
const LISTS: [&str; 4] = ["app", "flow", "step", "expect"];

/// Applies an override, which is text number `source`.
///
/// # Errors
/// What is wrong with it, at a place in its own text.
pub fn apply(root: &mut Table, text: &str, source: usize) -> Result<(), Box<Problem>> {
    let whole = Place { source, start: 0, end: text.len() };
    let (path, value_start) = split(text, source)?;
    let value = value(text, value_start, source);
    let Some(((last, last_at), parents)) = path.split_last() else {
        return refuse(whole, "the override has no path", FORM);
    };
    let mut at = Target::Table(root);
    for (segment, segment_at) in parents {
        at = at.descend(segment, *segment_at)?;
    }
    at.set(last, *last_at, value)
}

const FORM: &str = "write `--set path=value`, for example `--set duration=10s`, \
                    `--set flow.upstream.nth=1` or `--set step.0.at=5s`";

type Segment = (String, Place);

/// Takes `a.b."c.d"=value` apart: the segments, and where the value begins.
fn split(text: &str, source: usize) -> Result<(Vec<Segment>, usize), Box<Problem>> {
    let mut segments = Vec::new();
    let mut rest = 0;
    loop {
        let (segment, end) = segment(text, rest, source)?;
        segments.push(segment);
        match text[end..].chars().next() {
            Some('.') => rest = end + 1,
            Some('=') => return Ok((segments, end + 1)),
            _ => {
                let place = Place { source, start: 0, end: text.len() };
                return refuse(place, "the override has no `=`", FORM);
            }
        }
    }
}

fn segment(text: &str, start: usize, source: usize) -> Result<(Segment, usize), Box<Problem>> {
    let rest = &text[start..];
    let (inner_start, inner_end, end) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let Some(length) = quoted.find('"') else {
                let place = Place { source, start, end: text.len() };
                return refuse(place, "the quote is not closed", FORM);
            };
            (start + 1, start + 1 + length, start + length + 2)
        }
        None => {
            let length = rest.find(['.', '=']).unwrap_or(rest.len());
            (start, start + length, start + length)
        }
    };
    let name = text[inner_start..inner_end].trim();
    let place = Place { source, start: inner_start, end: inner_end };
    if name.is_empty() {
        return refuse(place, "a part of the path is empty", FORM);
    }
    Ok(((name.to_owned(), place), end))
}

/// TOML if it is valid TOML, else the bare text: nobody likes to quote twice in a shell.
fn value(text: &str, start: usize, source: usize) -> Node {
    let raw = &text[start..];
    match DeValue::parse(raw) {
        Ok(value) if !raw.trim().is_empty() => Node::from_toml(&value, source, start),
        _ => Node {
            at: Place { source, start, end: text.len() },
            value: Value::String(raw.trim().to_owned()),
        },
    }
}

/// Where a path has led so far.
enum Target<'t> {
    Table(&'t mut Table),
    Array { key: String, nodes: &'t mut Vec<Node> },
}

impl<'t> Target<'t> {
    fn descend(self, segment: &str, at: Place) -> Result<Self, Box<Problem>> {
        match self {
            Self::Table(table) => {
                let index = match table.entries.iter().position(|e| e.key == segment) {
                    Some(index) => index,
                    None => insert_table(table, segment, at)?,
                };
                let entry = &mut table.entries[index];
                Self::into(&mut entry.node, segment, at)
            }
            Self::Array { key, nodes } => {
                let index = find(nodes, &key, segment, at)?;
                Self::into(&mut nodes[index], segment, at)
            }
        }
    }

    fn into(node: &'t mut Node, key: &str, at: Place) -> Result<Self, Box<Problem>> {
        if node.value == Value::Broken {
            // Its error is reported already; whatever is set in it makes no other one.
            node.value = Value::Table(Table::default());
        }
        match &mut node.value {
            Value::Table(table) => Ok(Self::Table(table)),
            Value::Array(nodes) => Ok(Self::Array { key: key.to_owned(), nodes }),
            other => {
                let message = format!("`{key}` is {}, nothing is inside it", other.kind());
                refuse(at, message, "end the path here: `--set path=value`")
            }
        }
    }

    fn set(self, segment: &str, at: Place, node: Node) -> Result<(), Box<Problem>> {
        match self {
            Self::Table(table) => {
                let entry = Entry { key: segment.to_owned(), key_at: at, node };
                match table.get_mut(segment) {
                    Some(old) => *old = entry,
                    None => table.entries.push(entry),
                }
                Ok(())
            }
            Self::Array { key, nodes } => {
                let index = find(nodes, &key, segment, at)?;
                nodes[index] = node;
                Ok(())
            }
        }
    }
}

fn refuse<T>(
    at: Place,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, Box<Problem>> {
    Err(Box::new(Problem::new(at, message, help)))
}

/// Adds an empty table. The key may be right, as in `app.x.env.A=1`; if not, validation says so.
fn insert_table(table: &mut Table, segment: &str, at: Place) -> Result<usize, Box<Problem>> {
    refuse_list(table, segment, at)?;
    let node = Node { at, value: Value::Table(Table::default()) };
    table.entries.push(Entry { key: segment.to_owned(), key_at: at, node });
    Ok(table.entries.len() - 1)
}

fn refuse_list(table: &Table, segment: &str, at: Place) -> Result<(), Box<Problem>> {
    if LISTS.contains(&segment) {
        let message = format!("the scenario has no [[{segment}]]");
        return refuse(at, message, "an override changes what the file has");
    }
    let keys: Vec<&str> = table.entries.iter().map(|e| e.key.as_str()).collect();
    match nearest(segment, keys.iter().copied()) {
        Some(near) => {
            refuse(at, format!("there is no `{segment}` here"), format!("did you mean `{near}`?"))
        }
        None => Ok(()),
    }
}

/// The entry with this name, else the one with this number.
fn find(nodes: &[Node], key: &str, segment: &str, at: Place) -> Result<usize, Box<Problem>> {
    let name = |node: &Node| Some(node.as_table()?.get("name")?.node.as_str()?.to_owned());
    if let Some(index) = nodes.iter().position(|n| name(n).as_deref() == Some(segment)) {
        return Ok(index);
    }
    if let Some(index) = segment.parse().ok().filter(|i| *i < nodes.len()) {
        return Ok(index);
    }
    // Steps without a name are called `step-N`, as everywhere else.
    let number = segment.strip_prefix("step-").filter(|_| key == "step");
    if let Some(index) = number.and_then(|n| n.parse::<usize>().ok()?.checked_sub(1))
        && nodes.get(index).is_some_and(|n| name(n).is_none())
    {
        return Ok(index);
    }
    let names: Vec<String> = nodes.iter().filter_map(name).collect();
    Err(Box::new(no_entry(key, segment, at, nodes.len(), &names)))
}

fn no_entry(key: &str, segment: &str, at: Place, count: usize, names: &[String]) -> Problem {
    let mut help = match count {
        0 => format!("`{key}` has no entries"),
        n => format!("`{key}` has the entries 0 to {}", n - 1),
    };
    if !names.is_empty() {
        help.push_str(&format!(", named {}", names.join(", ")));
    }
    if let Some(near) = nearest(segment, names.iter().map(String::as_str)) {
        help = format!("did you mean `{near}`?\n{help}");
    }
    Problem::new(at, format!("`{key}` has no entry `{segment}`"), help)
}
