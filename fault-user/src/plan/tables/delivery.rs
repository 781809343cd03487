//! mahimahi's traces: the delivery opportunities of a recorded link.

use super::{Flaw, TableError};

const NS_PER_MS: u64 = 1_000_000;

/// Parses a trace: in each line the time of one opportunity in ms, ascending; the same time again
/// is another opportunity. The last one is the length of the trace. Times are given in ns.
///
/// As strict as mahimahi: no comments, no blank lines.
///
/// # Errors
/// It is not such a trace; `file`, its name, stands in the message.
pub fn parse_mahimahi(file: &str, text: &str) -> Result<Vec<u64>, TableError> {
    let mut table: Vec<u64> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let at = |flaw| TableError::at(file, line, flaw);
        let time = timestamp(content).ok_or_else(|| at(Flaw::NotATimestamp(content.to_owned())))?;
        if table.last().is_some_and(|before| *before > time) {
            return Err(at(Flaw::OutOfOrder));
        }
        table.push(time);
    }
    match table.last() {
        None => Err(TableError::of_file(file, Flaw::Empty)),
        Some(0) => Err(TableError::at(file, table.len(), Flaw::NoDuration)),
        Some(_) => Ok(table),
    }
}

/// ns. A sign is refused, which `parse` alone would not do.
fn timestamp(line: &str) -> Option<u64> {
    let digits = line.trim_end();
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let ms: u64 = whole.then(|| digits.parse().ok())??;
    ms.checked_mul(NS_PER_MS)
}
