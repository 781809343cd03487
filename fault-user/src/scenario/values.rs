//! Readers of single values: each reports what is wrong and returns `None` then.

use std::time::Duration;

use super::diagnostic::Problem;
use super::model::Pattern;
use super::names::nearest;
use super::reader::{Item, array, wrong_type, wrong_value};
use super::tree::Value;
use super::units::{self, UnitError};

type Problems = Vec<Problem>;

/// A string without NUL, which neither the kernel nor another program could take.
pub fn string(problems: &mut Problems, item: Item<'_>, example: &str) -> Option<String> {
    let Value::String(text) = &item.node.value else {
        wrong_type(problems, item, "a string", example);
        return None;
    };
    if text.contains('\0') {
        wrong_value(problems, item, "it holds a NUL byte", "take the \\u0000 out");
        return None;
    }
    Some(text.clone())
}

/// A string that is not empty.
pub fn text(problems: &mut Problems, item: Item<'_>, example: &str) -> Option<String> {
    let text = string(problems, item, example)?;
    if text.is_empty() {
        wrong_value(problems, item, "it is empty", &format!("for example `{example}`"));
        return None;
    }
    Some(text)
}

/// A boolean.
pub fn boolean(problems: &mut Problems, item: Item<'_>) -> Option<bool> {
    match item.node.value {
        Value::Boolean(value) => Some(value),
        _ => {
            wrong_type(problems, item, "true or false", &format!("{} = true", item.key));
            None
        }
    }
}

/// A whole number of this range.
pub fn integer(problems: &mut Problems, item: Item<'_>, min: u64, max: u64) -> Option<u64> {
    let example = format!("{} = {}", item.key, min.max(1).min(max));
    let Value::Integer(value) = item.node.value else {
        wrong_type(problems, item, "a whole number", &example);
        return None;
    };
    let inside = u64::try_from(value).ok().filter(|v| (min..=max).contains(v));
    if inside.is_none() {
        let range = match max {
            // Nobody means these limits; they are those of the types behind.
            1_000_000_000_000.. => format!("{min} or more"),
            _ => format!("from {min} to {max}"),
        };
        let help = format!("a whole number, {range}, for example `{example}`");
        wrong_value(problems, item, "it is out of range", &help);
    }
    inside
}

/// [`integer`] up to `u32::MAX`.
pub fn small(problems: &mut Problems, item: Item<'_>, min: u32, max: u32) -> Option<u32> {
    let value = integer(problems, item, u64::from(min), u64::from(max))?;
    u32::try_from(value).ok()
}

/// A number from 0 to 1. TOML's integers 0 and 1 are meant as such.
pub fn fraction(problems: &mut Problems, item: Item<'_>, what: &str) -> Option<f64> {
    let value = match item.node.value {
        Value::Float(value) => value,
        Value::Integer(value) => value as f64,
        _ => {
            wrong_type(problems, item, what, &format!("{} = 0.1", item.key));
            return None;
        }
    };
    if (0.0..=1.0).contains(&value) {
        return Some(value);
    }
    let help = match value {
        v if v > 1.0 && v <= 100.0 => {
            // Without the last digits, which are those of binary fractions.
            let share = (v * 1e10).round() / 1e12;
            format!("it is a share, not a percentage: {v} % is {share}")
        }
        _ => format!("a number from 0.0 to 1.0, for example `{} = 0.1`", item.key),
    };
    wrong_value(problems, item, "it is not between 0.0 and 1.0", &help);
    None
}

/// A duration, 0 s to 24 h.
pub fn duration(problems: &mut Problems, item: Item<'_>) -> Option<Duration> {
    let bare = |number: String| {
        let number = number.trim_start_matches('-').to_owned();
        format!("write it with a unit: \"{number}s\" or \"{number}ms\"")
    };
    let help = match &item.node.value {
        Value::String(text) => return duration_text(problems, item, text),
        Value::Integer(number) => bare(number.to_string()),
        Value::Float(number) => bare(number.to_string()),
        _ => {
            let example = format!("{} = \"10s\"", item.key);
            wrong_type(problems, item, "a duration", &example);
            return None;
        }
    };
    wrong_value(problems, item, "a bare number is not a duration", &help);
    None
}

