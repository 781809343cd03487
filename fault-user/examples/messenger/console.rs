//! Lines on stdout.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes one line with one write(2) and leaves nothing buffered, so that a reader of the pipe
/// never sees half a line and an observer can pair the call with the line.
///
/// # Errors
/// What write(2) answers, for example a closed pipe.
pub fn say(line: impl Display) -> io::Result<()> {
    let text = format!("{line}\n");
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
