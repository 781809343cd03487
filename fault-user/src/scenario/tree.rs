//! The scenario file as a tree whose every key and value knows where it stands.
//!
//! One tree may come from several texts: the file, and one text per `--set` override.

use toml::de::{DeTable, DeValue};

/// A range of bytes in one of the source texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the text: 0 is the file, the overrides follow.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Place {
    /// The place of `range` in text number `source`, whose bytes begin at `offset` of it.
    pub fn new(source: usize, range: std::ops::Range<usize>, offset: usize) -> Self {
        Self { source, start: range.start + offset, end: range.end + offset }
    }
}

/// A value and its place. A table that has a header of its own stands where the header does.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    String(String),
    /// An integer; one beyond `i128` is clamped, which every range check refuses anyway.
    Integer(i128),
    /// A float, possibly infinite or not a number.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// What stands here is not TOML, which is reported already.
    Broken,
    /// A date or a time; the format has none, so its value does not matter.
    Datetime,
    /// An array, or an array of tables.
    Array(Vec<Node>),
    /// A table, with or without a header.
    Table(Table),
}

impl Value {
    /// Its type with an article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Broken => "not a value",
            Self::Datetime => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order of the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_at: Place,
    /// The value.
    pub node: Node,
}

impl Table {
    /// The entry with this key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// Replaces what stands at these places of text 0 by [`Value::Broken`].
    pub fn mark_broken(&mut self, starts: &[usize]) {
        for entry in &mut self.entries {
            entry.node.mark_broken(starts);
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|e| e.key == key)
    }

    /// Takes over a parsed table of text number `source`, whose bytes begin at `offset` of it.
    pub fn from_toml(table: &DeTable<'_>, source: usize, offset: usize) -> Self {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_at: Place::new(source, key.span(), offset),
                node: Node::from_toml(value, source, offset),
            })
            .collect();
        // The parser's map is sorted by key; people read files in file order.
        entries.sort_by_key(|e| e.key_at);
        Self { entries }
    }
}

impl Node {
    /// Takes over a parsed value of text number `source`, whose bytes begin at `offset` of it.
    pub fn from_toml(value: &toml::Spanned<DeValue<'_>>, source: usize, offset: usize) -> Self {
        let at = Place::new(source, value.span(), offset);
        let value = match value.get_ref() {
            DeValue::String(s) => Value::String(s.to_string()),
            DeValue::Integer(i) => Value::Integer(integer(i.as_str(), i.radix())),
            // The parser has checked the syntax, so only "too large" is left: infinity.
            DeValue::Float(f) => Value::Float(f.as_str().parse().unwrap_or(f64::INFINITY)),
            DeValue::Boolean(b) => Value::Boolean(*b),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => Value::Array(
                items.iter().map(|item| Self::from_toml(item, source, offset)).collect(),
            ),
            DeValue::Table(table) => Value::Table(Table::from_toml(table, source, offset)),
        };
        Self { at, value }
    }

    fn mark_broken(&mut self, starts: &[usize]) {
        match &mut self.value {
            Value::Table(table) => table.mark_broken(starts),
            Value::Array(nodes) => nodes.iter_mut().for_each(|n| n.mark_broken(starts)),
            value if starts.contains(&self.at.start) => *value = Value::Broken,
            _ => {}
        }
    }

    /// The table it is, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The string it is, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
}

fn integer(digits: &str, radix: u32) -> i128 {
    let clamped = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(digits, radix).unwrap_or(clamped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Table {
        Table::from_toml(DeTable::parse(text).unwrap().get_ref(), 0, 0)
    }

    #[test]
    fn entries_stand_in_file_order_and_know_their_places() {
        let text = "b = 1\na = \"x\"\n[[app]]\nname = 'n'\n";
        let table = tree(text);
        let keys: Vec<_> = table.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "app"]);
        let a = &table.get("a").unwrap().node.at;
        assert_eq!(&text[a.start..a.end], "\"x\"");
        let Value::Array(apps) = &table.get("app").unwrap().node.value else { panic!() };
        assert_eq!(&text[apps[0].at.start..apps[0].at.end], "[[app]]");
    }

    #[test]
    fn integers_of_any_size_and_radix_are_kept_or_clamped() {
        let table = tree("a = 0xff_ff\nb = -7\nc = 18446744073709551615\n");
        assert_eq!(table.get("a").unwrap().node.value, Value::Integer(0xffff));
        assert_eq!(table.get("b").unwrap().node.value, Value::Integer(-7));
        assert_eq!(table.get("c").unwrap().node.value, Value::Integer(i128::from(u64::MAX)));
        let huge = format!("a = -{}\n", "9".repeat(50));
        assert_eq!(tree(&huge).get("a").unwrap().node.value, Value::Integer(i128::MIN));
    }
}
