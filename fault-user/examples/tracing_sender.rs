//! Sends lines over TCP and tells of each with `tracing`, as JSON: an app like many, whose outcomes are in the fields of
//! its log.
//!
//! Arguments: `ADDRESS COUNT`, and a path for the log, which is moved away (`PATH.1`, `PATH.2`, ...) after every third line.
//! Without it the log is on stdout.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tracing::{info, info_span};

const LINES: usize = 3;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, path @ ..] = &args[..] else {
        anyhow::bail!("arguments: ADDRESS COUNT [LOG]");
    };
    match path.first() {
        Some(path) => {
            let log = Rotated::open(path.into()).with_context(|| format!("opening {path}"))?;
            tracing_subscriber::fmt().json().with_writer(Mutex::new(log)).init();
        }
        None => tracing_subscriber::fmt().json().init(),
    }
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting {address}"))?;
    eprintln!("connected");
    let count: usize = count.parse().context("COUNT")?;
    for number in 1..=count {
        std::thread::sleep(Duration::from_millis(60));
        send(&mut stream, number)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn send(stream: &mut TcpStream, number: usize) -> Result<()> {
    let span = info_span!("message", id = format!("msg-{number}"));
    let _entered = span.enter();
    info!("about to send");
    let line = format!("msg-{number} {}\n", "x".repeat(200));
    let begun = Instant::now();
    let result = stream.write_all(line.as_bytes());
    let elapsed_ms = begun.elapsed().as_secs_f64() * 1e3;
    let outcome = if result.is_ok() { "sent" } else { "refused" };
    info!(outcome, elapsed_ms, bytes = line.len(), "done");
    result.context("sending")
}

/// A log that is moved away when it is long enough.
struct Rotated {
    path: PathBuf,
    file: File,
    lines: usize,
    moved: usize,
}

impl Rotated {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = fresh(&path)?;
        Ok(Self { path, file, lines: 0, moved: 0 })
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.moved += 1;
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}", self.moved));
        fs::rename(&self.path, name)?;
        self.file = fresh(&self.path)?;
        self.lines = 0;
        Ok(())
    }
}

fn fresh(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for Rotated {
    /// The line that is the last of its file is cut in two by the move.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines += 1;
        let half = if self.lines == LINES { line.len() / 2 } else { line.len() };
        self.file.write_all(&line[..half])?;
        if self.lines == LINES {
            self.rotate()?;
            self.file.write_all(&line[half..])?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
