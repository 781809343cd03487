//! How times, sizes and names are put into words; shared by every format for people and by
//! the expectations.

use std::fmt::Write as _;

/// A time in milliseconds, as short as it stays exact enough: `250 ms`, `12.3 s`, `12m 05s`.
pub fn time(ms: f64) -> String {
    let size = ms.abs();
    // The bounds are where rounding would show "1000 ms" or "600.0 s".
    if size < 999.5 {
        format!("{ms:.0} ms")
    } else if size < 599_950.0 {
        format!("{:.1} s", ms / 1000.0)
    } else {
        long_time(ms)
    }
}

/// Ten minutes and more: whole seconds.
fn long_time(ms: f64) -> String {
    let sign = if ms < 0.0 { "-" } else { "" };
    let seconds = (ms.abs() / 1000.0).round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{sign}{hours}h {minutes:02}m {seconds:02}s")
    } else {
        format!("{sign}{minutes}m {seconds:02}s")
    }
}

/// A size in bytes with a binary unit: `512 B`, `1.5 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 packet`, `2 packets`.
pub fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A number as people write it: whole numbers without a fraction, others with three digits.
pub fn number(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.0}") } else { format!("{x:.3}") }
}

/// `text` with nothing in it that could move the cursor, recolour or reverse what stands around
/// it. Ids and log lines come from the app under test: a terminal must not obey them.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                // Writing to a String cannot fail.
                _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Marks that reorder or hide text: bidirectional controls, zero-width characters, line and
/// paragraph separators, and the two code points that XML forbids.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// At most `max` characters of `text`, the cut marked with `…`.
pub fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// The first few of `names`, and how many more there are: `a, b, c and 4 more`.
pub fn first_few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let all = names.len() as u64;
    first_few_of(names, all)
}

/// The same of `all` names, of which `names` are the first.
pub fn first_few_of<'a>(names: impl IntoIterator<Item = &'a str>, all: u64) -> String {
    const SHOWN: usize = 5;
    let names = names.into_iter().map(|name| shorten(&visible(name), 40));
    let shown: Vec<String> = names.take(SHOWN).collect();
    let more = all.saturating_sub(shown.len() as u64);
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_change_unit_without_odd_roundings() {
        let shown =
            [0.0, -250.4, 999.4, 999.6, 160_000.1, 599_940.0, 599_960.0, 3_725_000.0, -700_000.0]
                .map(time);
        let expected = [
            "0 ms",
            "-250 ms",
            "999 ms",
            "1.0 s",
            "160.0 s",
            "599.9 s",
            "10m 00s",
            "1h 02m 05s",
            "-11m 40s",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn sizes_change_unit_without_odd_roundings() {
        let shown = [0, 1023, 1024, 1_048_575, 1_572_864, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.5 MiB", "16384.0 PiB"]);
    }

    #[test]
    fn text_of_the_app_cannot_steer_a_terminal() {
        assert_eq!(visible("a\x1b[2Jb\n\u{202e}c\u{9b}é"), "a\\u{1b}[2Jb\\n\\u{202e}c\\u{9b}é");
    }

    #[test]
    fn lists_are_cut_and_say_so() {
        assert_eq!(first_few(["a", "b"]), "a, b");
        assert_eq!(first_few(["1", "2", "3", "4", "5", "6", "7"]), "1, 2, 3, 4, 5 and 2 more");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }
}
