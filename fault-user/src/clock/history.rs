//! How far CLOCK_REALTIME was from CLOCK_MONOTONIC, and when: somebody may set it in the middle of a run (NTP, an
//! administrator, a virtual machine that was resumed), and stamps of apps are of the clock as it was then.

use super::Reading;

/// A change between two readings that no correction of the clock's speed explains (the kernel's limit is 500 ppm,
/// and the offset is read to within microseconds), ns.
const STEP: u64 = 1_000_000;
/// A change below it is not worth a reading more, ns.
const SLIGHT: u64 = 10_000;
/// How far a stamp may lie outside of the time in which its offset held, ns: stamps are rounded, and a write
/// takes a while to be stamped.
const SLACK: u64 = 50_000_000;

/// Readings of the two clocks, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Each holds until the next; there is at least one once anything was read.
    readings: Vec<Reading>,
    /// When it was read last.
    latest: u64,
}

impl History {
    /// With one reading.
    pub fn new(first: Reading) -> Self {
        Self { readings: vec![first], latest: first.monotonic }
    }

    /// Takes a reading, later than those before. Returns by how much the clock was set since the one before, in ns, if it was.
    pub fn read(&mut self, now: Reading) -> Option<i64> {
        let before = self.readings.last().map(|r| r.offset);
        self.latest = now.monotonic;
        let change = before.map_or(0, |b| now.offset - b);
        if before.is_none() || change.unsigned_abs() >= SLIGHT {
            self.readings.push(now);
        }
        (change.unsigned_abs() >= STEP).then_some(change)
    }

    /// CLOCK_MONOTONIC ns of a CLOCK_REALTIME stamp that was written down at `written` (CLOCK_MONOTONIC ns). A clock that was
    /// set back shows a time twice: the later one before `written` is meant. `None`: before the machine's start.
    pub fn monotonic(&self, realtime: i128, written: u64) -> Option<u64> {
        let until = self.readings.iter().skip(1).map(|r| r.monotonic).chain([u64::MAX]);
        let each = self.readings.iter().zip(until).enumerate();
        let candidates = each.filter_map(|(i, (r, until))| {
            let at = u64::try_from(realtime - i128::from(r.offset)).ok()?;
            // Before the first reading its offset held as well, as far as anybody knows.
            let from = if i == 0 { 0 } else { r.monotonic };
            Some((outside(at, from, until), outside(at, 0, written), written.abs_diff(at), at))
        });
        // The clock was set some time between two readings: a little outside is as good as inside.
        let near = |off: u64| off.saturating_sub(SLACK);
        let best = candidates.min_by_key(|(off, after, away, _)| (near(*off), near(*after), *away));
        best.map(|(.., at)| at)
    }
}

/// How far a moment is from a span of time.
fn outside(at: u64, from: u64, until: u64) -> u64 {
    from.saturating_sub(at).max(at.saturating_sub(until))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
