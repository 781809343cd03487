//! The reference scenario with damage done to it: one mistake is one error, nothing panics.

use std::path::{Path, PathBuf};

use fault_user::scenario::parse;
use proptest::prelude::*;

fn example_path() -> PathBuf {
    base_dir().join("example.toml")
}

/// Where the files are that the reference names.
fn base_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn errors_of(text: &str) -> String {
    match parse("test.toml", text, &base_dir(), &[]) {
        Ok(_) => panic!("it was accepted"),
        Err(errors) => errors.plain(),
    }
}

/// Every `key = value` line of the reference whose value ends on the same line.
fn single_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let simple =
        |line: &&str| !line.starts_with(['#', ' ']) && line.contains(" = ") && !line.ends_with('[');
    text.lines().enumerate().filter(move |(_, line)| simple(line))
}

/// The reference with one of its lines replaced.
fn with_line(text: &str, number: usize, line: &str) -> String {
    let lines = text.lines().enumerate();
    lines.map(|(i, old)| format!("{}\n", if i == number { line } else { old })).collect()
}

#[test]
fn a_value_that_is_wrong_is_one_error_and_no_other_follows() {
    let text = std::fs::read_to_string(example_path()).unwrap();
    let mut count = 0;
    for (number, line) in single_lines(&text) {
        // No key of the format is a date, and `@` is not TOML at all.
        for wrong in ["1979-05-27", "@", "\"unclosed"] {
            let key = line.split(" = ").next().unwrap();
            let damaged = with_line(&text, number, &format!("{key} = {wrong}"));
            let errors = errors_of(&damaged);
            assert!(errors.ends_with("test.toml: 1 error\n"), "{key} = {wrong}\n{errors}");
            let place = format!("test.toml:{}:", number + 1);
            assert!(errors.contains(&place), "{key} = {wrong}\n{errors}");
        }
        count += 1;
    }
    assert!(count > 60, "only {count} lines were tried");
}

#[test]
fn a_key_that_is_misspelt_is_reported_with_the_right_one() {
    let text = std::fs::read_to_string(example_path()).unwrap();
    for (number, line) in single_lines(&text) {
        let (key, value) = line.split_once(" = ").unwrap();
        if key.len() < 4 {
            continue; // too short for a guess
        }
        let damaged = with_line(&text, number, &format!("{key}x = {value}"));
        let errors = errors_of(&damaged);
        assert!(errors.contains(&format!("unknown key `{key}x`")), "{errors}");
        assert!(errors.contains(&format!("did you mean `{key}`?")), "{errors}");
    }
}

/// A short text to put into a scenario, of characters that mean something there.
fn snippet() -> impl Strategy<Value = String> {
    "[\\[\\]{}=\"',.#\n a-z0-9é\\-]{0,6}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_scenario_is_refused_or_read_but_never_panics(
        cuts in prop::collection::vec((0..20_000_usize, 0..40_usize, snippet()), 1..4),
    ) {
        let mut text = std::fs::read_to_string(example_path()).unwrap();
        for (at, length, insert) in cuts {
            let start = text.floor_char_boundary(at % text.len());
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &insert);
        }
        if let Err(errors) = parse("x.toml", &text, &base_dir(), &[]) {
            prop_assert!(!errors.problems().is_empty());
            let plain = errors.plain();
            prop_assert!(plain.contains("x.toml:"), "{}", plain);
            prop_assert!(errors.graphical(100, true).is_ok());
        }
    }

    #[test]
    fn a_scenario_without_one_of_its_lines_never_panics(line in 0..300_usize) {
        let text = std::fs::read_to_string(example_path()).unwrap();
        let count = text.lines().count();
        let kept: Vec<_> =
            text.lines().enumerate().filter(|(i, _)| *i != line % count).map(|(_, l)| l).collect();
        let _ = parse("x.toml", &kept.join("\n"), &base_dir(), &[]);
    }

    #[test]
    fn no_override_panics(change in "[a-z0-9.=\"é{}\\[\\]]{0,24}") {
        let _ = parse("x.toml", "schema = 1\n[[app]]\nname = 'a'\ncommand = ['a']\n", &base_dir(), &[change]);
    }
}
