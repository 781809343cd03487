//! The tests that `docs/semantics.md` names behind its statements: each must exist and run, and no
//! statement may be without one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cargo;

const PAGE: &str = "docs/semantics.md";

/// Fails with all that is wrong with the page.
pub fn check() -> Result<()> {
    let root = cargo::root()?;
    let text = fs::read_to_string(root.join(PAGE)).with_context(|| format!("read {PAGE}"))?;
    let wrong = faults(&root, &text);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

fn faults(root: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, item) in statements(text) {
        let tests: Vec<&str> = names(&item).collect();
        if tests.is_empty() {
            wrong.push(format!("{PAGE}:{line}: a statement without a test: {item}"));
        }
        let missing = tests.into_iter().filter_map(|t| find(root, t).err());
        wrong.extend(missing.map(|why| format!("{PAGE}:{line}: {why}")));
    }
    wrong
}

/// The list items and table rows of a page, with the number of their first line.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    let (mut open, mut rows) = (false, 0);
    for (n, line) in (1..).zip(text.lines()) {
        // The first two lines of a table are its head.
        rows = if line.starts_with('|') { rows + 1 } else { 0 };
        if line.starts_with("- ") || rows > 2 {
            items.push((n, line.to_owned()));
            open = line.starts_with("- ");
        } else if line.starts_with("  ") && open {
            if let Some((_, item)) = items.last_mut() {
                item.push(' ');
                item.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    items
}

/// Code that is a path of a Rust item.
fn names(item: &str) -> impl Iterator<Item = &str> {
    item.split('`').skip(1).step_by(2).filter(|code| code.contains("::"))
}

/// `target::module::test` of `fault-user/tests`, or `crate::module::tests::test` of a unit test.
fn find(root: &Path, name: &str) -> Result<(), String> {
    let parts: Vec<&str> = name.split("::").collect();
    let [first, modules @ .., test] = parts.as_slice() else {
        return Err(format!("`{name}` is no test"));
    };
    let source = match *first {
        "fault_common" => "fault-common/src".to_owned(),
        "fault_user" => "fault-user/src".to_owned(),
        "xtask" => "xtask/src".to_owned(),
        target => format!("fault-user/tests/{target}"),
    };
    let files = files(&root.join(source), modules);
    if files.iter().any(|file| fs::read_to_string(file).is_ok_and(|t| runs(&t, test))) {
        return Ok(());
    }
    let looked: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    Err(format!("`{name}` is no test that runs (looked in {})", looked.join(", ")))
}

/// Where a module may be: a file of its own, in the file of its parent, or beside that.
fn files(source: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let own: PathBuf = modules.iter().fold(source.to_owned(), |path, part| path.join(part));
    let mut all = vec![own.with_extension("rs"), own.join("mod.rs")];
    if let Some(parent) = own.parent().filter(|_| modules.last() == Some(&"tests")) {
        all.push(parent.with_extension("rs"));
        let stem = parent.file_name().unwrap_or_default().to_string_lossy();
        all.push(parent.with_file_name(format!("{stem}_tests.rs")));
        all.push(parent.join("mod.rs"));
    }
    all.retain(|file| file.is_file());
    all
}

/// Whether the text has this test, and it is not ignored.
fn runs(text: &str, test: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let head = format!("fn {test}(");
    lines.iter().enumerate().filter(|(_, line)| line.starts_with(&head)).any(|(at, _)| {
        let above = lines[..at].iter().rev();
        let attributes: Vec<&&str> = above.take_while(|line| line.starts_with("#[")).collect();
        let has = |start: &str| attributes.iter().any(|a| a.starts_with(start));
        has("#[test]") && !has("#[ignore")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_rows_are_statements_and_other_text_is_not() {
        let text = "# Head\ntext `a::b`\n\n- one\n  `t::m::x`\n- two\n\n| a | b |\n|---|---|\n| c | `t::y` |\n";
        let found = statements(text);
        let expected = [(4, "- one `t::m::x`"), (6, "- two"), (10, "| c | `t::y` |")]
            .map(|(n, s)| (n, s.into()));
        assert_eq!(found, expected);
        assert_eq!(names(&found[0].1).collect::<Vec<_>>(), ["t::m::x"]);
        assert_eq!(names("no `code` at `all`, a::b").count(), 0);
    }

    #[test]
    fn a_test_is_a_function_with_the_attribute_that_is_not_ignored() {
        let text = "#[test]\nfn a() {}\nfn b() {}\n#[test]\n#[ignore = \"x\"]\nfn c() {}\n\
                    proptest! {\n    #[test]\n    fn d(\n";
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|t| runs(text, t)),
            [true, false, false, true, false]
        );
    }

    #[test]
    fn what_is_missing_is_told_with_its_line() {
        let root = cargo::root().expect("a workspace");
        let this = "xtask::named_tests::tests::what_is_missing_is_told_with_its_line";
        let page = format!("- fine `{this}`\n- none\n- gone `root_wire::delay::no_such_test`\n");
        let wrong = faults(&root, &page);
        assert_eq!(wrong.len(), 2, "{wrong:#?}");
        assert!(wrong[0].starts_with("docs/semantics.md:2: a statement without"), "{wrong:#?}");
        assert!(wrong[1].starts_with("docs/semantics.md:3: `root_wire::delay::no_such_test`"));
    }
}
