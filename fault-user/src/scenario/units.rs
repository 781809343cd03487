//! Durations, sizes and rates as text with a unit, without rounding.

use std::time::Duration;

/// The longest duration that a scenario may name.
pub const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// Why a text is not a quantity. The message says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is nothing but a number.
    #[error("the number has no unit")]
    NoUnit,
    /// Signs are refused: nothing here can be negative.
    #[error("it must not be negative or have a sign")]
    Signed,
    /// The unit is not one of those listed in the help.
    #[error("the unit is not known")]
    UnknownUnit,
    /// `5s2m` or `5s5s`.
    #[error("units must go from the largest to the smallest, each at most once")]
    Order,
    /// Not `NUMBER UNIT` at all, or a fraction before the last unit.
    #[error("it is not a number with a unit")]
    Malformed,
    /// A fraction of the smallest unit, such as 0.5 of a nanosecond, byte or bit.
    #[error("it is finer than the smallest unit")]
    TooFine,
    /// Larger than the format allows.
    #[error("it is too large")]
    TooLarge,
}

const DURATION_UNITS: [(&str, u128); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: [(&str, u128); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const RATE_UNITS: [(&str, u128); 4] =
    [("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];

/// Parses a duration such as `250ms`, `1.5s` or `2m30s`: units h, m, s, ms, us, ns, largest
/// first, a fraction only in the last part, at most 24 h.
///
/// # Errors
/// What is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    let mut total: u128 = 0;
    let mut smallest_so_far = u128::MAX;
    while !rest.is_empty() || smallest_so_far == u128::MAX {
        let (number, unit, after) = split(rest)?;
        let scale = scale_of(unit, &DURATION_UNITS)?;
        if scale >= smallest_so_far {
            return Err(UnitError::Order);
        }
        if number.contains('.') && !after.is_empty() {
            return Err(UnitError::Malformed);
        }
        smallest_so_far = scale;
        total = total.checked_add(scaled(number, scale)?).ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    if total > MAX_DURATION.as_nanos() {
        return Err(UnitError::TooLarge);
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| UnitError::TooLarge)
}

/// Parses a size in bytes such as `64KiB`: units B, kB, MB, GB (powers of 1000), KiB, MiB, GiB.
///
/// # Errors
/// What is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    single(text, &SIZE_UNITS)
}

/// Parses a rate in bits per second such as `2mbit`: units bit, kbit, mbit, gbit (powers of 1000).
///
/// # Errors
/// What is wrong with it.
pub fn parse_rate(text: &str) -> Result<u64, UnitError> {
    single(text, &RATE_UNITS)
}

/// Writes a duration so that [`parse_duration`] reads the same one again. Whole seconds below
/// two minutes stay seconds (`110s`), which is how people write timeouts.
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 && seconds < 120 {
        return format!("{seconds}s");
    }
    let mut text = String::new();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let parts = [
        (hours, "h"),
        (minutes, "m"),
        (seconds, "s"),
        (u64::from(nanos / 1_000_000), "ms"),
        (u64::from(nanos / 1_000 % 1_000), "us"),
        (u64::from(nanos % 1_000), "ns"),
    ];
    for (amount, unit) in parts.into_iter().filter(|(amount, _)| *amount > 0) {
        text.push_str(&format!("{amount}{unit}"));
    }
    text
}

/// Writes a size so that [`parse_size`] reads the same one again: in the largest unit of 1024
/// that divides it.
pub fn format_size(bytes: u64) -> String {
    let fits = |(_, scale): &&(&str, u64)| bytes != 0 && bytes.is_multiple_of(*scale);
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(fits) {
        Some((unit, scale)) => format!("{}{unit}", bytes / scale),
        None => format!("{bytes}B"),
    }
}

/// Writes a rate (bits per second) so that [`parse_rate`] reads the same one again.
pub fn format_rate(bits_per_s: u64) -> String {
    let fits = |(_, scale): &&(&str, u64)| bits_per_s != 0 && bits_per_s.is_multiple_of(*scale);
    let units = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)];
    match units.iter().find(fits) {
        Some((unit, scale)) => format!("{}{unit}", bits_per_s / scale),
        None => format!("{bits_per_s}bit"),
    }
}

fn single(text: &str, units: &[(&str, u128)]) -> Result<u64, UnitError> {
    let (number, unit, rest) = split(text.trim())?;
    let scale = scale_of(unit, units)?;
    if !rest.is_empty() {
        return Err(UnitError::Malformed);
    }
    u64::try_from(scaled(number, scale)?).map_err(|_| UnitError::TooLarge)
}

/// Cuts `1.5s30ms` into `1.5`, `s` and `30ms`.
fn split(text: &str) -> Result<(&str, &str, &str), UnitError> {
    if text.starts_with(['-', '+']) {
        return Err(UnitError::Signed);
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let number_end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(UnitError::Malformed);
    }
    let rest = rest.trim_start();
    let unit_end = rest.find(|c: char| is_number(c) || c.is_whitespace()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    Ok((number, unit, after.trim_start()))
}

fn scale_of(unit: &str, units: &[(&str, u128)]) -> Result<u128, UnitError> {
    let found = units.iter().find(|(name, _)| *name == unit);
    found.map(|(_, scale)| *scale).ok_or(UnitError::UnknownUnit)
}

/// `number` times `scale` in integers, so that `0.1s` is exactly 100 ms.
fn scaled(number: &str, scale: u128) -> Result<u128, UnitError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole: u128 = whole.parse().map_err(|_| UnitError::TooLarge)?;
    let whole = whole.checked_mul(scale).ok_or(UnitError::TooLarge)?;
    if fraction.is_empty() {
        return Ok(whole);
    }
    // 10^18 is beyond the finest unit of the largest scale in use.
    let digits = u32::try_from(fraction.len()).map_err(|_| UnitError::TooFine)?;
    let divisor = if digits <= 18 {
        10_u128.pow(digits)
    } else {
        return Err(UnitError::TooFine);
    };
    let parts: u128 = fraction.parse::<u128>().map_err(|_| UnitError::TooFine)? * scale;
    if !parts.is_multiple_of(divisor) {
        return Err(UnitError::TooFine);
    }
    whole.checked_add(parts / divisor).ok_or(UnitError::TooLarge)
}

#[cfg(test)]
mod tests;
