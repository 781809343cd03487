//! Outcome lines that a regular expression takes apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ::regex::Regex;

use super::scalar::Scalar;

/// The named groups of one line that matched.
#[derive(Debug)]
pub(super) struct Line(BTreeMap<String, String>);

impl Line {
    /// The groups, or `None` for a line that does not match.
    pub(super) fn parse(pattern: &Regex, line: &[u8]) -> Option<Self> {
        let text: Cow<str> = String::from_utf8_lossy(line);
        let captures = pattern.captures(&text)?;
        let named = pattern.capture_names().flatten();
        let group = |name: &str| Some((name.to_owned(), captures.name(name)?.as_str().to_owned()));
        Some(Self(named.filter_map(group).collect()))
    }

    /// The text of a group; `None` if it did not take part in the match.
    pub(super) fn field(&self, name: &str) -> Option<Scalar> {
        self.0.get(name).cloned().map(Scalar::Text)
    }
}
