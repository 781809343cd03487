//! What is wrong with a table, where, and what would be right.

use crate::scenario::units::UnitError;

/// A file that is not the table that it should be.
#[derive(Debug, thiserror::Error)]
#[error("{}: {flaw}; {}", self.place(), flaw.remedy())]
pub struct TableError {
    /// Name of the file.
    pub file: String,
    /// Line, counted from 1; `None` if the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub flaw: Flaw,
}

impl TableError {
    pub(super) fn of_file(file: &str, flaw: Flaw) -> Self {
        Self { file: file.to_owned(), line: None, flaw }
    }

    pub(super) fn at(file: &str, line: usize, flaw: Flaw) -> Self {
        Self { file: file.to_owned(), line: Some(line), flaw }
    }

    /// `FILE:LINE`, or `FILE`.
    pub fn place(&self) -> String {
        let file = &self.file;
        self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
    }
}

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// There is no entry in it.
    #[error("there is no entry in it")]
    Empty,
    /// Not a whole number of the range that the format has.
    #[error("`{0}` is not a whole number from {min} to {max}", min = i16::MIN, max = i16::MAX)]
    NotAQuantile(String),
    /// A quantile below the one before it.
    #[error("{value} comes after {before}")]
    Descending {
        /// The value.
        value: i16,
        /// The one before it.
        before: i16,
    },
    /// All values are the same.
    #[error("all values are {0}")]
    Constant(i16),
    /// Not a timestamp of a delivery trace.
    #[error("`{0}` is not a timestamp")]
    NotATimestamp(String),
    /// A time that is not later than the one before it (of deliveries: that is earlier).
    #[error("this time is out of order")]
    OutOfOrder,
    /// A delivery trace that ends at 0 ms.
    #[error("the last timestamp is 0")]
    NoDuration,
    /// A column that CSV traces do not have.
    #[error("`{0}` is not a column of a trace")]
    UnknownColumn(String),
    /// A quantity that two columns give.
    #[error("there are two columns for `{0}`")]
    TwoColumns(&'static str),
    /// A trace without time, or without anything that changes.
    #[error("there is no column for {0}")]
    NoColumn(&'static str),
    /// Too many or too few cells.
    #[error("{found} cells under {columns} columns")]
    Cells {
        /// In this line.
        found: usize,
        /// In the header.
        columns: usize,
    },
    /// A cell that is no duration.
    #[error("`{cell}` is not a duration: {source}")]
    NotADuration {
        /// The cell, with the unit of its column.
        cell: String,
        /// Why.
        source: UnitError,
    },
    /// A cell that is no probability.
    #[error("`{cell}` is not a number from 0 to {most}")]
    NotAProbability {
        /// The cell.
        cell: String,
        /// Certainty: 1 or 100.
        most: u8,
    },
    /// The first line is not the beginning.
    #[error("the trace does not begin at 0")]
    LateStart,
}

impl Flaw {
    /// What would be right.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty => "write at least one entry",
            Self::NotAQuantile(_) => "write standard deviations from the mean, times 8192",
            Self::Descending { .. } => {
                "a table lists equally spaced quantiles, the smallest first; iproute2's maketable \
                 makes one of raw samples"
            }
            Self::Constant(_) => "a delay without jitter needs no table",
            Self::NotATimestamp(_) => "write one whole number of ms in each line, nothing else",
            Self::OutOfOrder => "sort the lines by time",
            Self::NoDuration => "the last timestamp is the trace's length: at least 1 (ms)",
            Self::UnknownColumn(_) => {
                "columns are time, delay (both also with _s, _ms, _us or _ns), loss, loss_percent"
            }
            Self::TwoColumns(_) => "keep one of them",
            Self::NoColumn(_) => "the header needs `time`, and `delay` or `loss` or both",
            Self::Cells { .. } => "write a cell for each column of the header, without quotes",
            Self::NotADuration { .. } => {
                "write a number if the column has a unit (delay_ms), else one with its unit (20ms)"
            }
            Self::NotAProbability { .. } => "a loss is 0 to 1, a loss_percent 0 to 100",
            Self::LateStart => "the first line holds from the start, so its time is 0",
        }
    }
}
