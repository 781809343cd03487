//! Problems as plain text: `file:line:column`, the line, a marker under it, the help.

use std::fmt::Write as _;

use super::diagnostic::{Problem, Source};
use super::tree::Place;

/// All problems, a blank line after each, then the summary line.
pub fn render(sources: &[Source], problems: &[Problem], summary: &str) -> String {
    let mut out = String::new();
    for problem in problems {
        one(&mut out, sources, problem);
        out.push('\n');
    }
    out.push_str(summary);
    out.push('\n');
    out
}

/// Line and column (both from 1, the column in characters) of a byte of `text`.
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn one(out: &mut String, sources: &[Source], problem: &Problem) {
    let _ = writeln!(out, "error: {}", problem.message);
    snippet(out, sources, problem.at, "-->", '^', &problem.label);
    if let Some((at, label)) = &problem.also {
        snippet(out, sources, *at, ":::", '-', label);
    }
    for (i, line) in problem.help.lines().enumerate() {
        let _ = writeln!(out, "   {} {line}", if i == 0 { "= help:" } else { "       " });
    }
}

fn snippet(
    out: &mut String,
    sources: &[Source],
    at: Place,
    arrow: &str,
    marker: char,
    label: &str,
) {
    let source = &sources[at.source];
    let (line, column) = position(&source.text, at.start);
    let shown = source.text.split('\n').nth(line - 1).unwrap_or_default().trim_end_matches('\r');
    // Tabs keep their width under the line if the marker's indentation has the same tabs.
    let indent: String =
        shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let covered = source.text.get(at.start..at.end).unwrap_or_default();
    let first_line = covered.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let marks = marker.to_string().repeat(first_line.chars().count().max(1));
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(out, "{gutter}{arrow} {}:{line}:{column}", source.name);
    let _ = writeln!(out, "{gutter} |");
    let _ = writeln!(out, "{number} | {shown}");
    let _ = writeln!(out, "{}", format!("{gutter} | {indent}{marks} {label}").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_not_bytes() {
        assert_eq!(position("ä = 1\nöx", 0), (1, 1));
        assert_eq!(position("ä = 1\nöx", 9), (2, 2));
        assert_eq!(position("a\n", 2), (2, 1), "the end of the text");
    }

    #[test]
    fn a_problem_shows_its_line_and_marks_the_place() {
        let sources = [Source { name: "f.toml".into(), text: "a = 1\r\n\tb = \"ü\"\r\n".into() }];
        let at = Place { source: 0, start: 12, end: 16 };
        let problem = Problem::new(at, "no", "first\nsecond").label("here");
        let text = render(&sources, &[problem], "f.toml: 1 error");
        let expected = "error: no\n --> f.toml:2:6\n  |\n2 | \tb = \"ü\"\n  | \t    ^^^ here\n   \
                        = help: first\n           second\n\nf.toml: 1 error\n";
        assert_eq!(text, expected);
    }
}
