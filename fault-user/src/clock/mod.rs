//! CLOCK_MONOTONIC, the clock of every event, and its distance to CLOCK_REALTIME.

mod history;

use nix::time::{ClockId, clock_gettime};

pub use history::History;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// CLOCK_MONOTONIC, ns.
    pub monotonic: u64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
    pub offset: i64,
}

/// Reads both clocks, as nearly at once as they can be: whoever reads them is preempted now and then.
pub fn reading() -> Reading {
    let mut best: Option<(u64, Reading)> = None;
    for _ in 0..3 {
        let before = monotonic_ns();
        let real = read(ClockId::CLOCK_REALTIME);
        let took = monotonic_ns().saturating_sub(before);
        let monotonic = before + took / 2;
        let reading = Reading { monotonic, offset: real as i64 - monotonic as i64 };
        if best.is_none_or(|(least, _)| took < least) {
            best = Some((took, reading));
        }
    }
    best.map_or(Reading { monotonic: monotonic_ns(), offset: 0 }, |(_, reading)| reading)
}

/// Nanoseconds of CLOCK_MONOTONIC: what `bpf_ktime_get_ns` returns.
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CLOCK_MONOTONIC moment of a CLOCK_REALTIME one, by the distance of the clocks now; not after now.
pub fn from_realtime(realtime_ns: u64) -> u64 {
    let (mono, real) = (monotonic_ns(), read(ClockId::CLOCK_REALTIME));
    (mono + realtime_ns).saturating_sub(real).min(mono)
}

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
pub fn realtime_offset_ns() -> i64 {
    reading().offset
}

fn read(clock: ClockId) -> u64 {
    // clock_gettime fails for unknown clocks and bad pointers only; neither can happen here.
    clock_gettime(clock).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_maps_to_the_present() {
        let before = monotonic_ns();
        let mapped = from_realtime(read(ClockId::CLOCK_REALTIME));
        assert!(mapped.abs_diff(before) < 1_000_000_000, "{mapped} {before}");
    }
}
