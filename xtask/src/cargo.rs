//! cargo in this workspace, and where it puts things.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The workspace's directory.
pub fn root() -> Result<PathBuf> {
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let root = own.parent().context("xtask is not inside a workspace")?;
    Ok(root.to_path_buf())
}

/// cargo, to be run in the workspace's directory.
pub fn cargo(subcommand: &str) -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand).current_dir(root()?);
    // Relative ones are meant from where the user stands, and this cargo stands elsewhere.
    for var in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        if let Some(dir) = env::var_os(var) {
            cargo.env(var, env::current_dir()?.join(dir));
        }
    }
    Ok(cargo)
}

/// Where the profiles' directories are. We lie in one of them, so that whatever says where cargo
/// builds (variable, option or config file) has been heeded.
pub fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find where xtask itself lies")?;
    let dir = own.parent().and_then(|dir| dir.parent());
    Ok(dir.context("xtask does not lie in a target directory")?.to_path_buf())
}

/// The built flowfault.
pub fn flowfault(release: bool) -> Result<PathBuf> {
    Ok(profile_dir(release)?.join("flowfault"))
}

/// The built messenger example.
pub fn messenger(release: bool) -> Result<PathBuf> {
    Ok(profile_dir(release)?.join("examples/messenger"))
}

/// The programs that only tests need, beside the messenger.
pub const TEST_EXAMPLES: [&str; 2] = ["tracing_sender", "uring_sender"];

/// The built examples that tests start.
pub fn examples() -> Result<Vec<PathBuf>> {
    let messenger = messenger(false)?;
    let beside = TEST_EXAMPLES.map(|name| messenger.with_file_name(name));
    Ok(std::iter::once(messenger).chain(beside).collect())
}

/// The built benchmarks; they measure builds with optimizations.
pub fn bench() -> Result<PathBuf> {
    Ok(profile_dir(true)?.join("fault-bench"))
}

fn profile_dir(release: bool) -> Result<PathBuf> {
    Ok(target_dir()?.join(if release { "release" } else { "debug" }))
}
