//! Tests of `fault-user/build/toolchain.rs`; a build script cannot have its own.

use crate::toolchain::{Compiler, LINKED, Missing, Source, choose, is_llvm, llvm_major};

/// A machine with these toolchains, each with or without rust-src.
fn machine(toolchains: &'static [(&'static str, bool)]) -> impl Fn(&str) -> Option<Compiler> {
    move |name| {
        let (_, has_sources) = toolchains.iter().find(|(known, _)| *known == name)?;
        Some(Compiler { name: name.into(), sysroot: "/x".into(), has_sources: *has_sources })
    }
}

fn chosen(
    forced: Option<&str>,
    source: Source,
    toolchains: &'static [(&'static str, bool)],
) -> Result<String, Missing> {
    choose(forced, source, Some("stable"), machine(toolchains)).map(|compiler| compiler.name)
}

#[test]
fn the_active_toolchain_comes_first() {
    let both: &[_] = &[("stable", true), (LINKED, true)];
    assert_eq!(chosen(None, Source::Any, both).unwrap(), "stable");
    assert_eq!(chosen(None, Source::Debian, both).unwrap(), LINKED);
}

#[test]
fn without_sources_the_linked_one_takes_its_place() {
    let linked: &[_] = &[("stable", false), (LINKED, true)];
    assert_eq!(chosen(None, Source::Any, linked).unwrap(), LINKED);
    assert_eq!(chosen(None, Source::Rustup, linked), Err(Missing::Sources));
    assert_eq!(chosen(None, Source::Any, &[("stable", false)]), Err(Missing::Sources));
}

#[test]
fn a_forced_toolchain_is_never_replaced() {
    let some: &[_] = &[("stable", true), ("nightly", false), ("1.96", true)];
    assert_eq!(chosen(Some("1.96"), Source::Any, some).unwrap(), "1.96");
    let sources = Missing::ForcedSources("nightly".into());
    assert_eq!(chosen(Some("nightly"), Source::Any, some), Err(sources));
    assert_eq!(chosen(Some("gone"), Source::Any, some), Err(Missing::Forced("gone".into())));
}

#[test]
fn only_two_words_name_a_source() {
    assert_eq!(Source::parse(None), Ok(Source::Any));
    assert_eq!(Source::parse(Some("debian")), Ok(Source::Debian));
    assert_eq!(Source::parse(Some("Debian")), Err("Debian".into()));
}

#[test]
fn llvm_s_version_is_read_from_rustc() {
    assert_eq!(llvm_major("rustc 1.95.0\nhost: x\nLLVM version: 22.1.2\n"), Some(22));
    assert_eq!(llvm_major("rustc 1.95.0\n"), None);
}

#[test]
fn llvm_s_library_is_known_by_its_major() {
    for name in ["libLLVM-22-rust-1.95.0-stable.so", "libLLVM.so.22.1", "libLLVM-22.so"] {
        assert!(is_llvm(name, 22), "{name}");
    }
    // 14.0.22 has a 22 in it; an archive cannot be loaded.
    for name in ["libLLVM-14.0.22.so", "libLLVM.so.21.22", "libLLVM-22.a", "libLLVMCore.so"] {
        assert!(!is_llvm(name, 22), "{name}");
    }
}
