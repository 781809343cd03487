//! On and off times.

use super::model::Pulse;

impl Pulse {
    /// Whether the fault is on at `now` (CLOCK_MONOTONIC, ns). It begins with an on time; without
    /// an off time it is always on.
    pub fn is_on(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.armed);
        self.off == 0 || since % self.on.saturating_add(self.off) < self.on
    }
}
