//! CLOCK_MONOTONIC, the clock of every event, and its distance to CLOCK_REALTIME.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC: what `bpf_ktime_get_ns` returns.
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CLOCK_MONOTONIC moment of a CLOCK_REALTIME one, by the distance of the clocks now.
pub fn from_realtime(realtime_ns: u64) -> u64 {
    let (mono, real) = (monotonic_ns(), read(ClockId::CLOCK_REALTIME));
    (mono + realtime_ns).saturating_sub(real)
}

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
pub fn realtime_offset_ns() -> i64 {
    read(ClockId::CLOCK_REALTIME) as i64 - monotonic_ns() as i64
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
