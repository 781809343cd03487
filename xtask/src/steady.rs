//! Running a test program on a machine that others use, too.
//!
//! The privileged tests are about time: a packet that is held for 50 ms, an app that sends every
//! 150 ms, a lease of a second. A continuous-integration machine stands still for longer than that
//! now and then. A test that fails in its row is therefore run again, by itself, twice at most: one
//! that fails then as well has failed. What passed only then is named at the end, for somebody
//! to look at, and more than a few of these are a failure: then it is not the machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::exec;

/// How many modules of one program may need it. The tests of a module often look at what one run
/// has brought, and fail together.
const UNSTEADY: usize = 3;
/// How often each is tried again.
const TRIES: u32 = 2;

#[derive(clap::Args)]
pub struct Args {
    /// A test program
    program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs the program, and once more each of its tests that failed.
///
/// # Errors
/// A test failed each time, or too many failed once, or the program could not be run to its end.
pub fn command(args: &Args) -> Result<()> {
    let failed = match in_a_row(&args.program, &args.arguments)? {
        Row::Passed => return Ok(()),
        Row::Failed(failed) => failed,
    };
    let name = args.program.file_name().unwrap_or_default().to_string_lossy();
    let modules: BTreeSet<&str> = failed.iter().map(|test| module(test)).collect();
    ensure!(
        modules.len() <= UNSTEADY,
        "{} tests of {name} failed: {}",
        failed.len(),
        failed.join(", ")
    );
    let mut lost = Vec::new();
    for test in &failed {
        println!("\n--- {test} failed: again, alone");
        if !passes_alone(&args.program, test)? {
            lost.push(test.as_str());
        }
    }
    ensure!(lost.is_empty(), "failed in {name}, alone too: {}", lost.join(", "));
    println!("\nUNSTEADY: failed in a row, passed alone: {}", failed.join(", "));
    Ok(())
}

enum Row {
    Passed,
    Failed(Vec<String>),
}

/// Runs all, and passes on what it prints.
fn in_a_row(program: &Path, arguments: &[OsString]) -> Result<Row> {
    let mut test = Command::new(program);
    test.args(arguments).stdout(Stdio::piped());
    let shown = exec::shown(&test);
    let mut child = test.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let mut seen = Seen::default();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = line.with_context(|| format!("cannot read from `{shown}`"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            std::io::stdout().flush()?;
            seen.line(&line);
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    match (status.success(), seen.failed()) {
        (true, failed) if failed.is_empty() => Ok(Row::Passed),
        (false, failed) if !failed.is_empty() && seen.ended => Ok(Row::Failed(failed)),
        // Killed, or out of memory, or not a test program: nothing to try again.
        _ => bail!("`{shown}` failed ({status})"),
    }
}

fn passes_alone(program: &Path, test: &str) -> Result<bool> {
    for _ in 0..TRIES {
        let mut again = Command::new(program);
        again.args(["--exact", test, "--test-threads=1"]);
        let status = again.status().with_context(|| format!("cannot start `{test}` again"))?;
        if status.success() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What libtest has printed.
#[derive(Default)]
struct Seen {
    /// Between the last `failures:` and the result.
    listing: bool,
    /// Names in the list, which comes last; before it there is another with what they printed.
    names: BTreeSet<String>,
    ended: bool,
}

impl Seen {
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            self.listing = true;
            self.names.clear();
        } else if line.starts_with("test result: ") {
            (self.listing, self.ended) = (false, true);
        } else if let Some(name) = line.strip_prefix("    ").filter(|_| self.listing)
            && is_name(name)
        {
            self.names.insert(name.to_owned());
        }
    }

    fn failed(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }
}

fn module(test: &str) -> &str {
    test.rsplit_once("::").map_or(test, |(module, _)| module)
}

/// Whether it can be the path of a test.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A shell script in place of a test program: `$*` are its arguments, `$D` a folder of its own.
    fn run(name: &str, script: &str) -> Result<()> {
        let dir = std::env::temp_dir().join(format!("xtask-steady-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("program");
        fs::write(&program, format!("#!/bin/sh\nD='{}'\n{script}", dir.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let result = command(&Args { program, arguments: vec!["--test-threads=1".into()] });
        fs::remove_dir_all(&dir).unwrap();
        result
    }

    fn row(failed: &[&str]) -> String {
        let names: String = failed.iter().map(|name| format!("    {name}\\n")).collect();
        format!(
            "printf 'test x ... FAILED\\n\\nfailures:\\n\\n---- a::b stdout ----\\n    odd\\n\
             \\n\\nfailures:\\n{names}\\ntest result: FAILED. 1 passed\\n'; exit 101\n"
        )
    }

    #[test]
    fn what_passes_alone_has_passed() {
        let row = row(&["a::b"]);
        let script = format!("if [ \"$1\" = --exact ]; then [ $2 = a::b ]; exit; fi\n{row}");
        run("alone", &script).unwrap();
    }

    #[test]
    fn what_fails_alone_has_failed_and_is_tried_just_so_often() {
        let row = row(&["a::b"]);
        let script =
            format!("if [ \"$1\" = --exact ]; then echo >>$D/../tries-$PPID; exit 1; fi\n{row}");
        let error = run("again", &script).unwrap_err().to_string();
        assert!(error.ends_with("alone too: a::b"), "{error}");
        let tries = std::env::temp_dir().join(format!("tries-{}", std::process::id()));
        assert_eq!(fs::read_to_string(&tries).unwrap().len(), TRIES as usize);
        fs::remove_file(tries).unwrap();
    }

    #[test]
    fn tests_of_one_module_fail_together() {
        let row = row(&["a::b", "a::c", "a::d", "a::e"]);
        run("module", &format!("[ \"$1\" = --exact ] && exit 0\n{row}")).unwrap();
    }

    #[test]
    fn too_many_are_no_accident() {
        let row = row(&["a", "b", "c", "d"]);
        let script = format!("[ \"$1\" = --exact ] && exit 0\n{row}");
        let error = run("many", &script).unwrap_err().to_string();
        assert!(error.contains("4 tests of program failed: a, b, c, d"), "{error}");
    }

    #[test]
    fn a_program_that_dies_is_not_tried_again() {
        for script in ["kill -9 $$", "exit 101", "echo failures:; echo '    a'; exit 1"] {
            let error = run("dies", script).unwrap_err().to_string();
            assert!(error.contains("failed ("), "{error}");
        }
        run("good", "echo 'test result: ok.'").unwrap();
    }
}
