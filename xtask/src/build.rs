//! `cargo xtask build`

use anyhow::{Context as _, Result};

use crate::{cargo, exec, setup};

#[derive(clap::Args, Default)]
pub struct Args {
    /// Build with optimizations
    #[arg(long)]
    pub release: bool,
}

/// Sets up, then builds flowfault and the messenger, as whoever calls: only runs are raised.
pub fn command(args: &Args) -> Result<()> {
    build(args, &[])
}

/// The same, and the other programs that tests start.
pub fn for_tests() -> Result<()> {
    build(&Args::default(), &cargo::TEST_EXAMPLES)
}

fn build(args: &Args, examples: &[&str]) -> Result<()> {
    setup::ensure()?;
    let mut build = cargo::cargo("build")?;
    build.args(["--locked", "--package", "fault-user", "--bins", "--example", "messenger"]);
    for example in examples {
        build.args(["--example", example]);
    }
    if args.release {
        build.arg("--release");
    }
    exec::run(&mut build).context("the build failed")
}
