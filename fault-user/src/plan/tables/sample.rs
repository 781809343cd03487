//! Delay and loss over time, from a CSV file.

use std::time::Duration;

use fault_common::fate::Sample;
use fault_common::rule::P_ALWAYS;

use super::{Flaw, TableError};
use crate::scenario::units::parse_duration;

/// What a column gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Time,
    Delay,
    Loss,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// Each cell has its own.
    InCell,
    Duration(&'static str),
    /// Of a probability: what is certainty.
    Of(u8),
}

const COLUMNS: [(&str, Quantity, Unit); 12] = [
    ("time", Quantity::Time, Unit::InCell),
    ("time_s", Quantity::Time, Unit::Duration("s")),
    ("time_ms", Quantity::Time, Unit::Duration("ms")),
    ("time_us", Quantity::Time, Unit::Duration("us")),
    ("time_ns", Quantity::Time, Unit::Duration("ns")),
    ("delay", Quantity::Delay, Unit::InCell),
    ("delay_s", Quantity::Delay, Unit::Duration("s")),
    ("delay_ms", Quantity::Delay, Unit::Duration("ms")),
    ("delay_us", Quantity::Delay, Unit::Duration("us")),
    ("delay_ns", Quantity::Delay, Unit::Duration("ns")),
    ("loss", Quantity::Loss, Unit::Of(1)),
    ("loss_percent", Quantity::Loss, Unit::Of(100)),
];

type Column = (Quantity, Unit);

/// Parses a trace: a header of the columns `time` and `delay` or `loss` or both, in any order, then
/// lines that hold from their time to that of the next one. `time` and `delay` are durations such
/// as `1.5s`, or with `_s`, `_ms`, `_us`, `_ns` plain numbers; `loss` is 0 to 1, `loss_percent`
/// 0 to 100. A column that is missing is 0. Blank lines and lines that begin with `#` do not count.
///
/// The first line is at 0. The trace's length is given with it: the last line holds as long as the
/// one before it. A trace of one line has length 0, and holds for ever.
///
/// # Errors
/// It is not such a trace; `file`, its name, stands in the message.
pub fn parse_csv(file: &str, text: &str) -> Result<(Vec<Sample>, Duration), TableError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut lines = lines.filter(|(_, content)| !content.is_empty() && !content.starts_with('#'));
    let at = |line| move |flaw| TableError::at(file, line, flaw);
    let empty = || TableError::of_file(file, Flaw::Empty);
    let (line, content) = lines.next().ok_or_else(empty)?;
    let columns = header(content).map_err(at(line))?;
    let mut samples: Vec<Sample> = Vec::new();
    for (line, content) in lines {
        let sample = sample(&columns, content).map_err(at(line))?;
        match samples.last() {
            None if sample.at != 0 => return Err(at(line)(Flaw::LateStart)),
            Some(before) if sample.at <= before.at => return Err(at(line)(Flaw::OutOfOrder)),
            _ => samples.push(sample),
        }
    }
    let period = match samples.as_slice() {
        [] => return Err(empty()),
        [.., before, last] => last.at + (last.at - before.at),
        [_] => 0,
    };
    Ok((samples, Duration::from_nanos(period)))
}

fn header(content: &str) -> Result<Vec<Column>, Flaw> {
    let mut columns: Vec<Column> = Vec::new();
    for name in content.split(',').map(str::trim) {
        let known = COLUMNS.iter().find(|(known, ..)| *known == name);
        let (_, quantity, unit) = known.ok_or_else(|| Flaw::UnknownColumn(name.to_owned()))?;
        if has(&columns, *quantity) {
            return Err(Flaw::TwoColumns(quantity.name()));
        }
        columns.push((*quantity, *unit));
    }
    if !has(&columns, Quantity::Time) {
        return Err(Flaw::NoColumn("time"));
    }
    if columns.len() == 1 {
        return Err(Flaw::NoColumn("delay or loss"));
    }
    Ok(columns)
}

fn has(columns: &[Column], quantity: Quantity) -> bool {
    columns.iter().any(|(other, _)| *other == quantity)
}

impl Quantity {
    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Delay => "delay",
            Self::Loss => "loss",
        }
    }
}

fn sample(columns: &[Column], content: &str) -> Result<Sample, Flaw> {
    let cells: Vec<&str> = content.split(',').map(str::trim).collect();
    if cells.len() != columns.len() {
        return Err(Flaw::Cells { found: cells.len(), columns: columns.len() });
    }
    let mut sample = Sample { at: 0, delay: 0, loss: 0 };
    for ((quantity, unit), cell) in columns.iter().zip(cells) {
        let value = match unit {
            Unit::InCell => duration(cell.to_owned())?,
            Unit::Duration(unit) => duration(format!("{cell}{unit}"))?,
            Unit::Of(most) => probability(cell, *most)?,
        };
        match quantity {
            Quantity::Time => sample.at = value,
            Quantity::Delay => sample.delay = value,
            Quantity::Loss => sample.loss = value,
        }
    }
    Ok(sample)
}

/// ns; at most 24 h, as everywhere in a scenario.
fn duration(cell: String) -> Result<u64, Flaw> {
    match parse_duration(&cell) {
        // 24 h are 2^47 ns.
        Ok(duration) => Ok(duration.as_nanos() as u64),
        Err(source) => Err(Flaw::NotADuration { cell, source }),
    }
}

/// In units of 2^-32.
fn probability(cell: &str, most: u8) -> Result<u64, Flaw> {
    let flaw = || Flaw::NotAProbability { cell: cell.to_owned(), most };
    let value: f64 = cell.parse().map_err(|_| flaw())?;
    if !(0.0..=f64::from(most)).contains(&value) {
        return Err(flaw());
    }
    Ok((value / f64::from(most) * P_ALWAYS as f64).round() as u64)
}
