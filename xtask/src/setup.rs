//! `cargo xtask setup`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exec::{self, Unable};
use crate::linker::{self, Fit, Version};
use crate::packages::{self, Apt, Package};
use crate::toolchain::{self, Compiler, LINKED, Missing, Source};

/// rust-src is a few MB; a rustup that takes longer has no way out to the network.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// Sets up, and says so when there was nothing to do.
pub fn command() -> Result<()> {
    ensure()?;
    eprintln!("setup: everything is here");
    Ok(())
}

/// Installs what is missing; silent and fast when nothing is.
///
/// # Errors
/// [`Unable`] with everything that has to be done by hand. What can be done without that is done.
pub fn ensure() -> Result<()> {
    let mut apt = Apt::new();
    let mut by_hand = Vec::new();
    let compiler = keep(&mut by_hand, compiler(&mut apt))?;
    keep(&mut by_hand, system_packages(&mut apt, &packages::ALL))?;
    if let Some(compiler) = compiler {
        keep(&mut by_hand, bpf_linker(&compiler))?;
    }
    if by_hand.is_empty() {
        return Ok(());
    }
    Err(Unable(format!("set-up needs your help:\n{}", by_hand.join("\n"))).into())
}

/// Installs what only tests need.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_tests() -> Result<()> {
    system_packages(&mut Apt::new(), &packages::TESTS)
}

/// Installs what only privileged tests on this machine need: programs to break the connections of.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_programs() -> Result<()> {
    system_packages(&mut Apt::new(), &packages::PROGRAMS)
}

/// Installs what only `vm-test` needs.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_guests() -> Result<()> {
    let mut apt = Apt::new();
    system_packages(&mut apt, &packages::TESTS)?;
    system_packages(&mut apt, &packages::GUESTS)
}

