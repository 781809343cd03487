//! `cargo xtask run` and `cargo xtask fault`

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{build, cargo, exec::Raise};

/// What runs when no scenario is named, relative to the workspace.
const DEMONSTRATION: &str = "scenarios/asymmetric-websocket.toml";

#[derive(clap::Args)]
pub struct Args {
    /// For flowfault, as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// `flowfault run ARGS`
pub fn scenario(args: &Args) -> Result<()> {
    let mut words = plain(&args.args);
    if words.is_empty() {
        words.push(cargo::root()?.join(DEMONSTRATION).into());
    }
    words.insert(0, "run".into());
    flowfault(&words)
}

/// `flowfault ARGS`
pub fn any(args: &Args) -> Result<()> {
    flowfault(&plain(&args.args))
}

/// The arguments without the `--` that may stand before them.
pub fn plain(args: &[OsString]) -> Vec<OsString> {
    let separator = args.first().is_some_and(|first| first == "--");
    args.iter().skip(usize::from(separator)).cloned().collect()
}

/// Becomes flowfault: so its exit code, and a signal sent to us, are its own.
fn flowfault(words: &[OsString]) -> Result<()> {
    build::command(&build::Args::default())?;
    let program = cargo::flowfault(false)?;
    let mut command = Raise::find("a run")?.command(&program);
    let error = command.args(words).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_a_leading_separator_is_ours() {
        assert_eq!(plain(&words(&["--", "a.toml", "--json"])), words(&["a.toml", "--json"]));
        assert_eq!(plain(&words(&["a.toml", "--", "x"])), words(&["a.toml", "--", "x"]));
        assert!(plain(&words(&["--"])).is_empty());
    }
}
