//! Builds the eBPF object and puts it where `kernel::load` embeds it.

#[path = "build/toolchain.rs"]
mod toolchain;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    for var in
        [toolchain::FORCED, toolchain::SOURCE, "RUSTUP_TOOLCHAIN", "CARGO_HOME", "AYA_BUILD_SKIP"]
    {
        println!("cargo:rerun-if-env-changed={var}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/toolchain.rs");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../fault-ebpf");
    println!("cargo:rerun-if-changed={}", root.join("../fault-common/src").display());

    if env::var("AYA_BUILD_SKIP").is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true")) {
        // For docs and lints without a toolchain; the loader says what such an object is.
        let object = PathBuf::from(env::var("OUT_DIR")?).join("fault-ebpf");
        return std::fs::write(&object, b"").context("cannot write an empty object to OUT_DIR");
    }

    let compiler = toolchain::detect().map_err(|missing| anyhow!("{missing}"))?;
    let linker = toolchain::linker()
        .context("bpf-linker is neither in PATH nor in cargo's bin: run `cargo xtask setup`")?;
    println!("cargo:rerun-if-changed={}", linker.display());
    prepare_child(&compiler, &linker)?;
    aya_build::build_ebpf(
        [Package {
            name: "fault-ebpf",
            root_dir: root.to_str().context("the path of this checkout is not UTF-8")?,
            ..Package::default()
        }],
        Toolchain::Custom(&compiler.name),
    )
    .context("cannot build the eBPF object; `cargo xtask doctor` says what is missing")
}

/// Sets what the cargo that aya-build starts has to inherit.
fn prepare_child(compiler: &toolchain::Compiler, linker: &Path) -> Result<()> {
    let version = compiler.verbose_version().with_context(|| {
        format!("rustc of the toolchain `{}` does not run: reinstall it", compiler.name)
    })?;
    let major = toolchain::llvm_major(&version)
        .with_context(|| format!("`{}` does not say which LLVM it has", compiler.name))?;
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let libs = toolchain::llvm_dir(compiler, &arch, major).with_context(|| {
        format!(
            "bpf-linker needs libLLVM {major}, and no directory has it: run `cargo xtask setup`"
        )
    })?;
    let vars = [
        // -Zbuild-std on a stable compiler.
        ("RUSTC_BOOTSTRAP", "1".into()),
        // aya-build turns each line of cargo's progress into a warning; errors still come.
        ("CARGO_TERM_QUIET", "true".into()),
        ("LD_LIBRARY_PATH", with_first(&libs, "LD_LIBRARY_PATH")?),
        ("PATH", with_first(linker.parent().context("bpf-linker has no directory")?, "PATH")?),
    ];
    for (name, value) in vars {
        // SAFETY: a build script has one thread here; nothing reads the environment meanwhile.
        unsafe { env::set_var(name, value) };
    }
    // SAFETY: as above. The proxies would prefer this name to the toolchain that was chosen.
    unsafe { env::remove_var("RUSTUP_TOOLCHAIN") };
    Ok(())
}

/// The search path `var` with `dir` in front.
fn with_first(dir: &Path, var: &str) -> Result<std::ffi::OsString> {
    let old = env::var_os(var).unwrap_or_default();
    let rest = env::split_paths(&old).filter(|entry| !entry.as_os_str().is_empty());
    env::join_paths(std::iter::once(dir.to_path_buf()).chain(rest))
        .with_context(|| format!("cannot put {} into {var}", dir.display()))
}