/// Sorts what somebody has to do by hand from real failures.
fn keep<T>(by_hand: &mut Vec<String>, done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.downcast_ref::<Unable>().is_some() => {
            by_hand.push(format!("- {error:#}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The compiler for BPF: what is here, else rustup's rust-src, else the distribution's.
fn compiler(apt: &mut Apt) -> Result<Compiler> {
    let missing = match toolchain::detect() {
        Ok(compiler) => return Ok(compiler),
        Err(missing) => missing,
    };
    if missing != Missing::Sources {
        return Err(Unable(missing.to_string()).into());
    }
    let word = std::env::var(toolchain::SOURCE).ok();
    let source =
        Source::parse(word.as_deref()).map_err(|word| Unable(Missing::Word(word).to_string()))?;
    let mut tried = None;
    if source != Source::Debian {
        // rustup also is content with a component that its list has and the disk has not.
        match component().and_then(|()| Ok(toolchain::detect().map_err(explained)?)) {
            Ok(compiler) => return Ok(compiler),
            Err(error) => tried = Some(error),
        }
    }
    if source == Source::Rustup {
        let why = tried.map_or_else(String::new, |error| format!("{error:#}; "));
        let hint = "run `rustup component add rust-src` where rustup can download";
        return Err(Unable(format!("{why}{hint}")).into());
    }
    if let Some(error) = tried {
        progress(1, &format!("eBPF toolchain: {error:#}; trying the distribution's compiler"));
    }
    distribution(apt)?;
    Ok(toolchain::detect().map_err(explained)?)
}

/// What is wrong when an installation went well and there still is no compiler.
fn explained(missing: Missing) -> Unable {
    if missing != Missing::Sources {
        return Unable(missing.to_string());
    }
    let text = "the compiler is installed, but the one that is used still has no rust-src: \
                see that `rustc --print sysroot` names the one with lib/rustlib/src";
    Unable(text.into())
}

/// Has rustup fetch the sources of `core` for the active toolchain.
fn component() -> Result<()> {
    if toolchain::on_path("rustup").is_none() {
        anyhow::bail!("there is no rustup");
    }
    let name = toolchain::active_name().context("rustup has no active toolchain")?;
    progress(1, &format!("eBPF toolchain: rustup component add rust-src ({name})"));
    let mut add = Command::new("rustup");
    add.args(["component", "add", "rust-src", "--toolchain", &name]);
    add.env("RUSTUP_MAX_RETRIES", "0").stdout(std::io::stderr());
    exec::run_within(&mut add, RUSTUP_LIMIT)
}

/// Installs Debian's compiler unless it is here, and makes it known to rustup.
fn distribution(apt: &mut Apt) -> Result<()> {
    let prefix = PathBuf::from("/usr");
    let has_sources = || prefix.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists();
    let version = || {
        let out = Command::new(prefix.join("bin/rustc")).arg("--version").output().ok()?;
        Version::parse(&String::from_utf8_lossy(&out.stdout))
    };
    if !(has_sources() && version().is_some_and(Version::compiles_workspace)) {
        progress(1, "eBPF toolchain: Debian packages, 2-3 minutes");
        apt.install(&packages::COMPILER)?;
    }
    match version() {
        Some(version) if version.compiles_workspace() && has_sources() => {}
        found => {
            let found = found.map_or_else(|| "none".into(), |version| version.to_string());
            let text = format!(
                "the distribution's rustc ({found}) is no 1.95 with sources: run `rustup component add rust-src`"
            );
            return Err(Unable(text).into());
        }
    }
    link(&prefix)
}

/// Makes the distribution's compiler known to rustup, where there is one.
fn link(prefix: &Path) -> Result<()> {
    if toolchain::on_path("rustup").is_some() {
        progress(1, &format!("eBPF toolchain: rustup toolchain link {LINKED}"));
        let mut link = Command::new("rustup");
        link.args(["toolchain", "link", LINKED]).arg(prefix).stdout(std::io::stderr());
        exec::run(&mut link).context("rustup cannot link the distribution's compiler")?;
    }
    Ok(())
}

fn system_packages(apt: &mut Apt, wanted: &[Package]) -> Result<()> {
    let missing = packages::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    progress(2, &format!("system packages: {}", missing.join(" ")));
    apt.install(&missing)?;
    let missing = packages::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} are installed, but not where they are looked for (PATH, /usr/include)",
        missing.join(", ")
    );
    Err(Unable(text).into())
}

fn bpf_linker(compiler: &Compiler) -> Result<()> {
    let version = compiler.verbose_version().context("rustc does not run: reinstall it")?;
    let major = toolchain::llvm_major(&version).context("rustc does not say which LLVM it has")?;
    match linker::fit(linker::installed(), major) {
        Fit::Good => {}
        // `doctor` has the whole story; on every build it would be noise.
        Fit::Unsure => {}
        Fit::NoRelease => return Err(Unable(linker::by_hand(major)).into()),
        Fit::Install(version) => {
            progress(3, &format!("bpf-linker {version}: cargo install, 1-2 minutes"));
            let mut install = Command::new("cargo");
            install.args(["install", "--locked", "--force", "bpf-linker", "--version"]);
            // Its build does not belong among ours, and would be found stale by the next.
            install.arg(version.to_string()).env_remove("CARGO_TARGET_DIR");
            exec::run(install.stdout(std::io::stderr()))
                .map_err(|error| Unable(format!("{error:#}: run `{}`", exec::shown(&install))))?;
        }
    }
    if toolchain::llvm_dir(compiler, std::env::consts::ARCH, major).is_none() {
        progress(4, &format!("libLLVM {major}: not found"));
        return Err(Unable(packages::by_hand(&[&format!("libllvm{major}")])).into());
    }
    Ok(())
}

/// A line that says what takes its time.
fn progress(step: u8, what: &str) {
    eprintln!("[{step}/4] {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_by_hand_is_collected_and_real_failures_are_not() {
        let mut by_hand = Vec::new();
        let unable: Result<()> = Err(Unable("type this".into()).into());
        assert_eq!(keep(&mut by_hand, unable).unwrap(), None);
        assert_eq!(by_hand, ["- type this"]);
        assert!(keep::<()>(&mut by_hand, Err(anyhow::anyhow!("broken"))).is_err());
        assert_eq!(keep(&mut by_hand, Ok(7)).unwrap(), Some(7));
    }
}
