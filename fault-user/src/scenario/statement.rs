//! Statements of a text that is not valid TOML: where they begin and end, how to do without one.

use toml::de::DeTable;

/// Bytes of the text.
pub type Range = std::ops::Range<usize>;

/// The statement that is to blame for an error at `byte`: all before it parses, and it reaches
/// to where the next one seems to begin. A broken header takes its whole section with it,
/// because its keys would otherwise count as the previous section's.
pub fn culprit(text: &str, byte: usize) -> Range {
    let starts: Vec<usize> = statement_starts(text).collect();
    let mut i = starts.partition_point(|&start| start <= byte).saturating_sub(1);
    while i > 0 && DeTable::parse(&text[..starts[i]]).is_err() {
        i -= 1;
    }
    let start = starts.get(i).copied().unwrap_or(0);
    let header = text[start..].trim_start().starts_with('[');
    let later = starts.iter().skip(i + 1);
    let end = later.copied().find(|&s| !header || text[s..].starts_with('['));
    start..end.unwrap_or(text.len())
}

/// Where lines begin that look like `key = ...` or `[header]`; always 0 first.
fn statement_starts(text: &str) -> impl Iterator<Item = usize> {
    let lines = text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    lines.filter(|(start, line)| *start == 0 || looks_like_statement(line)).map(|(start, _)| start)
}

fn looks_like_statement(line: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || "_-.\"' ".contains(c);
    if let Some(header) = line.strip_prefix('[') {
        return header.trim_start_matches('[').trim_start().starts_with(char::is_alphabetic);
    }
    let key = line.trim_start();
    let Some((before, _)) = key.split_once('=') else {
        // A word at the line's beginning is a key whose `=` was forgotten, unless a list goes on.
        let list = key.trim_end().ends_with(',');
        return line.starts_with(|c: char| c.is_ascii_lowercase()) && !list;
    };
    before.is_empty() || before.trim_end().chars().all(word)
}

/// The text with a stand-in for a statement's value, and where that is, if it is `key = value`
/// and the rest of it was what is wrong.
pub fn keep_key(text: &str, statement: &Range) -> Option<(String, usize)> {
    let line = text[statement.clone()].lines().next()?;
    let value = statement.start + line.find('=')? + 1;
    let room = text[value..].chars().next().is_some_and(|c| c != '\n' && c != '\r');
    if !room || line.trim_start().starts_with('[') {
        return None;
    }
    let mut kept = text.to_owned();
    blank(&mut kept, value..statement.end);
    kept.replace_range(value..value + 1, "0");
    let sound = DeTable::parse(&kept[..statement.end]).is_ok();
    sound.then_some((kept, value))
}

/// Overwrites a range with spaces, so that every other byte keeps its position.
pub fn blank(text: &mut String, range: Range) {
    let spaces: String =
        text[range.clone()].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &spaces);
}
