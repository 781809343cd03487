//! `cargo xtask doctor`

use anyhow::{Context as _, Result};
use std::process::Command;

use crate::exec::{self, Unable};
use crate::linker::{self, Fit};
use crate::{cargo, packages, toolchain};

/// One line of the table.
struct Finding {
    what: &'static str,
    state: String,
    /// What to do; none if all is well.
    remedy: Option<String>,
}

/// Prints what is here and what is not, then lets flowfault do the same for the kernel.
pub fn command() -> Result<()> {
    let mut findings = compiler();
    findings.push(system_packages());
    print(&findings);
    let lacks = findings.iter().any(|finding| finding.remedy.is_some());
    let flowfault = cargo::flowfault(false)?;
    if flowfault.is_file() {
        let status = Command::new(&flowfault).arg("doctor").status();
        let status = status.with_context(|| format!("cannot start {}", flowfault.display()))?;
        if !status.success() {
            std::process::exit(exec::code_of(status).into());
        }
    } else {
        println!("kernel features and privileges: `cargo xtask build`, then this again");
    }
    if lacks {
        return Err(Unable(
            "something is missing, see above; `cargo xtask setup` brings it".into(),
        )
        .into());
    }
    Ok(())
}

fn print(findings: &[Finding]) {
    for Finding { what, state, remedy } in findings {
        println!("{} {what:<16} {state}", if remedy.is_none() { "ok     " } else { "MISSING" });
        if let Some(remedy) = remedy {
            println!("        {}", remedy.replace('\n', "\n        "));
        }
    }
}

fn compiler() -> Vec<Finding> {
    let active = toolchain::active_name().and_then(|name| toolchain::find(&name));
    let version = |c: &toolchain::Compiler| {
        c.verbose_version().and_then(|text| text.lines().next().map(String::from))
    };
    let rustc = active.as_ref().and_then(version);
    let mut findings = vec![Finding {
        what: "rustc",
        remedy: rustc.is_none().then(|| "install Rust 1.95 or newer".into()),
        state: rustc.unwrap_or_else(|| "not found".into()),
    }];
    findings.extend(ebpf_toolchain());
    findings
}

/// The compiler for BPF, its linker, and the library that both need.
fn ebpf_toolchain() -> Vec<Finding> {
    let chosen = match toolchain::detect() {
        Ok(chosen) => chosen,
        Err(missing) => {
            let remedy = Some(missing.to_string());
            return vec![Finding { what: "eBPF toolchain", state: "none".into(), remedy }];
        }
    };
    let text = chosen.verbose_version().unwrap_or_default();
    let major = toolchain::llvm_major(&text);
    let mut findings = vec![Finding {
        what: "eBPF toolchain",
        state: format!(
            "{} ({}), with rust-src, LLVM {}",
            chosen.name,
            chosen.sysroot.display(),
            major.map_or_else(|| "unknown".into(), |major| major.to_string())
        ),
        remedy: major.is_none().then(|| "its rustc does not run: reinstall it".into()),
    }];
    if let Some(major) = major {
        findings.push(bpf_linker(major));
        findings.push(library(&chosen, major));
    }
    findings
}

fn bpf_linker(major: u32) -> Finding {
    let installed = linker::installed();
    let found = installed.map_or_else(|| "not found".into(), |version| version.to_string());
    let (state, remedy) = match linker::fit(installed, major) {
        Fit::Good => (format!("{found}, for LLVM {major}"), None),
        Fit::Unsure => (
            format!("{found}; it must have been built for LLVM {major} (--features llvm-{major})"),
            None,
        ),
        Fit::Install(version) => {
            (found, Some(format!("cargo install --locked --force bpf-linker --version {version}")))
        }
        Fit::NoRelease => (found, Some(linker::by_hand(major))),
    };
    Finding { what: "bpf-linker", state, remedy }
}

fn library(chosen: &toolchain::Compiler, major: u32) -> Finding {
    let dir = toolchain::llvm_dir(chosen, std::env::consts::ARCH, major);
    Finding {
        what: "libLLVM",
        remedy: dir.is_none().then(|| packages::by_hand(&[&format!("libllvm{major}")])),
        state: dir.map_or_else(|| "not found".into(), |dir| dir.display().to_string()),
    }
}

fn system_packages() -> Finding {
    let missing = packages::missing(&packages::ALL);
    let here = packages::ALL.len() - missing.len();
    Finding {
        what: "system packages",
        state: format!("{here} of {}", packages::ALL.len()),
        remedy: (!missing.is_empty()).then(|| packages::by_hand(&missing)),
    }
}
