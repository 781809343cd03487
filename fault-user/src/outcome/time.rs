//! Wall-clock times in outcome lines.

use super::scalar::Scalar;
use crate::clock::History;

const NS_PER_S: i128 = 1_000_000_000;
const NS_PER_MS: i128 = 1_000_000;
/// Numbers below it are seconds (until the year 5138), above it milliseconds (from 1973 on).
const FIRST_MS: f64 = 1e11;
/// Not a time in milliseconds either: most likely micro- or nanoseconds.
const TOO_LARGE: f64 = 1e14;

/// (CLOCK_MONOTONIC ns, resolution in ns) of an RFC 3339 text, or of seconds or milliseconds since
/// the epoch; `None` for anything else and for times before the machine's start. `written_at`: when the line was.
pub(super) fn stamp(value: &Scalar, clock: &History, written_at: u64) -> Option<(u64, u64)> {
    let (realtime, resolution) = match value.number() {
        Some(number) => epoch(value, number)?,
        None => rfc3339(&value.text())?,
    };
    Some((clock.monotonic(realtime, written_at)?, resolution as u64))
}

fn epoch(value: &Scalar, number: f64) -> Option<(i128, i128)> {
    if !(0.0..TOO_LARGE).contains(&number) {
        return None;
    }
    let unit = if number < FIRST_MS { NS_PER_S } else { NS_PER_MS };
    if value.is_whole() {
        return Some((number as i128 * unit, unit));
    }
    // A float of seconds since 1970 is good to a quarter of a microsecond.
    Some(((number * unit as f64) as i128, 1_000))
}

fn rfc3339(text: &str) -> Option<(i128, i128)> {
    let at: jiff::Timestamp = text.trim().parse().ok()?;
    let digits = text
        .split_once('.')
        .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count() as u32);
    Some((at.as_nanosecond(), 10i128.pow(9 - digits.min(9))))
}
