//! `cargo xtask test`

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::exec::{self, Raise};
use crate::test_binaries::{PRIVILEGED, privileged, targets};
use crate::{build, cargo, run, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Only what needs no privileges
    #[arg(long, conflicts_with_all = ["root", "all"])]
    unit: bool,
    /// Only what needs root
    #[arg(long, conflicts_with = "all")]
    root: bool,
    /// Both (the default)
    #[arg(long)]
    all: bool,
    /// For the test programs: part of a test's name, --nocapture, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<OsString>,
}

/// Runs the tests; both halves, even when the first fails, so that one run tells everything.
pub fn command(args: &Args) -> Result<()> {
    setup::ensure_tests()?;
    if !args.unit {
        setup::ensure_programs()?;
    }
    build::for_tests()?;
    let names = targets(&cargo::root()?.join("fault-user/tests"))?;
    let (root, plain): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| name.starts_with(PRIVILEGED));
    let filter = run::plain(&args.filter);
    let unit = if args.root { Ok(()) } else { unprivileged(&plain, &filter) };
    if args.unit {
        return unit;
    }
    ensure!(!(args.root && root.is_empty()), "there is no fault-user/tests/{PRIVILEGED}*.rs");
    match (unit, raised(&root, &filter)) {
        (Err(unit), Err(root)) => bail!("{unit:#}; {root:#}"),
        (unit, root) => unit.and(root),
    }
}

fn unprivileged(names: &[String], filter: &[OsString]) -> Result<()> {
    let mut test = cargo::cargo("test")?;
    test.args(["--locked", "--no-fail-fast"]);
    test.args(["-p", "fault-bench", "-p", "fault-common", "-p", "fault-user", "-p", "xtask"]);
    test.args(["--lib", "--bins", "--examples"]);
    for name in names {
        test.args(["--test", name]);
    }
    for (var, path) in programs()? {
        test.env(var, path);
    }
    exec::run(test.arg("--").args(filter))
}

/// Builds as the caller, so that no file of root's is left in the target directory; runs as root.
fn raised(names: &[String], filter: &[OsString]) -> Result<()> {
    if names.is_empty() {
        eprintln!("test: no privileged tests (fault-user/tests/{PRIVILEGED}*.rs)");
        return Ok(());
    }
    let binaries = executables(names)?;
    let raise = Raise::find("the privileged tests")?;
    let mut failed = Vec::new();
    for binary in &binaries {
        eprintln!("     Running {} (as root)", binary.display());
        if let Err(error) = exec::run(&mut one(raise, binary, filter)?) {
            failed.push(format!("{error:#}"));
        }
    }
    ensure!(failed.is_empty(), "privileged tests failed: {}", failed.join("; "));
    Ok(())
}

/// Builds the privileged tests as the caller.
pub fn executables(names: &[String]) -> Result<Vec<PathBuf>> {
    let mut build = cargo::cargo("test")?;
    build.args(["--locked", "--no-run", "--message-format=json-render-diagnostics"]);
    build.args(["-p", "fault-user"]);
    for name in names {
        build.args(["--test", name]);
    }
    let out = build.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(out.status.success(), "the privileged tests do not compile");
    let binaries = privileged(&String::from_utf8_lossy(&out.stdout));
    // One that was missed would be a test that never runs and looks green.
    ensure!(
        binaries.len() == names.len(),
        "cargo made {} executables of {} privileged tests: its messages were misread",
        binaries.len(),
        names.len()
    );
    Ok(binaries)
}

/// One privileged test program. Through `env`, because sudo's rules may drop variables.
fn one(raise: Raise, binary: &Path, filter: &[OsString]) -> Result<Command> {
    let mut command = raise.command("env");
    command.current_dir(cargo::root()?.join("fault-user"));
    for (var, path) in programs()? {
        let mut word = OsString::from(var);
        word.push("=");
        word.push(path);
        command.arg(word);
    }
    command.arg(std::env::current_exe().context("cannot find this program")?).arg("steady");
    // Network namespaces, cgroups and programs are the machine's: one test at a time.
    command.arg(binary).arg("--test-threads=1").args(filter);
    Ok(command)
}

/// The programs under test, for tests that start them.
fn programs() -> Result<[(&'static str, PathBuf); 2]> {
    Ok([("FLOWFAULT_BIN", cargo::flowfault(false)?), ("MESSENGER_BIN", cargo::messenger(false)?)])
}
