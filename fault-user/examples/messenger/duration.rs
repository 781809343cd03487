//! Durations as the scenario file writes them: `250ms`, `2m30s`, `1.5s`.

use std::time::Duration;

/// A repeated act that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Never.
    Off,
    /// Each time this long (above zero) has passed.
    Every(Duration),
}

impl Period {
    /// The duration, if there is one.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Every(period) => Some(period),
        }
    }
}

/// A duration above zero, or `off`.
///
/// # Errors
/// What is wrong with the text and what it should look like.
pub fn parse_period(text: &str) -> Result<Period, String> {
    if text == "off" {
        return Ok(Period::Off);
    }
    parse_span(text).map(Period::Every)
}

/// A duration above zero.
///
/// # Errors
/// As [`parse_duration`], and for zero.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    if span.is_zero() {
        return Err("must be longer than zero".to_owned());
    }
    Ok(span)
}

/// A sum of numbers with units h, m, s, ms or us; zero is allowed.
///
/// # Errors
/// What is wrong with the text and what it should look like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        let part = part(number, unit).ok_or_else(|| hint(text))?;
        total = total.checked_add(part).ok_or_else(|| hint(text))?;
        rest = after;
    }
    if text.is_empty() {
        return Err(hint(text));
    }
    Ok(total)
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

fn hint(text: &str) -> String {
    format!("`{text}` is no duration; write for example 250ms, 55s or 2m30s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_units() {
        let cases = [
            ("250ms", 250_000),
            ("2m30s", 150_000_000),
            ("1.5s", 1_500_000),
            ("1h", 3_600_000_000),
            ("40us", 40),
            ("0s", 0),
        ];
        for (text, us) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(us)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "5", "s", "-1s", "5 s", "1.2.3s", "5d", "9e99s", "off"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_period_is_off_or_above_zero() {
        assert_eq!(parse_period("off").map(Period::duration), Ok(None));
        let second = Duration::from_secs(1);
        assert_eq!(parse_period("1s").map(Period::duration), Ok(Some(second)));
        assert!(parse_period("0s").is_err());
    }
}
