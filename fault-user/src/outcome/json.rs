//! Outcome lines that are JSON objects.

use serde_json::Value;

use super::scalar::Scalar;

/// One line that is a JSON object.
#[derive(Debug)]
pub(super) struct Line(Value);

impl Line {
    /// The object, or `None` for any other line.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // Most lines of an app are plain text: do not even try those.
        let start = line.iter().position(|b| !b.is_ascii_whitespace())?;
        if line[start] != b'{' {
            return None;
        }
        serde_json::from_slice(line).ok().map(Self)
    }

    /// The value at a dotted path; `None` if there is none, or null, an object or a list.
    pub(super) fn field(&self, path: &str) -> Option<Scalar> {
        scalar(lookup(&self.0, path)?)
    }
}

/// Keys may contain dots themselves, so the longest key that exists is tried first.
fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = part(value, path) {
        return Some(found);
    }
    path.rmatch_indices('.').find_map(|(dot, _)| {
        let inner = part(value, &path[..dot])?;
        lookup(inner, &path[dot + 1..])
    })
}

/// By key, or of a list by its place, from 0.
fn part<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::String(s) => Some(Scalar::Text(s.clone())),
        Value::Bool(b) => Some(Scalar::Text(b.to_string())),
        Value::Number(n) => Some(match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Scalar::Int(i),
            // Ids above i64 keep their digits as text.
            (None, _) if n.is_u64() => Scalar::Text(n.to_string()),
            (None, f) => Scalar::Float(f?),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
