//! Outcomes from a file that the app writes: read from where it ends when the run starts.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;

use super::output::Flush;
use super::supervisor::AppEvent;
use crate::clock;

/// How often the file is looked at; a file has no readiness to wait for.
const EVERY: Duration = Duration::from_millis(20);

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Follows `path` until the receiver is gone; answers each flush when it has read to the end. A
/// file that does not exist yet is read from its beginning once it does; one that is replaced or
/// cut off is read anew.
pub async fn follow(
    app: usize,
    path: PathBuf,
    events: mpsc::Sender<AppEvent>,
    mut flushes: mpsc::UnboundedReceiver<Flush>,
) {
    let mut at = tokio::fs::metadata(&path).await.map_or(0, |m| m.len());
    let mut partial = BytesMut::new();
    while !events.is_closed() {
        let asked = tokio::select! {
            asked = flushes.recv() => asked,
            () = tokio::time::sleep(EVERY) => None,
        };
        match more(&path, &mut at, &mut partial).await {
            Ok(lines) => {
                let now = clock::monotonic_ns();
                for text in lines {
                    // The receiver is gone only when the run is over.
                    let _ = events.send(AppEvent::Line { app, stream: None, at: now, text }).await;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => at = 0,
            Err(e) => tracing::warn!("cannot read {}: {e}", path.display()),
        }
        if let Some(flush) = asked {
            // The asker may be gone already: then nobody waits for the answer.
            let _ = flush.send(());
        }
    }
}

async fn more(path: &PathBuf, at: &mut u64, partial: &mut BytesMut) -> std::io::Result<Vec<Bytes>> {
    let mut file = File::open(path).await?;
    let len = file.metadata().await?.len();
    if len < *at {
        *at = 0;
        partial.clear();
    }
    file.seek(SeekFrom::Start(*at)).await?;
    loop {
        partial.reserve(CHUNK);
        match file.read_buf(partial).await? {
            0 => break,
            read => *at += read as u64,
        }
    }
    let mut lines = Vec::new();
    while let Some(end) = partial.iter().position(|b| *b == b'\n') {
        lines.push(partial.split_to(end + 1).freeze().slice(..end));
    }
    Ok(lines)
}
