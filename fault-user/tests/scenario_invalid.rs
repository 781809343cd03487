//! Every scenario in `scenarios/invalid` against the messages that it must give.
//!
//! `FLOWFAULT_BLESS=1 cargo test --test scenario_invalid` writes the messages anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod golden;

use std::path::{Path, PathBuf};

use fault_user::scenario::{LoadError, ScenarioErrors, load, parse};

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn invalid_files() -> Vec<PathBuf> {
    let listing = std::fs::read_dir(scenarios().join("invalid")).unwrap();
    let paths = listing.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

/// The errors of a file, under its bare name so that they are the same on every machine.
fn errors_of(path: &Path) -> ScenarioErrors {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    match parse(name, &text, &scenarios().join("invalid"), &[]) {
        Ok(scenario) => panic!("{name} is valid: {scenario:#?}"),
        Err(errors) => errors,
    }
}

#[test]
fn each_invalid_scenario_gives_its_messages() {
    let files = invalid_files();
    assert!(files.len() >= 12, "only {} invalid scenarios", files.len());
    let mut differing = Vec::new();
    for file in files {
        let golden = file.with_extension("stderr");
        differing.extend(golden::difference(&golden, &errors_of(&file).plain()));
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn problems_are_sorted_and_each_has_help() {
    for file in invalid_files() {
        let errors = errors_of(&file);
        let problems = errors.problems();
        assert!(problems.is_sorted_by_key(|p| p.at), "{}", file.display());
        for problem in problems {
            assert!(!problem.help.is_empty(), "{}: {problem:?}", file.display());
        }
    }
}

#[test]
fn the_graphical_form_says_the_same() {
    for file in invalid_files() {
        let errors = errors_of(&file);
        let text = errors.graphical(10_000, false).unwrap();
        for problem in errors.problems() {
            assert!(text.contains(&problem.message), "{}: {text}", file.display());
        }
        assert!(!text.contains('\u{1b}'), "no colour was asked for");
    }
    let first = &invalid_files()[0];
    let coloured = errors_of(first).graphical(100, true).unwrap();
    assert!(coloured.contains('\u{1b}'));
}

#[test]
fn a_file_that_is_not_there_is_told_from_one_that_is_wrong() {
    let missing = load(&scenarios().join("no-such-file.toml"), &[]);
    assert!(matches!(missing, Err(LoadError::Unreadable { .. })), "{missing:?}");
    let wrong = load(&scenarios().join("invalid/many.toml"), &[]);
    assert!(matches!(wrong, Err(LoadError::Invalid(_))), "{wrong:?}");
}
