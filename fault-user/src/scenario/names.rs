//! Names of apps, flows and steps: which there are, what a reference means.

use super::diagnostic::Problem;
use super::reader::{Item, wrong_type};
use super::tree::{Node, Place, Value};

/// The names of one kind of entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// "app", "flow" or "step".
    what: &'static str,
    list: Vec<Name>,
    /// Some entry has no readable name, so a name that is not in the list may be that one's.
    incomplete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    at: Place,
    index: usize,
}

impl Names {
    /// Gathers the names of `entries`; a name that stands there twice is reported at the second.
    ///
    /// `default` names the entry with this index if it has no `name`.
    pub fn gather(
        problems: &mut Vec<Problem>,
        what: &'static str,
        entries: &[Node],
        default: Option<fn(usize) -> String>,
    ) -> Self {
        let mut names = Self { what, list: Vec::new(), incomplete: false };
        for (index, entry) in entries.iter().enumerate() {
            let given = entry.as_table().and_then(|table| table.get("name"));
            let (text, at) = match (given.map(|e| &e.node), default) {
                (Some(Node { value: Value::String(text), at }), _) => (text.clone(), *at),
                (None, Some(default)) => (default(index), entry.at),
                _ => {
                    names.incomplete = true;
                    continue;
                }
            };
            names.add(problems, Name { text, at, index });
        }
        names
    }

    fn add(&mut self, problems: &mut Vec<Problem>, name: Name) {
        if let Some(first) = self.list.iter().find(|n| n.text == name.text) {
            let message = format!("there are two {}s named `{}`", self.what, name.text);
            let help = format!("give each {} a name of its own", self.what);
            problems.push(Problem::new(name.at, message, help).also(first.at, "the first one"));
        } else {
            self.list.push(name);
        }
    }

    /// The index of the only entry, if there is just one.
    pub fn only(&self) -> Option<usize> {
        match self.list.as_slice() {
            [name] if !self.incomplete => Some(name.index),
            _ => None,
        }
    }

    /// The name of an entry.
    pub fn name(&self, index: usize) -> &str {
        self.list.iter().find(|n| n.index == index).map_or("?", |n| n.text.as_str())
    }

    /// The entry that a reference means; reports one that means none.
    pub fn resolve(&self, problems: &mut Vec<Problem>, item: Item<'_>) -> Option<usize> {
        let Some(text) = item.node.as_str() else {
            let example = format!("{} = \"{}\"", item.key, self.example());
            wrong_type(problems, item, &format!("the name of a {}", self.what), &example);
            return None;
        };
        if let Some(name) = self.list.iter().find(|n| n.text == text) {
            return Some(name.index);
        }
        if !self.incomplete {
            problems.push(self.dangling(item, text));
        }
        None
    }

    fn dangling(&self, item: Item<'_>, text: &str) -> Problem {
        let what = self.what;
        let known: Vec<&str> = self.list.iter().map(|n| n.text.as_str()).collect();
        let list = match known.as_slice() {
            [] => format!("the file has no [[{what}]] yet"),
            names => format!("the {what}s of this file: {}", names.join(", ")),
        };
        let help = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?\n{list}"),
            None => list,
        };
        let message = format!("no {what} is named \"{text}\"");
        Problem::new(item.at(), message, help).relational()
    }

    fn example(&self) -> &str {
        self.list.first().map_or("NAME", |n| n.text.as_str())
    }
}

/// The name under which an entry may be referred to: letters, digits, `_`, `.` and `-`.
pub fn identifier(problems: &mut Vec<Problem>, item: Item<'_>) -> Option<String> {
    let text = super::values::text(problems, item, "name = \"sender\"")?;
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Some(text);
    }
    let mended: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
        .collect();
    let help = format!("letters, digits, `_`, `.` and `-` only, for example \"{mended}\"");
    super::reader::wrong_value(problems, item, "it has characters that a name may not have", &help);
    None
}

/// The candidate that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_not() {
        let words = ["drop", "direction", "may_miss"];
        assert_eq!(nearest("drp", words.into_iter()), Some("drop"));
        assert_eq!(nearest("Direction", words.into_iter()), Some("direction"));
        assert_eq!(nearest("dircetoin", words.into_iter()), Some("direction"));
        assert_eq!(nearest("latency", words.into_iter()), None);
    }
}
