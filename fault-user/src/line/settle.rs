//! Packets that the programs have handed over and that never came.

use super::engine::{ConnKey, Engine};

/// A connection is quiet after this long, ns: far longer than a frame takes to be read.
const QUIET: u64 = 50_000_000;

impl Engine {
    /// Finds connections that are quiet although more was handed over (`handed_over`) than came:
    /// what is missing was lost in the device's queue. Those, and how many packets they are done
    /// with. To be called when that queue has just been empty, time and again.
    ///
    /// What is missing at one call may have been handed over in this instant; only what is
    /// missing at the next one, too, is lost.
    pub fn resync(
        &mut self,
        now: u64,
        handed_over: impl Fn(ConnKey) -> u64,
    ) -> Vec<(ConnKey, u64)> {
        let mut settled = Vec::new();
        for (key, conn) in &mut self.conns {
            let suspect = conn.suspect.take();
            if conn.outstanding > 0 || now.saturating_sub(conn.seen) < QUIET {
                continue;
            }
            let still = suspect.filter(|(accepted, _)| *accepted == conn.accepted);
            if let Some((accepted, sent)) = still {
                self.tally.missed += sent - accepted;
                conn.accepted = sent;
                settled.push((*key, sent));
            }
            let sent = handed_over(*key);
            conn.suspect = (sent > conn.accepted).then_some((conn.accepted, sent));
        }
        settled
    }
}
