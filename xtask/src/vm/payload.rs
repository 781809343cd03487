//! What of this machine is in every guest, each file at the same path as here: the programs under
//! test, the tests, the tools that they call, and the libraries of all of them.
//!
//! Packed and not shared over 9p: Debian's kernels for virtual machines have no 9p, the ordinary
//! ones are three times as large, and a guest in memory cannot touch the host's files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::cpio::Archive;
use crate::exec;
use crate::toolchain::on_path;

/// Tools of the tests; sh, sleep, touch and the like are busybox's.
const TOOLS: [&str; 5] = ["ip", "tc", "ss", "bash", "tcpdump"];
/// Where tc has netem's tables (normal.dist and others), depending on the distribution.
const TABLES: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/tc"];
/// Parts of Python's library that no test needs, and that are most of it.
const NOT_OF_PYTHON: [&str; 9] = [
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "distutils",
    "turtledemo",
];

/// Where the guest's first process mounts something.
const HIDDEN: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The programs built from this tree.
pub struct Programs<'a> {
    pub built: Vec<&'a Path>,
    /// Folders of the tests: their scripts and fixtures.
    pub data: Vec<PathBuf>,
}

/// Adds everything to the archive. Files are made smaller in `scratch` first.
///
/// # Errors
/// Something is not on this machine or cannot be read.
pub fn pack(archive: &mut Archive, programs: &Programs<'_>, scratch: &Path) -> Result<()> {
    fs::create_dir_all(scratch).context("cannot write into the target directory")?;
    let mut dynamic = Vec::new();
    for path in &programs.built {
        // The guest mounts its own there, on top of what is packed.
        let hidden = HIDDEN.iter().find(|dir| path.starts_with(dir));
        ensure!(
            hidden.is_none(),
            "{} would be hidden in the guest: set CARGO_TARGET_DIR to another place",
            path.display()
        );
        stripped(archive, path, scratch)?;
        dynamic.push(path.to_path_buf());
    }
    for dir in &programs.data {
        tree(archive, dir, &|_| true)?;
    }
    let busybox = tool("busybox")?;
    add(archive, &busybox, "/bin/busybox")?;
    for name in TOOLS {
        let path = tool(name)?;
        add(archive, &path, &path.to_string_lossy())?;
        dynamic.push(path);
    }
    let tables = TABLES.iter().map(Path::new).find(|dir| dir.join("normal.dist").is_file());
    let tables = tables.context("there is no normal.dist of tc (iproute2) here")?;
    tree(archive, tables, &|path| path.extension().is_some_and(|e| e == "dist"))?;
    dynamic.extend(python(archive)?);
    dynamic.push(busybox);
    for library in libraries(&dynamic)? {
        add(archive, Path::new(&library), &library)?;
    }
    Ok(())
}

/// Debug information is nine tenths of what cargo builds.
fn stripped(archive: &mut Archive, path: &Path, scratch: &Path) -> Result<()> {
    let small = scratch.join(path.file_name().context("a program has a name")?);
    exec::run(Command::new("strip").arg("-o").arg(&small).arg(path))?;
    add(archive, &small, &path.to_string_lossy())
}

/// A program, also from where only root's PATH leads.
fn tool(name: &str) -> Result<PathBuf> {
    let elsewhere = ["/usr/sbin", "/sbin"].map(|dir| Path::new(dir).join(name));
    on_path(name)
        .or_else(|| elsewhere.into_iter().find(|path| path.is_file()))
        .with_context(|| format!("there is no {name} here"))
}

/// Puts the interpreter and its library in, and names the files that need other libraries.
fn python(archive: &mut Archive) -> Result<Vec<PathBuf>> {
    // `python3` itself may be a script that chooses one.
    let ask =
        "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'), sep='\\n')";
    let out = Command::new("python3").args(["-c", ask]).output().context("cannot start python3")?;
    let answer = String::from_utf8(out.stdout).context("python3 does not print UTF-8")?;
    let mut lines = answer.lines().map(PathBuf::from);
    let (Some(interpreter), Some(library)) = (lines.next(), lines.next()) else {
        anyhow::bail!("python3 does not say where it is");
    };
    add(archive, &interpreter, &interpreter.to_string_lossy())?;
    archive.symlink("/usr/local/bin/python3", &interpreter.to_string_lossy())?;
    tree(archive, &library, &of_python)?;
    let extensions = library.join("lib-dynload");
    let extensions = fs::read_dir(&extensions)
        .with_context(|| format!("cannot list {}", extensions.display()))?;
    let extensions: std::io::Result<Vec<PathBuf>> = extensions.map(|e| Ok(e?.path())).collect();
    Ok(std::iter::once(interpreter).chain(extensions?).collect())
}

fn of_python(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !(NOT_OF_PYTHON.contains(&name.as_ref())
        || name.starts_with("config-")
        || name.ends_with(".opt-1.pyc")
        || name.ends_with(".opt-2.pyc"))
}

/// The files below `dir` that are wanted.
fn tree(archive: &mut Archive, dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if !wanted(&path) {
            continue;
        }
        if path.is_dir() {
            tree(archive, &path, wanted)?;
        } else {
            add(archive, &path, &path.to_string_lossy())?;
        }
    }
    Ok(())
}

/// A file with its permissions. And its time: Python compiles anew what is not as old as its
/// compiled form says.
fn add(archive: &mut Archive, from: &Path, to: &str) -> Result<()> {
    let read = || -> std::io::Result<_> { Ok((fs::metadata(from)?, fs::read(from)?)) };
    let (metadata, content) = read().with_context(|| format!("cannot read {}", from.display()))?;
    archive.file(to, metadata.mode(), metadata.mtime().try_into().unwrap_or(0), &content)
}

/// Every library that one of these loads, and the loader.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<String>> {
    let out = Command::new("ldd").args(programs).output().context("cannot start ldd")?;
    // It fails if one of them is static, which busybox may be.
    let text = String::from_utf8_lossy(&out.stdout);
    let missing: Vec<&str> = text.lines().filter(|line| line.contains("not found")).collect();
    ensure!(missing.is_empty(), "a library is not on this machine: {}", missing.join(";"));
    let libraries = parse_ldd(&text);
    ensure!(
        !libraries.is_empty(),
        "ldd names no library: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(libraries)
}

/// Paths in lines like `libc.so.6 => /lib/libc.so.6 (0x1)` and `/lib64/ld.so (0x2)`; a line
/// with a colon at its end names the program.
fn parse_ldd(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_end().ends_with(':'));
    let paths = lines.filter_map(|line| {
        let path = line.rsplit_once(" (0x")?.0;
        let path = path.split_once(" => ").map_or(path, |(_, path)| path).trim();
        path.starts_with('/').then(|| path.to_owned())
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let text = "/usr/bin/a:\n\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\
            \t/lib64/ld.so.2 (0x3)\n/bin/b:\n\tnot a dynamic executable\n\
            /bin/c:\n\tstatically linked\n\tlibc.so.6 => /lib/libc.so.6 (0x5)\n";
        let found: Vec<String> = parse_ldd(text).into_iter().collect();
        assert_eq!(found, ["/lib/libc.so.6", "/lib64/ld.so.2"]);
    }

    #[test]
    fn of_python_only_what_runs_is_taken() {
        let take = |name: &str| of_python(&Path::new("/usr/lib/python3").join(name));
        assert!(take("json") && take("os.py") && take("os.cpython-311.pyc"));
        assert!(!take("test") && !take("config-3.11-x86_64") && !take("os.cpython-311.opt-1.pyc"));
    }
}
