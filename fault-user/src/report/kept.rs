//! Which sends of a run stand in report.json: all, or of a long run those that are worth a look. `sends.jsonl.zst`
//! then has all of them, one JSON object a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};

use super::model::SendReport;
use crate::expect::Tally;
use crate::verdict::{Cause, Confidence, Verdict};

/// A run with more sends than this has only those in its report that are not plain, and of these the first so many
/// of each of two kinds: neither delivered nor unlogged, and the others.
pub const SENDS: usize = 100_000;

/// What a run's verdicts come to.
#[derive(Debug)]
pub struct Kept {
    most: usize,
    sends: Vec<SendReport>,
    notable: usize,
    touched: usize,
    total: u64,
    verdicts: BTreeMap<Verdict, u64>,
    tally: Tally,
    file: Option<SendsFile>,
}

/// The end of it.
#[derive(Debug)]
pub struct Sends {
    /// For report.json, in order of time.
    pub sends: Vec<SendReport>,
    /// Those that are not there.
    pub omitted: u64,
    /// All, by verdict; every verdict is there.
    pub verdicts: BTreeMap<String, u64>,
    /// What expectations need to know of all.
    pub tally: Tally,
}

/// Nothing to look at: as it should be, or nobody's business.
pub fn is_plain(send: &SendReport) -> bool {
    matches!(send.verdict, Verdict::Delivered | Verdict::Unlogged)
        && send.cause == Cause::Untouched
        && send.confidence == Confidence::Exact
}

fn is_notable(send: &SendReport) -> bool {
    !matches!(send.verdict, Verdict::Delivered | Verdict::Unlogged)
}

impl Kept {
    /// Keeps all of up to `most` (of runs [`SENDS`]); `tally` counts and `file` gets all.
    pub fn new(most: usize, tally: Tally, file: Option<SendsFile>) -> Self {
        Self {
            most,
            sends: Vec::new(),
            notable: 0,
            touched: 0,
            total: 0,
            verdicts: BTreeMap::new(),
            tally,
            file,
        }
    }

    /// Takes the next.
    pub fn add(&mut self, send: SendReport) {
        self.total += 1;
        *self.verdicts.entry(send.verdict).or_default() += 1;
        self.tally.add(&send);
        if let Some(file) = &mut self.file {
            file.write(&send);
        }
        if self.total <= self.most as u64 {
            self.sends.push(send);
            return;
        }
        if self.total == self.most as u64 + 1 {
            let all = std::mem::take(&mut self.sends);
            all.into_iter().for_each(|send| self.choose(send));
        }
        self.choose(send);
    }

    /// How many it was given.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn choose(&mut self, send: SendReport) {
        let of_its_kind = if is_notable(&send) { &mut self.notable } else { &mut self.touched };
        if !is_plain(&send) && *of_its_kind < self.most {
            *of_its_kind += 1;
            self.sends.push(send);
        }
    }

    /// What they come to.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn finish(mut self) -> (Sends, io::Result<()>) {
        self.sends.sort_by(|a, b| a.started_ms.total_cmp(&b.started_ms));
        let count = |v: &Verdict| self.verdicts.get(v).copied().unwrap_or(0);
        let verdicts = Verdict::ALL.iter().map(|v| (v.name().to_owned(), count(v))).collect();
        let omitted = self.total - self.sends.len() as u64;
        let written = self.file.map_or(Ok(()), SendsFile::finish);
        (Sends { sends: self.sends, omitted, verdicts, tally: self.tally }, written)
    }
}

/// `sends.jsonl.zst` while it is written.
pub struct SendsFile {
    out: BufWriter<zstd::Encoder<'static, File>>,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for SendsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendsFile").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl SendsFile {
    /// Begins it.
    ///
    /// # Errors
    /// The compressor cannot be set up.
    pub fn begin(file: File) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 18, zstd::Encoder::new(file, 1)?);
        Ok(Self { out, failed: None })
    }

    fn write(&mut self, send: &SendReport) {
        if self.failed.is_none() {
            let line = serde_json::to_writer(&mut self.out, send).map_err(io::Error::from);
            self.failed = line.and_then(|()| self.out.write_all(b"\n")).err();
        }
    }

    fn finish(self) -> io::Result<()> {
        match self.failed {
            Some(e) => Err(e),
            None => {
                let encoder = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
                encoder.finish()?.sync_all()
            }
        }
    }
}

/// Reads them one by one, in the order in which they were judged.
///
/// # Errors
/// It is no zstd file; each item: it cannot be read, or is none.
pub fn read(file: File) -> io::Result<impl Iterator<Item = io::Result<SendReport>>> {
    let lines = BufReader::with_capacity(1 << 18, zstd::Decoder::new(file)?);
    let sends = serde_json::Deserializer::from_reader(lines).into_iter::<SendReport>();
    Ok(sends.map(|send| send.map_err(io::Error::from)))
}
