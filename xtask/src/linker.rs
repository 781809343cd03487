//! bpf-linker, and whether its LLVM is the compiler's.

use std::process::Command;

use crate::toolchain;

/// The release that is made for LLVM 22.
pub const FOR_LLVM_22: Version = Version(0, 10, 4);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// Finds `1.2.3` as a word; what follows the numbers (`-nightly`) does not count.
    pub fn parse(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let mut numbers = word.split(['.', '-', '+']).map(str::parse);
            Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
    }

    /// 1.95, the compiler that the workspace asks for, and anything newer.
    pub fn compiles_workspace(self) -> bool {
        self >= Self(1, 95, 0)
    }
}

/// How an installed (or absent) linker goes with a compiler.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    /// Made for this LLVM.
    Good,
    /// Newer releases can be built for several LLVMs and do not say for which they were.
    Unsure,
    /// Absent or too old; this release has to be installed.
    Install(Version),
    /// No release that we know fits this LLVM by default.
    NoRelease,
}

/// Judges a linker of version `installed` beside a compiler with LLVM `major`. Linking across
/// LLVM versions can give broken BTF without a word, so this has to be known beforehand.
pub fn fit(installed: Option<Version>, major: u32) -> Fit {
    match (installed, major) {
        (Some(version), 22) if version == FOR_LLVM_22 => Fit::Good,
        (Some(version), 22..) if version > FOR_LLVM_22 => Fit::Unsure,
        (_, 22) => Fit::Install(FOR_LLVM_22),
        _ => Fit::NoRelease,
    }
}

/// The version of the linker that the build would use.
pub fn installed() -> Option<Version> {
    let out = Command::new(toolchain::linker()?).arg("--version").output().ok()?;
    Version::parse(&String::from_utf8_lossy(&out.stdout))
}

/// What to do by hand when no release fits LLVM `major`.
pub fn by_hand(major: u32) -> String {
    format!(
        "the compiler has LLVM {major}, bpf-linker {FOR_LLVM_22} reads 22. Take a compiler with 22:\n  \
         rustup toolchain install 1.95.0 --component rust-src\n  \
         export {}=1.95.0",
        toolchain::FORCED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        assert_eq!(Version::parse("bpf-linker 0.10.4"), Some(Version(0, 10, 4)));
        assert_eq!(Version::parse("rustc 1.97.0-nightly (x)"), Some(Version(1, 97, 0)));
        assert_eq!(Version::parse("bpf-linker"), None);
        assert_eq!(Version::parse("1.2"), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version(0, 9, 15) < FOR_LLVM_22);
        assert!(!Version(1, 9, 0).compiles_workspace());
        assert!(Version(1, 96, 0).compiles_workspace());
    }

    #[test]
    fn the_linker_must_be_made_for_the_compiler_s_llvm() {
        assert_eq!(fit(Some(FOR_LLVM_22), 22), Fit::Good);
        assert_eq!(fit(None, 22), Fit::Install(FOR_LLVM_22));
        assert_eq!(fit(Some(Version(0, 9, 15)), 22), Fit::Install(FOR_LLVM_22));
        assert_eq!(fit(Some(Version(0, 13, 0)), 22), Fit::Unsure);
        assert_eq!(fit(Some(FOR_LLVM_22), 23), Fit::NoRelease);
        assert_eq!(fit(None, 23), Fit::NoRelease);
        assert_eq!(fit(Some(FOR_LLVM_22), 21), Fit::NoRelease);
    }
}
