//! Outcomes from a file that the app writes: read from where it ends when the app starts, wherever it is moved.

mod file;
mod rotated;

use std::time::Duration;

use tokio::sync::mpsc;

use super::output::Flush;
use super::supervisor::AppEvent;
use crate::clock;
pub use rotated::Tail;

/// How often the file is looked at; a file has no readiness to wait for.
const EVERY: Duration = Duration::from_millis(20);

/// Reads on until the receiver is gone; answers each flush when it has read to the end.
pub async fn follow(
    app: usize,
    mut tail: Tail,
    events: mpsc::Sender<AppEvent>,
    mut flushes: mpsc::UnboundedReceiver<Flush>,
) {
    let mut complained = false;
    while !events.is_closed() {
        let asked = tokio::select! {
            asked = flushes.recv() => asked,
            () = tokio::time::sleep(EVERY) => None,
        };
        // Files block; so do those on a network, for long.
        let looked = tokio::task::spawn_blocking(move || {
            let lines = tail.look();
            (tail, lines)
        });
        let lines;
        (tail, lines) = match looked.await {
            Ok(looked) => looked,
            Err(e) => return tracing::error!("reading the outcomes of an app: {e}"),
        };
        match lines {
            Ok(lines) => {
                let now = clock::monotonic_ns();
                for text in lines {
                    // The receiver is gone only when the run is over.
                    let _ = events.send(AppEvent::Line { app, stream: None, at: now, text }).await;
                }
                complained = false;
            }
            Err(e) if !complained => {
                tracing::warn!("cannot read {}: {e}", tail.path().display());
                complained = true;
            }
            Err(_) => {}
        }
        if let Some(flush) = asked {
            // The asker may be gone already: then nobody waits for the answer.
            let _ = flush.send(());
        }
    }
}
