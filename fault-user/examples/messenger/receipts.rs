//! The server's own record of what it received.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::role::Role;

/// An append-only file with one JSON line for each message received, duplicates included.
#[derive(Debug)]
pub struct Receipts {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Serialize)]
struct Receipt<'a> {
    id: &'a str,
    role: Role,
    peer: SocketAddr,
    t_ms: u64,
    bytes: usize,
}

impl Receipts {
    /// Opens the file for appending.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open the receipts file {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Notes one message of `bytes` bytes of websocket payload; it is in the file on return.
    ///
    /// # Errors
    /// The line cannot be written. The message must then not be confirmed.
    pub fn note(&self, id: &str, role: Role, peer: SocketAddr, bytes: usize) -> Result<()> {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970; set it")?;
        let receipt = Receipt { id, role, peer, t_ms: since_epoch.as_millis() as u64, bytes };
        let mut line = serde_json::to_string(&receipt).context("cannot encode a receipt")?;
        line.push('\n');
        // A panic elsewhere cannot leave half a line behind: the file is still usable.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(line.as_bytes())
            .with_context(|| format!("cannot append to {}", self.path.display()))
    }
}
