//! TOML syntax, with every independent error of a text in one pass.
//!
//! A TOML parser that goes on after an unclosed bracket sees errors in every line behind it.
//! So: find the first statement that does not parse, report it once, blank it out, parse
//! again. What is left is a tree without guesses in it.

use toml::de::DeTable;

use super::diagnostic::Problem;
use super::statement::{Range, blank, culprit, keep_key};
use super::tree::{Place, Table};

/// More syntax errors than anyone reads; the rest shows when these are mended.
const MAX_ERRORS: usize = 20;

/// A text as far as it could be parsed.
#[derive(Debug)]
pub struct Parsed {
    /// Every statement that is TOML; where only the value is not, it is `Value::Broken`.
    pub root: Table,
    /// The syntax errors.
    pub problems: Vec<Problem>,
    /// Whether statements were left out of which not even the key is certain.
    pub lossy: bool,
}

/// Parses text number 0.
pub fn parse(text: &str) -> Parsed {
    let mut repaired = text.to_owned();
    let mut parsed = Parsed { root: Table::default(), problems: Vec::new(), lossy: false };
    let mut broken = Vec::new();
    loop {
        let error = match DeTable::parse(&repaired) {
            Ok(table) => {
                parsed.root = Table::from_toml(table.get_ref(), 0, 0);
                parsed.root.mark_broken(&broken);
                return parsed;
            }
            Err(error) => first_error(&repaired).unwrap_or(error),
        };
        let statement = culprit(&repaired, start_of(&error));
        parsed.problems.push(problem(&repaired, &statement, &error));
        let stuck = repaired[statement.clone()].trim().is_empty();
        if parsed.problems.len() >= MAX_ERRORS || stuck {
            parsed.lossy = true;
            return parsed;
        }
        match keep_key(&repaired, &statement) {
            Some((with_key, value)) => {
                repaired = with_key;
                broken.push(value);
            }
            None => {
                // Of a key that stands there twice, the first one is still there.
                parsed.lossy |= !error.message().contains("duplicate key");
                blank(&mut repaired, statement);
            }
        }
    }
}

fn start_of(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// The parser reports in passes; the first error of the text is the one to believe.
fn first_error(text: &str) -> Option<toml::de::Error> {
    DeTable::parse_recoverable(text).1.into_iter().min_by_key(start_of)
}

fn problem(text: &str, statement: &Range, error: &toml::de::Error) -> Problem {
    // Alone, an unclosed bracket is reported at its own end and not in the next statement.
    let alone = first_error(&text[statement.clone()]);
    let span = match &alone {
        Some(e) => {
            let span = e.span().unwrap_or(0..0);
            span.start + statement.start..span.end + statement.start
        }
        None => error.span().unwrap_or(0..0),
    };
    let message = alone.as_ref().unwrap_or(error).message();
    let at = Place::new(0, pull_back(text, span, statement.start), 0);
    Problem::new(at, format!("not valid TOML: {message}"), help(text, at, message))
}

/// An error at the end of a line or behind it belongs to the last word before it.
fn pull_back(text: &str, span: Range, floor: usize) -> Range {
    let empty = text.get(span.clone()).is_none_or(|s| s.trim().is_empty());
    if !empty {
        return span;
    }
    let end = floor + text[floor..span.start.max(floor)].trim_end().len();
    let start = text[floor..end].char_indices().next_back().map_or(end, |(i, _)| floor + i);
    start..end
}

fn help(text: &str, at: Place, message: &str) -> String {
    if message.contains("must be quoted") {
        let rest = text[at.start..].lines().next().unwrap_or_default();
        let word: String = rest.chars().take_while(|c| !" ,]}#\"".contains(*c)).collect();
        if !word.is_empty() {
            return format!("put it into double quotes: \"{word}\"");
        }
        return "write a value behind the `=`".into();
    }
    if message.contains("duplicate key") {
        return "keep one of the two; an array of tables has two brackets: `[[step]]`".into();
    }
    if message.contains("unclosed") {
        return "close the bracket, brace or quote that this begins".into();
    }
    "a scenario file is TOML: `[section]` headers and `key = value` lines, strings in quotes".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::plain::position;
    use crate::scenario::tree::Value;

    /// Line, column and message of each error.
    fn errors(text: &str) -> Vec<(usize, usize, String)> {
        let problems = parse(text).problems;
        let place = |p: &Problem| position(text, p.at.start);
        problems.iter().map(|p| (place(p).0, place(p).1, p.message.clone())).collect()
    }

    #[test]
    fn a_good_text_has_no_errors() {
        let text = "a = 1\nb = [\n  { x = 1 },\n]\n[[app]]\nname = \"x\"\n";
        assert_eq!(errors(text), []);
    }

    #[test]
    fn each_broken_statement_is_reported_once() {
        let text =
            "schema =\nname \"x\"\nd = 10s\n[[app]]\nc = [\"a\"\ne = { A = 1\n[[flow]]\nx = 1\n";
        let found = errors(text);
        let lines: Vec<_> = found.iter().map(|(line, ..)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 5, 6], "{found:#?}");
    }

    #[test]
    fn an_unclosed_bracket_does_not_spoil_the_rest() {
        let text = "c = [\"a\",\nenv = 3\n[[flow]]\nname = \"f\"\n";
        let Parsed { root: tree, problems, .. } = parse(text);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(position(text, problems[0].at.start).0, 1);
        assert!(problems[0].message.contains("unclosed array"), "{}", problems[0].message);
        assert!(tree.get("flow").is_some() && tree.get("env").is_some());
    }

    #[test]
    fn a_bad_element_inside_a_long_array_is_found_where_it_is() {
        let text = "a = 1\nc = [\n  \"x\",\n  oops,\n  \"y\",\n]\nb = 2\n";
        let found = errors(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((found[0].0, found[0].1), (4, 3));
    }

    #[test]
    fn a_broken_header_takes_its_section_along() {
        let text = "a = 1\n[[app]\nname = 'x'\n[[flow]]\nname = 'f'\n";
        let Parsed { root: tree, problems, lossy } = parse(text);
        assert!(lossy, "there may have been an app of any name");
        assert_eq!(problems.len(), 1, "{problems:#?}");
        let keys: Vec<_> = tree.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["a", "flow"]);
    }

    #[test]
    fn a_key_survives_its_broken_value() {
        let text = "a = 10s\nb = [1,\n  oops,\n]\nc = é\nd = 1\nd = 2\n";
        let Parsed { root, problems, lossy } = parse(text);
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(!lossy);
        for key in ["a", "b", "c"] {
            assert_eq!(root.get(key).unwrap().node.value, Value::Broken, "{key}");
        }
        assert_eq!(root.get("d").unwrap().node.value, Value::Integer(1));
        assert!(parse("a 1\n").lossy, "the key may be anything");
    }

    #[test]
    fn a_duplicate_key_is_reported_at_the_second() {
        assert_eq!(errors("a = 1\nb = 2\na = 3\n")[0].0, 3);
    }

    #[test]
    fn an_unclosed_multi_line_string_ends_somehow() {
        let found = errors("a = 1\nb = \"\"\"x\nc = 2\n[d]\ne = 1\n");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].0, 2);
    }
}
