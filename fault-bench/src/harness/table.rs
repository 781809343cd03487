//! The results of a benchmark, for people and for programs.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a benchmark has found.
pub struct Table {
    pub name: &'static str,
    /// What is measured, in one line.
    pub what: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// What one has to know to read it.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// With its unit.
    pub name: &'static str,
    pub decimals: usize,
}

/// A variant and its values, one a column.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub variant: String,
    /// `None`: it makes no sense here.
    pub values: Vec<Option<f64>>,
}

impl Table {
    /// As one object.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            let values = self.columns.iter().zip(&row.values);
            let mut object: Map<String, Value> =
                values.map(|(column, value)| (column.name.to_owned(), json!(value))).collect();
            object.insert("variant".into(), json!(row.variant));
            Value::Object(object)
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({ "name": self.name, "what": self.what, "rows": rows, "notes": self.notes })
    }

    /// As Markdown, which docs/benchmarks.md can quote.
    pub fn text(&self) -> String {
        let heads = self.columns.iter().map(|c| c.name.to_owned());
        let heads: Vec<String> = std::iter::once("variant".to_owned()).chain(heads).collect();
        let lines: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row)).collect();
        let width = |i: usize| lines.iter().chain([&heads]).map(|l| l[i].chars().count()).max();
        let widths: Vec<usize> = (0..heads.len()).map(|i| width(i).unwrap_or(0)).collect();
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(i, w)| "-".repeat(*w - usize::from(i > 0)) + if i > 0 { ":" } else { "" })
            .collect();
        let mut text = format!("{}: {}\n\n", self.name, self.what);
        for line in [&heads, &rule].into_iter().chain(&lines) {
            text.push_str(&padded(line, &widths));
        }
        text.extend(self.notes.iter().map(|note| format!("\n{note}")));
        text + "\n"
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let cell = |(column, value): (&Column, &Option<f64>)| {
            value.map_or_else(String::new, |v| format!("{v:.*}", column.decimals))
        };
        let values = self.columns.iter().zip(&row.values).map(cell);
        std::iter::once(row.variant.clone()).chain(values).collect()
    }
}

/// A line of the table; numbers stand to the right.
fn padded(line: &[String], widths: &[usize]) -> String {
    let cells = line.iter().zip(widths).enumerate().map(|(i, (cell, width))| match i {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            name: "speed",
            what: "how fast".into(),
            columns: vec![Column { name: "Mbit/s", decimals: 1 }],
            rows: vec![
                Row { variant: "direct".into(), values: vec![Some(1234.56)] },
                Row { variant: "x".into(), values: vec![None] },
            ],
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn a_table_is_markdown() {
        let expected = "speed: how fast\n\n\
            | variant | Mbit/s |\n| ------- | -----: |\n| direct  | 1234.6 |\n| x       |        |\n\
            \na note\n";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_null() {
        let json = table().json();
        assert_eq!(json["rows"][0]["Mbit/s"], 1234.56);
        assert!(json["rows"][1]["Mbit/s"].is_null());
    }
}
