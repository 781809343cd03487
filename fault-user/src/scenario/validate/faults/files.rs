//! Tables and traces that a fault names by file.

use std::path::Path;
use std::time::Duration;

use fault_common::fate::Sample;

use crate::plan::tables::{self, TableError};
use crate::scenario::diagnostic::Problem;
use crate::scenario::reader::{Item, wrong_value};
use crate::scenario::values;

type Problems = Vec<Problem>;

/// A delay distribution as iproute2's `.dist` files hold it; with the file's name.
pub fn distribution(
    problems: &mut Problems,
    item: Item<'_>,
    base_dir: &Path,
) -> Option<(String, Vec<i16>)> {
    parsed(problems, item, base_dir, tables::parse_dist)
}

/// mahimahi's delivery opportunities; with the file's name.
pub fn deliveries(
    problems: &mut Problems,
    item: Item<'_>,
    base_dir: &Path,
) -> Option<(String, Vec<u64>)> {
    parsed(problems, item, base_dir, tables::parse_mahimahi)
}

/// Delay and loss over time; with the file's name.
pub fn samples(
    problems: &mut Problems,
    item: Item<'_>,
    base_dir: &Path,
) -> Option<(String, (Vec<Sample>, Duration))> {
    parsed(problems, item, base_dir, tables::parse_csv)
}

fn parsed<T>(
    problems: &mut Problems,
    item: Item<'_>,
    base_dir: &Path,
    parse: impl FnOnce(&str, &str) -> Result<T, TableError>,
) -> Option<(String, T)> {
    let name = values::text(problems, item, "file = \"wan.dist\"")?;
    let text = match std::fs::read_to_string(base_dir.join(&name)) {
        Ok(text) => text,
        Err(error) => {
            let why = format!("cannot read \"{name}\": {error}");
            let help = "a file that you may read; its path is relative to the scenario file";
            wrong_value(problems, item, &why, help);
            return None;
        }
    };
    match parse(&name, &text) {
        Ok(table) => Some((name, table)),
        Err(error) => {
            let why = format!("{}: {}", error.place(), error.flaw);
            wrong_value(problems, item, &why, error.flaw.remedy());
            None
        }
    }
}
