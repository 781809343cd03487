//! A path whose file is replaced from time to time, as those that rotate logs do: by renaming it and making a new one, or
//! by copying and cutting it off. Files are followed by what they are, not by what they are called.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::file::{Growing, Identity};

/// Files that were moved away and are still looked at: an app may write to one until it is told to open the new one.
const MOVED: usize = 4;

/// Reads the lines of a path.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    current: Option<Growing>,
    /// The newest last.
    moved: VecDeque<Growing>,
}

impl Tail {
    /// What is there now is passed over.
    pub fn new(path: PathBuf) -> Self {
        // If it cannot be opened or read now, the first look says so; if there is none, it is read whole later.
        let current = Growing::open(&path).ok().and_then(|mut f| f.skip().is_ok().then_some(f));
        Self { path, current, moved: VecDeque::new() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines since the last look, those of the older file first.
    ///
    /// # Errors
    /// A file cannot be read; the next look goes on where this one ended.
    pub fn look(&mut self) -> io::Result<Vec<Bytes>> {
        let mut lines = Vec::new();
        for file in &mut self.moved {
            lines.extend(file.lines()?);
        }
        if let Some(file) = &mut self.current {
            lines.extend(file.lines()?);
        }
        if self.there()? == self.current.as_ref().map(Growing::identity) {
            return Ok(lines);
        }
        self.change_over(&mut lines)?;
        Ok(lines)
    }

    /// What has the path now; nothing for as long as nothing has.
    fn there(&self) -> io::Result<Option<Identity>> {
        match std::fs::metadata(&self.path) {
            Ok(found) => Ok(Some((found.dev(), found.ino()))),
            // Its writer may still write.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(self.current.as_ref().map(Growing::identity))
            }
            Err(e) => Err(e),
        }
    }

    fn change_over(&mut self, lines: &mut Vec<Bytes>) -> io::Result<()> {
        let mut new = match Growing::open(&self.path) {
            Ok(new) => new,
            // Moved again meanwhile: the next look finds what comes.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        if new.is_read()? && self.current.is_some() {
            // Made, and not written to: its writer is still at the old one.
            return Ok(());
        }
        if let Some(mut old) = self.current.take() {
            // What was written between the look above and the first bytes of the new one.
            lines.extend(old.lines()?);
            new.go_on_with(old.take_partial());
            self.moved.push_back(old);
            if self.moved.len() > MOVED {
                self.moved.pop_front();
            }
        }
        lines.extend(new.lines()?);
        self.current = Some(new);
        Ok(())
    }
}

#[cfg(test)]
#[path = "rotated_tests.rs"]
mod tests;
