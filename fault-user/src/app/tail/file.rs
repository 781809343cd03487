//! One file that grows, and may be cut off.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use bytes::{Bytes, BytesMut};

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// Bytes before the place of reading that have to be what they were.
const KNOWN: usize = 64;

/// Device and inode: what a file is, whatever it is called.
pub type Identity = (u64, u64);

/// An open file and how far it has been read.
#[derive(Debug)]
pub struct Growing {
    file: File,
    identity: Identity,
    at: u64,
    /// The last bytes read. A file that was cut off and has grown beyond that place again has others there.
    known: Vec<u8>,
    /// The beginning of a line whose end has not been written yet.
    partial: BytesMut,
}

impl Growing {
    /// Reads it from its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        Ok(Self { file, identity, at: 0, known: Vec::new(), partial: BytesMut::new() })
    }

    /// Passes over what is there already.
    pub fn skip(&mut self) -> io::Result<()> {
        self.at = self.file.metadata()?.len();
        self.remember()
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it has no bytes that were not read.
    pub fn is_read(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() == self.at)
    }

    /// Reads to the end: complete lines, without their ends.
    pub fn lines(&mut self) -> io::Result<Vec<Bytes>> {
        if self.was_cut_off()? {
            // What was read of a line stays: who cuts a file off may have done it between two writes.
            self.at = 0;
            self.known.clear();
        }
        let mut lines = Vec::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.file.read_at(&mut chunk, self.at)?;
            if read == 0 {
                return Ok(lines);
            }
            self.at += read as u64;
            self.take(&chunk[..read], &mut lines);
        }
    }

    /// The unfinished line, which goes on somewhere else.
    pub fn take_partial(&mut self) -> BytesMut {
        std::mem::take(&mut self.partial)
    }

    /// What is read next goes on with this.
    pub fn go_on_with(&mut self, partial: BytesMut) {
        self.partial = partial;
    }

    fn take(&mut self, read: &[u8], lines: &mut Vec<Bytes>) {
        self.known.extend_from_slice(read);
        let surplus = self.known.len().saturating_sub(KNOWN);
        self.known.drain(..surplus);
        let mut searched = self.partial.len();
        self.partial.extend_from_slice(read);
        while let Some(end) = self.partial[searched..].iter().position(|b| *b == b'\n') {
            let line = self.partial.split_to(searched + end + 1).freeze();
            searched = 0;
            // Who goes on writing at his old place leaves a hole before it.
            let from = line.iter().position(|b| *b != 0).unwrap_or(line.len());
            lines.push(line.slice(from..line.len() - 1));
        }
    }

    fn was_cut_off(&self) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.at {
            return Ok(true);
        }
        let mut there = vec![0; self.known.len()];
        match self.file.read_exact_at(&mut there, self.at - self.known.len() as u64) {
            Ok(()) => Ok(there != self.known),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn remember(&mut self) -> io::Result<()> {
        let from = self.at.saturating_sub(KNOWN as u64);
        self.known = vec![0; (self.at - from) as usize];
        self.file.read_exact_at(&mut self.known, from)
    }
}