fn duration_text(problems: &mut Problems, item: Item<'_>, text: &str) -> Option<Duration> {
    let error = match units::parse_duration(text) {
        Ok(duration) => return Some(duration),
        Err(error) => error,
    };
    let help = match error {
        UnitError::NoUnit => format!("write it with a unit: \"{text}s\" or \"{text}ms\""),
        UnitError::TooLarge => "a duration is at most 24 hours: \"24h\"".into(),
        _ => "for example \"250ms\", \"1.5s\", \"2m30s\" or \"1h\"; the units are h, m, s, ms, \
              us, ns"
            .into(),
    };
    wrong_value(problems, item, &format!("\"{text}\" is not a duration: {error}"), &help);
    None
}

/// A duration above zero.
pub fn positive_duration(problems: &mut Problems, item: Item<'_>) -> Option<Duration> {
    let value = duration(problems, item)?;
    if value.is_zero() {
        let help = format!("longer than zero, for example `{} = \"10s\"`", item.key);
        wrong_value(problems, item, "it must not be zero", &help);
        return None;
    }
    Some(value)
}

/// A regular expression that compiles.
pub fn pattern(problems: &mut Problems, item: Item<'_>, example: &str) -> Option<Pattern> {
    let text = text(problems, item, example)?;
    match regex::Regex::new(&text) {
        Ok(regex) => Some(Pattern(regex)),
        Err(error) => {
            // The crate's message is several lines with a picture; its last line says it.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let why = format!("the regular expression is not valid: {reason}");
            let help = "to mean a character itself, put a backslash before it; in 'single \
                        quotes' TOML leaves backslashes alone: 'sent \\(ok\\)'";
            wrong_value(problems, item, &why, help);
            None
        }
    }
}

/// One of a few words.
pub fn choice<T: Copy>(
    problems: &mut Problems,
    item: Item<'_>,
    choices: &[(&str, T)],
) -> Option<T> {
    let first = choices.first().map_or("", |(word, _)| word);
    let example = format!("{} = \"{first}\"", item.key);
    let word = string(problems, item, &example)?;
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
        return Some(*value);
    }
    let words: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let mut help = format!("one of {}", words.join(", "));
    if let Some(near) = nearest(&word, choices.iter().map(|(name, _)| *name)) {
        help = format!("did you mean \"{near}\"?\n{help}");
    }
    wrong_value(problems, item, &format!("\"{word}\" is not one of its values"), &help);
    None
}

/// An array of strings, which may be empty.
pub fn strings(problems: &mut Problems, item: Item<'_>, example: &str) -> Option<Vec<String>> {
    let nodes = array(problems, item, "an array of strings", example)?;
    let read: Vec<_> =
        nodes.iter().map(|node| string(problems, item.element(node), example)).collect();
    read.into_iter().collect()
}

/// Program and arguments.
pub fn command(problems: &mut Problems, item: Item<'_>) -> Option<Vec<String>> {
    let example = format!("{} = [\"./send\", \"--count\", \"20\"]", item.key);
    if let Value::String(line) = &item.node.value {
        let words: Vec<String> = line.split_whitespace().map(|w| format!("\"{w}\"")).collect();
        let help = format!(
            "there is no shell: write program and arguments as an array, `{} = [{}]`",
            item.key,
            words.join(", ")
        );
        wrong_value(problems, item, "it must be an array of strings, not a string", &help);
        return None;
    }
    let words = strings(problems, item, &example)?;
    if words.first().is_none_or(String::is_empty) {
        wrong_value(problems, item, "it names no program", &format!("for example `{example}`"));
        return None;
    }
    Some(words)
}
