//! Builds the eBPF object and puts it where `kernel::load` embeds it.
#![expect(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

/// A rustup toolchain of this name is what `cargo xtask setup` makes of the distribution's
/// compiler when rustup cannot bring rust-src.
const LINKED: &str = "flowfault-bpf";

fn main() -> Result<()> {
    for var in ["FLOWFAULT_BPF_TOOLCHAIN", "RUSTUP_TOOLCHAIN", "PATH"] {
        println!("cargo:rerun-if-env-changed={var}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../fault-ebpf");
    println!("cargo:rerun-if-changed={}", root.join("../fault-common/src").display());
    let object = PathBuf::from(env::var("OUT_DIR")?).join("fault-ebpf");
    if env::var("AYA_BUILD_SKIP").is_ok_and(|v| v == "1" || v == "true") {
        // For docs and lints without a toolchain; the loader says what such an object is.
        println!("cargo:rerun-if-env-changed=AYA_BUILD_SKIP");
        return std::fs::write(&object, b"").context("cannot write an empty object to OUT_DIR");
    }
    let toolchain = toolchain()?;
    let libs = llvm_dir(&toolchain)?;
    // SAFETY: a build script has one thread here. What is set concerns only the child cargo:
    // -Zbuild-std on a stable compiler, and where bpf-linker finds the compiler's LLVM.
    unsafe {
        env::set_var("RUSTC_BOOTSTRAP", "1");
        env::set_var("LD_LIBRARY_PATH", libs);
        env::remove_var("RUSTUP_TOOLCHAIN");
    }
    let root_dir = root.to_str().context("the path of this checkout is not UTF-8")?;
    aya_build::build_ebpf(
        [Package { name: "fault-ebpf", root_dir, ..Package::default() }],
        Toolchain::Custom(&toolchain),
    )
    .context("cannot build the eBPF object; `cargo xtask doctor` says what is missing")
}

/// The compiler for the BPF target: it must have the sources of `core`.
fn toolchain() -> Result<String> {
    if let Ok(forced) = env::var("FLOWFAULT_BPF_TOOLCHAIN") {
        return Ok(forced);
    }
    let active = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".into());
    for name in [active.as_str(), LINKED] {
        if sysroot(name).is_some_and(|root| has_core_sources(&root)) {
            return Ok(name.into());
        }
    }
    bail!("no Rust toolchain here has the sources of `core` (rust-src): run `cargo xtask setup`")
}

fn has_core_sources(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()
}

fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let out = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| PathBuf::from(path.trim()))
}

/// The directory with the LLVM that `toolchain` was built with: bpf-linker loads it at run time.
fn llvm_dir(toolchain: &str) -> Result<PathBuf> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let own = sysroot(toolchain).map(|root| root.join("lib"));
    let system = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".into()].map(PathBuf::from);
    own.into_iter()
        .chain(system)
        .find(|dir| has_llvm(dir))
        .context("bpf-linker needs libLLVM, and no directory has it: run `cargo xtask doctor`")
}

fn has_llvm(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libLLVM") && name.contains("22") && name.contains(".so")
    })
}
