//! `cargo xtask lint`

use anyhow::{Context as _, Result};

use crate::{cargo, exec, named_tests, setup, toolchain};
use std::process::Command;

/// Formatting, the tests that the documentation names, then clippy apart for the host's crates and
/// the BPF one: together, the host's features would bring std into the program that must not have
/// it.
pub fn command() -> Result<()> {
    setup::ensure()?;
    named_tests::check()?;
    exec::run(cargo::cargo("fmt")?.args(["--all", "--check"])).context("run `cargo fmt --all`")?;
    let mut clippy = cargo::cargo("clippy")?;
    clippy.args(["--locked", "-p", "fault-bench", "-p", "fault-common"]);
    clippy.args(["-p", "fault-user", "-p", "xtask"]);
    exec::run(clippy.args(["--all-targets", "--", "-D", "warnings"]))?;
    ebpf()
}

fn ebpf() -> Result<()> {
    let compiler = toolchain::detect().map_err(|missing| exec::Unable(missing.to_string()))?;
    if !compiler.sysroot.join("bin/cargo-clippy").exists() {
        eprintln!(
            "lint: fault-ebpf is not linted, the toolchain `{}` has no clippy",
            compiler.name
        );
        return Ok(());
    }
    let mut clippy = if toolchain::on_path("rustup").is_some() {
        let mut run = Command::new("rustup");
        run.args(["run", &compiler.name, "cargo", "clippy"]);
        run
    } else {
        cargo::cargo("clippy")?
    };
    clippy.current_dir(cargo::root()?).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
    clippy.args(["--locked", "-p", "fault-ebpf", "--bins", "--release"]);
    clippy.args(["--target", "bpfel-unknown-none", "-Zbuild-std=core", "--target-dir"]);
    // Apart from the host's builds, which another RUSTC_BOOTSTRAP would make stale.
    clippy.arg(cargo::target_dir()?.join("bpf-lint"));
    exec::run(clippy.args(["--", "-D", "warnings"]))
}
