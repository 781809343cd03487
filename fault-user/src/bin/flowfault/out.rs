//! What the command prints. A reader that has gone (`flowfault ... | head -1`) has had enough:
//! that is no error, and `print!` would panic.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context as _, Result};

/// Whether colours are for this stream: a person looks at it, and has not declined them
/// (<https://no-color.org>).
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Prints results on stdout.
///
/// # Errors
/// Stdout cannot be written for another reason than that nobody reads it any more.
pub fn results(text: &str) -> Result<()> {
    write(&mut io::stdout().lock(), text).context("cannot write to stdout")
}

/// Prints a message on stderr, whole lines.
pub fn message(text: &str) {
    // Where nobody listens on stderr there is no place left to say so; the exit code tells.
    let _ = write(&mut io::stderr().lock(), text);
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_error() {
        assert!(write(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write(&mut Broken(io::ErrorKind::StorageFull), "x").is_err());
    }
}
