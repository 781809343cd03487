//! Reads one table of the tree key by key; what is left over is unknown.
//!
//! A reader returns `None` for a value that it has reported, so that nobody reports anything
//! that only follows from it.

use super::diagnostic::Problem;
use super::names::nearest;
use super::tree::{Entry, Node, Place, Table, Value};

/// A value under the key that messages call it by.
#[derive(Debug, Clone, Copy)]
pub struct Item<'t> {
    /// The key.
    pub key: &'t str,
    /// The value.
    pub node: &'t Node,
}

impl<'t> Item<'t> {
    /// Its place.
    pub fn at(self) -> Place {
        self.node.at
    }

    /// An element of the array it is, under the same key.
    pub fn element(self, node: &'t Node) -> Self {
        Self { key: self.key, node }
    }
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<T> {
    /// It is not there.
    Absent,
    /// It is there, and reported as wrong.
    Bad,
    /// It is there; with the place of its value.
    Good(T, Place),
}

impl<T> Field<T> {
    /// Whether the key is there, right or wrong.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The value, or the default of a key that is not there; `None` if it was wrong.
    pub fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Bad => None,
            Self::Good(value, _) => Some(value),
        }
    }

    /// The value of a key that may be missing; the outer `None` means that it was wrong.
    pub fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Bad => None,
            Self::Good(value, _) => Some(Some(value)),
        }
    }

    /// A look at the value, if there is a good one.
    pub fn good_ref(&self) -> Option<&T> {
        match self {
            Self::Good(value, _) => Some(value),
            _ => None,
        }
    }

    /// The value, if there is a good one.
    pub fn good(self) -> Option<T> {
        match self {
            Self::Good(value, _) => Some(value),
            _ => None,
        }
    }
}

/// The keys of one table.
#[derive(Debug)]
pub struct Fields<'t> {
    table: &'t Table,
    /// Where to point when something is missing.
    at: Place,
    /// How messages call the table, with an article: "an [[app]]".
    what: &'static str,
    known: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// Begins to read `table`, which stands at `at`.
    pub fn new(table: &'t Table, at: Place, what: &'static str) -> Self {
        Self { table, at, what, known: Vec::new() }
    }

    /// Begins to read the table that `item` must be; reports it if it is none.
    pub fn of(
        problems: &mut Vec<Problem>,
        item: Item<'t>,
        what: &'static str,
        example: &str,
    ) -> Option<Self> {
        match item.node.as_table() {
            Some(table) => Some(Self::new(table, item.at(), what)),
            None => {
                wrong_type(problems, item, "a table", example);
                None
            }
        }
    }

    /// Where the table stands.
    pub fn at(&self) -> Place {
        self.at
    }

    /// The entry of a key, which thereby counts as known.
    pub fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The value of a key, which thereby counts as known.
    pub fn item(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.entry(key).map(|entry| Item { key, node: &entry.node })
    }

    /// Reads a key with `read`, which reports what is wrong.
    pub fn field<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Item<'t>) -> Option<T>,
    ) -> Field<T> {
        let Some(item) = self.item(key) else {
            return Field::Absent;
        };
        read(item).map_or(Field::Bad, |value| Field::Good(value, item.at()))
    }

    /// Reports that `key` is missing; `example` is a whole `key = value`.
    pub fn missing(&self, problems: &mut Vec<Problem>, key: &str, example: &str) {
        let message = format!("{} needs `{key}`", self.what);
        let problem = Problem::new(self.at, message, format!("add it, for example `{example}`"));
        problems.push(problem.label(format!("`{key}` is missing")).relational());
    }

    /// The keys among `keys` that are there.
    pub fn present(&mut self, keys: &[&'static str]) -> Vec<&'t Entry> {
        keys.iter().filter_map(|key| self.entry(key)).collect()
    }

    /// Reports every key that nobody has asked for.
    pub fn finish(self, problems: &mut Vec<Problem>) {
        for entry in &self.table.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            problems.push(self.unknown(entry));
        }
    }

    fn unknown(&self, entry: &Entry) -> Problem {
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        let list = format!("{} has the keys {}", self.what, known.join(", "));
        let help = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?\n{list}"),
            None => list,
        };
        Problem::new(entry.key_at, format!("unknown key `{}` in {}", entry.key, self.what), help)
    }
}

/// Reports a value of the wrong type (unless its syntax is reported already); `example` is a whole `key = value`.
pub fn wrong_type(problems: &mut Vec<Problem>, item: Item<'_>, expected: &str, example: &str) {
    if item.node.value == Value::Broken {
        return;
    }
    let kind = item.node.value.kind();
    let message = format!("`{}` must be {expected}, not {kind}", item.key);
    problems.push(
        Problem::new(item.at(), message, format!("for example `{example}`"))
            .label(format!("this is {kind}")),
    );
}

/// Reports a value that is not allowed.
pub fn wrong_value(problems: &mut Vec<Problem>, item: Item<'_>, why: &str, help: &str) {
    problems.push(Problem::new(item.at(), format!("`{}`: {why}", item.key), help));
}

/// The elements of an array, or of an array of tables.
pub fn array<'t>(
    problems: &mut Vec<Problem>,
    item: Item<'t>,
    expected: &str,
    example: &str,
) -> Option<&'t [Node]> {
    match &item.node.value {
        Value::Array(nodes) => Some(nodes),
        _ => {
            wrong_type(problems, item, expected, example);
            None
        }
    }
}
