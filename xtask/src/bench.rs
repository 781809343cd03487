//! `cargo xtask bench`

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::exec::{self, Raise};
use crate::vm::{self, Line};
use crate::{cargo, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Which; all of them by default (see --list)
    names: Vec<String>,
    /// Name them, and what they measure
    #[arg(long)]
    list: bool,
    /// One JSON document on stdout in place of tables
    #[arg(long, conflicts_with = "guest")]
    json: bool,
    /// How often each variant is measured; a row is the median
    #[arg(long)]
    rounds: Option<u32>,
    /// In an emulated guest, whose kernel has netem to compare with; few samples, and by default
    /// `delay-accuracy` alone
    #[arg(long, conflicts_with = "list")]
    guest: bool,
    /// The guest's kernel line
    #[arg(long, value_name = "V", value_parser = Line::parse, default_value = "6.12", requires = "guest")]
    kernel: Line,
}

/// What a guest measures unless it is told.
const OF_GUESTS: &str = "delay-accuracy";

/// Builds with optimizations as the caller, measures as root, or in a guest.
pub fn command(args: &Args) -> Result<()> {
    setup::ensure()?;
    let mut build = cargo::cargo("build")?;
    build.args(["--locked", "--release", "--bins", "-p", "fault-user", "-p", "fault-bench"]);
    exec::run(&mut build).context("the build failed")?;
    let words = words(args)?;
    if args.guest {
        let line: Vec<String> = std::iter::once(cargo::bench()?.into_os_string())
            .chain(words)
            .map(|word| vm::quoted(&word.to_string_lossy()))
            .collect();
        let programs = [cargo::flowfault(true)?, cargo::bench()?];
        return vm::bench(args.kernel, &programs, &line.join(" "));
    }
    // Names and words need no privileges.
    let raise = if args.list { Raise::Root } else { Raise::find("a benchmark")? };
    exec::run(raise.command(cargo::bench()?).args(words))
}

/// The words for the program that measures.
fn words(args: &Args) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["run".into(), "--flowfault".into()];
    words.push(cargo::flowfault(true)?.into());
    for (wanted, word) in [(args.list, "--list"), (args.json, "--json"), (args.guest, "--few")] {
        words.extend(wanted.then(|| word.into()));
    }
    if let Some(rounds) = args.rounds {
        words.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    words.extend(args.names.iter().map(OsString::from));
    if args.guest && args.names.is_empty() {
        words.push(OF_GUESTS.into());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn tail(words: &[&str]) -> Vec<OsString> {
        let command = Command::parse_from(std::iter::once("bench").chain(words.iter().copied()));
        super::words(&command.args).unwrap().split_off(3)
    }

    #[test]
    fn what_is_asked_for_is_passed_on() {
        assert_eq!(
            tail(&["events", "--json", "--rounds", "3"]),
            ["--json", "--rounds", "3", "events"]
        );
        assert!(tail(&[]).is_empty());
    }

    #[test]
    fn a_guest_measures_little_unless_it_is_told() {
        assert_eq!(tail(&["--guest"]), ["--few", OF_GUESTS]);
        assert_eq!(tail(&["--guest", "idle-cost"]), ["--few", "idle-cost"]);
    }
}
