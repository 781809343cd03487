//! Even times for sends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Closer than this a sleep would only come late.
const SLEEP_FROM: Duration = Duration::from_micros(20);

/// Says when the next one is due. One that comes late does not move the others.
pub struct Pace {
    due: Instant,
    gap: Duration,
}

impl Pace {
    /// So many per second; 0 for as many as there can be.
    ///
    /// # Errors
    /// The kernel refuses exact timers.
    pub fn new(per_second: u32) -> Result<Self> {
        // The default slack of 50 us is half of the gap at 10000 per second.
        nix::sys::prctl::set_timerslack(1).context("cannot set the timer slack")?;
        let gap = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Ok(Self { due: Instant::now(), gap })
    }

    /// Waits for it.
    pub fn next(&mut self) {
        let early = self.due.saturating_duration_since(Instant::now());
        if early > SLEEP_FROM {
            std::thread::sleep(early);
        }
        self.due += self.gap;
    }
}
