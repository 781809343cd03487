//! Which Rust compiler builds the eBPF object, and with which linker.
//!
//! One rule for two users: `build.rs` builds with what this file finds, `xtask` installs what it
//! does not find. Each includes the file, which is why it uses nothing but std.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment variable: name of the rustup toolchain that has to be used.
pub const FORCED: &str = "FLOWFAULT_BPF_TOOLCHAIN";

/// A rustup toolchain of this name is what `cargo xtask setup` makes of the distribution's
/// compiler when rustup cannot bring rust-src.
pub const LINKED: &str = "flowfault-bpf";

/// Environment variable: `rustup` or `debian`, the only place where the compiler may come from.
pub const SOURCE: &str = "FLOWFAULT_TOOLCHAIN";

/// Where the compiler may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The active toolchain, else the distribution's.
    Any,
    /// The active toolchain only.
    Rustup,
    /// The distribution's only.
    Debian,
}

impl Source {
    /// What [`SOURCE`] says. An unknown word comes back as the error.
    pub fn parse(word: Option<&str>) -> Result<Self, String> {
        match word {
            None | Some("") => Ok(Self::Any),
            Some("rustup") => Ok(Self::Rustup),
            Some("debian") => Ok(Self::Debian),
            Some(other) => Err(other.into()),
        }
    }
}

/// A Rust compiler of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// Its rustup name; without rustup just `rustc`.
    pub name: String,
    /// The directory that has its `bin` and `lib`.
    pub sysroot: PathBuf,
    /// Whether the sources of `core` (rust-src) are there: no `core` comes built for BPF.
    pub has_sources: bool,
}

/// Why no compiler can build for BPF.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// The toolchain that the environment asks for is not installed.
    Forced(String),
    /// The toolchain that the environment asks for has no rust-src.
    ForcedSources(String),
    /// Nobody has rust-src.
    Sources,
    /// [`SOURCE`] has a value that means nothing.
    Word(String),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forced(name) => write!(
                f,
                "{FORCED} asks for the toolchain `{name}`, which is not installed: \
                 see `rustup toolchain list`, or unset the variable"
            ),
            Self::ForcedSources(name) => write!(
                f,
                "{FORCED} asks for the toolchain `{name}`, which lacks rust-src: \
                 run `rustup component add rust-src --toolchain {name}`, or unset the variable"
            ),
            Self::Word(word) => write!(f, "{SOURCE} is `{word}`: say rustup or debian"),
            Self::Sources => write!(
                f,
                "no Rust toolchain here has the sources of `core` (rust-src): \
                 run `cargo xtask setup`"
            ),
        }
    }
}

/// The compiler for the BPF target: the forced one, else the active one if it has the sources,
/// else the distribution's. `find` looks a toolchain up by name.
pub fn choose(
    forced: Option<&str>,
    source: Source,
    active: Option<&str>,
    find: impl Fn(&str) -> Option<Compiler>,
) -> Result<Compiler, Missing> {
    if let Some(name) = forced {
        let found = find(name).ok_or_else(|| Missing::Forced(name.into()))?;
        return if found.has_sources {
            Ok(found)
        } else {
            Err(Missing::ForcedSources(name.into()))
        };
    }
    let active = active.filter(|_| source != Source::Debian);
    let linked = Some(LINKED).filter(|_| source != Source::Rustup);
    [active, linked]
        .into_iter()
        .flatten()
        .filter_map(find)
        .find(|compiler| compiler.has_sources)
        .ok_or(Missing::Sources)
}

/// [`choose`] with what the environment and this machine say.
pub fn detect() -> Result<Compiler, Missing> {
    let forced = env::var(FORCED).ok().filter(|name| !name.is_empty());
    let word = env::var(SOURCE).ok();
    let source = Source::parse(word.as_deref()).map_err(Missing::Word)?;
    choose(forced.as_deref(), source, active_name().as_deref(), find)
}

/// The name of the toolchain that builds everything else.
pub fn active_name() -> Option<String> {
    // rustup's cargo proxy exports the name to whatever cargo starts.
    if let Some(name) = env::var("RUSTUP_TOOLCHAIN").ok().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    match output(Command::new("rustup").args(["show", "active-toolchain"])) {
        Some(shown) => shown.split_whitespace().next().map(String::from),
        None => Some("rustc".into()),
    }
}

/// Looks a toolchain up by its rustup name; without rustup, the compiler in PATH.
pub fn find(name: &str) -> Option<Compiler> {
    let sysroot = if on_path("rustup").is_some() {
        // Not `rustup run`: naming a path takes a tenth of the time that rustc needs to start,
        // and a toolchain that is not there must not be downloaded for the asking.
        let mut which = Command::new("rustup");
        which.args(["which", "rustc", "--toolchain", name]).env("RUSTUP_AUTO_INSTALL", "0");
        Path::new(output(&mut which)?.trim()).parent()?.parent()?.to_path_buf()
    } else if name == LINKED {
        return None;
    } else {
        PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim())
    };
    let has_sources = sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists();
    Some(Compiler { name: name.into(), sysroot, has_sources })
}

impl Compiler {
    /// What `rustc -vV` says.
    pub fn verbose_version(&self) -> Option<String> {
        output(Command::new(self.sysroot.join("bin/rustc")).arg("-vV"))
    }
}

/// The major version of LLVM in what `rustc -vV` printed.
pub fn llvm_major(verbose_version: &str) -> Option<u32> {
    let line = verbose_version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.trim().parse().ok()
}

/// Directories where the shared library of LLVM may be, the compiler's own first. bpf-linker
/// loads it when it runs.
pub fn llvm_dir(compiler: &Compiler, arch: &str, major: u32) -> Option<PathBuf> {
    let active = active_name().and_then(|name| find(&name)).map(|c| c.sysroot.join("lib"));
    [compiler.sysroot.join("lib")]
        .into_iter()
        .chain([
            PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")),
            PathBuf::from("/usr/lib64"),
            PathBuf::from(format!("/usr/lib/llvm-{major}/lib")),
        ])
        .chain(active)
        .find(|dir| has_llvm(dir, major))
}

fn has_llvm(dir: &Path, major: u32) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| is_llvm(&entry.file_name().to_string_lossy(), major))
}

/// Whether a file of this name is LLVM's shared library: `libLLVM-22-rust-1.95.0-stable.so`,
/// `libLLVM.so.22.1`, `libLLVM-22.so`.
pub fn is_llvm(file: &str, major: u32) -> bool {
    let Some(rest) = file.strip_prefix("libLLVM") else {
        return false;
    };
    let version = rest.strip_prefix(".so.").or_else(|| rest.strip_prefix('-')).unwrap_or("");
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse() == Ok(major) && file.contains(".so")
}

/// bpf-linker: in PATH, or where cargo installs programs (a distribution's cargo does not put
/// that directory into PATH).
pub fn linker() -> Option<PathBuf> {
    on_path("bpf-linker").or_else(|| {
        let home = ["CARGO_INSTALL_ROOT", "CARGO_HOME"].into_iter().find_map(env::var_os);
        let home = home.map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
        Some(home.join("bin/bpf-linker")).filter(|path| path.is_file())
    })
}

/// The first `program` in PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// What a command printed, if it ran and succeeded.
fn output(command: &mut Command) -> Option<String> {
    let out = command.output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}
