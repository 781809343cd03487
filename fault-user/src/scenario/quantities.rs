//! Readers of quantities: probabilities, sizes, rates and bounded durations.

use std::time::Duration;

use super::diagnostic::Problem;
use super::reader::{Item, array, wrong_type, wrong_value};
use super::tree::Value;
use super::units::{self, UnitError, format_duration};
use super::values;

type Problems = Vec<Problem>;

/// The longest time for which one fault may hold a packet.
pub const MAX_DELAY: Duration = Duration::from_secs(600);
/// The largest IP packet without a jumbogram option (RFC 791, RFC 2675).
pub const MAX_PACKET: u32 = 65_535;

/// A probability above 0.
pub fn probability(problems: &mut Problems, item: Item<'_>) -> Option<f64> {
    chance(problems, item, "a number from 0.0 to 1.0")
}

/// The same where a table may stand, too.
pub fn probability_or_table(problems: &mut Problems, item: Item<'_>) -> Option<f64> {
    chance(problems, item, "a probability or a table")
}

fn chance(problems: &mut Problems, item: Item<'_>, what: &str) -> Option<f64> {
    let p = values::fraction(problems, item, what)?;
    if p > 0.0 {
        return Some(p);
    }
    let help = "a probability above 0.0, up to 1.0 for every packet. For it never to happen, \
                leave the fault out";
    wrong_value(problems, item, "with probability 0 it never happens", help);
    None
}

/// A share from 0 to 1, both allowed.
pub fn share(problems: &mut Problems, item: Item<'_>) -> Option<f64> {
    values::fraction(problems, item, "a number from 0.0 to 1.0")
}

/// Bytes, as text with a unit or as a whole number.
pub fn size(problems: &mut Problems, item: Item<'_>) -> Option<u64> {
    let Value::String(text) = &item.node.value else {
        if matches!(item.node.value, Value::Integer(_)) {
            return values::integer(problems, item, 0, u64::MAX);
        }
        wrong_type(problems, item, "a size", &format!("{} = \"64KiB\"", item.key));
        return None;
    };
    let error = match units::parse_size(text) {
        Ok(size) => return Some(size),
        Err(error) => error,
    };
    let help = match error {
        UnitError::NoUnit => format!("write it with a unit, \"{text}B\", or without quotes"),
        _ => "for example \"64KiB\", \"1.5MB\" or 65536; the units are B, kB, MB, GB (powers of \
              1000), KiB, MiB, GiB (powers of 1024)"
            .into(),
    };
    wrong_value(problems, item, &format!("\"{text}\" is not a size: {error}"), &help);
    None
}

/// Bits per second, above 0.
pub fn rate(problems: &mut Problems, item: Item<'_>) -> Option<u64> {
    let bare = match &item.node.value {
        Value::String(text) => return rate_text(problems, item, text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => {
            wrong_type(problems, item, "a rate", &format!("{} = \"2mbit\"", item.key));
            return None;
        }
    };
    let number = bare.trim_start_matches('-');
    let help = format!("write it with a unit: \"{number}mbit\" or \"{number}kbit\"");
    wrong_value(problems, item, "a bare number is not a rate", &help);
    None
}

fn rate_text(problems: &mut Problems, item: Item<'_>, text: &str) -> Option<u64> {
    let (why, help) = match units::parse_rate(text) {
        Ok(0) => (
            "a link of rate 0 lets nothing through".into(),
            "a rate above 0, for example \"2mbit\"; `drop = 1.0` lets nothing through".into(),
        ),
        Ok(rate) => return Some(rate),
        Err(UnitError::NoUnit) => (
            format!("\"{text}\" is not a rate: {}", UnitError::NoUnit),
            format!("write it with a unit: \"{text}mbit\" or \"{text}kbit\""),
        ),
        Err(error) => (
            format!("\"{text}\" is not a rate: {error}"),
            "for example \"512kbit\" or \"2mbit\"; the units are bit, kbit, mbit, gbit per \
             second (powers of 1000)"
                .into(),
        ),
    };
    wrong_value(problems, item, &why, &help);
    None
}

/// A time for which packets are held, at most [`MAX_DELAY`].
pub fn delay(problems: &mut Problems, item: Item<'_>) -> Option<Duration> {
    let delay = values::duration(problems, item)?;
    at_most(problems, item, delay)
}

/// The same, above zero.
pub fn positive_delay(problems: &mut Problems, item: Item<'_>) -> Option<Duration> {
    let delay = values::positive_duration(problems, item)?;
    at_most(problems, item, delay)
}

fn at_most(problems: &mut Problems, item: Item<'_>, delay: Duration) -> Option<Duration> {
    if delay <= MAX_DELAY {
        return Some(delay);
    }
    let max = format_duration(MAX_DELAY);
    let why = format!("a packet is held for {max} at most, this is {}", format_duration(delay));
    let help = format!("at most \"{max}\"; to lose the packets instead, `drop = 1.0`");
    wrong_value(problems, item, &why, &help);
    None
}

/// Two whole numbers up to `max`, the first not above the second. `half_open`: the second is
/// one past the last, so they must differ.
pub fn range(
    problems: &mut Problems,
    item: Item<'_>,
    max: u64,
    half_open: bool,
) -> Option<(u64, u64)> {
    let example = format!("{} = [0, 100]", item.key);
    let nodes = array(problems, item, "an array of two numbers", &example)?;
    let [from, to] = nodes else {
        let why = format!("it needs two numbers and has {}", nodes.len());
        wrong_value(problems, item, &why, &format!("for example `{example}`"));
        return None;
    };
    let [from, to] = [from, to].map(|node| bound(problems, item.element(node), max, &example));
    let (from, to) = (from?, to?);
    if from < to || from == to && !half_open {
        return Some((from, to));
    }
    let help = match half_open {
        true => format!("[from, to): `to` is the first byte behind it, for example `{example}`"),
        false => format!("[min, max], both included, for example `{example}`"),
    };
    wrong_value(problems, item, "the range is empty", &help);
    None
}

fn bound(problems: &mut Problems, item: Item<'_>, max: u64, example: &str) -> Option<u64> {
    let Value::Integer(value) = item.node.value else {
        wrong_type(problems, item, "an array of two whole numbers", example);
        return None;
    };
    let inside = u64::try_from(value).ok().filter(|v| *v <= max);
    if inside.is_none() {
        let range = if max == u64::MAX { "0 or more".into() } else { format!("from 0 to {max}") };
        let help = format!("whole numbers, {range}, for example `{example}`");
        wrong_value(problems, item, "it is out of range", &help);
    }
    inside
}
