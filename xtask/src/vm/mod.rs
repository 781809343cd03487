//! `cargo xtask vm-test`: the privileged tests on the kernels of distributions, in QEMU.

mod bench;
mod console;
mod cpio;
mod guest;
mod init;
mod modules;
mod packages;
mod payload;
mod quick;
mod release;
mod selftest;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::test_binaries::{PRIVILEGED, targets};
use crate::{build, cargo, exec, run, setup, test};
pub use bench::bench;
use guest::{Drive, Ending, Limits, Machine, Outcome, Ports};
pub use init::quoted;
use init::{Surroundings, Work};
pub use packages::KEYRING;
use release::DEFAULT;
pub use release::Line;

/// What an emulated guest says of itself to the tests, which stretch their times by it. It is
/// slower than that (some eight times), but most of a test is waiting.
const SLOWER: u32 = 4;
/// What the programs, the tests and a kernel with them need; 600 MiB are too little.
const MEMORY_MIB: u32 = 1024;
/// Test targets that are for this machine only: a guest has no Redis, PostgreSQL, nginx and curl, which would be
/// hundreds of megabytes with their libraries, and how they use sockets does not depend on the kernel.
const NATIVE: [&str; 1] = ["root_programs"];
const LIMITS: Limits = Limits {
    boot: Duration::from_secs(120),
    silence: Duration::from_secs(600),
    total: Duration::from_secs(4 * 3600),
};

#[derive(clap::Args)]
pub struct Args {
    /// A kernel line, say 6.12; may be given again (default: all of them)
    #[arg(long = "kernel", value_name = "V", value_parser = Line::parse)]
    kernels: Vec<Line>,
    /// Only this test target, say root_run; may be given again
    #[arg(long = "test", value_name = "NAME")]
    tests: Vec<String>,
    /// One guest after the other, not all at a time
    #[arg(long)]
    one_by_one: bool,
    /// Use /dev/kvm. Not by itself: a device that is there but does not work hangs QEMU
    #[arg(long)]
    kvm: bool,
    /// Run this command line in the guest, in place of tests
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["tests", "filter"])]
    command: Option<String>,
    /// A shell in the guest, in place of tests; needs one --kernel
    #[arg(long, conflicts_with_all = ["tests", "filter", "command"])]
    shell: bool,
    /// A few tests of each kind, for CI: see xtask/src/vm/quick.rs
    #[arg(long, conflicts_with_all = ["tests", "filter", "command", "shell"])]
    quick: bool,
    /// See that guests that panic or hang are found out
    #[arg(long, conflicts_with_all = ["tests", "filter", "command", "shell", "quick"])]
    self_test: bool,
    /// For the test programs: part of a test's name, --nocapture, ...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<OsString>,
}

/// Boots the kernels and runs the tests in each; all of them, even when one fails.
///
/// # Errors
/// A guest failed: the console's tail has been printed. Or something cannot be had here.
pub fn command(args: &Args) -> Result<()> {
    setup::ensure_guests()?;
    build::for_tests()?;
    let binaries = tests(args)?;
    let lines = if args.kernels.is_empty() { DEFAULT.to_vec() } else { args.kernels.clone() };
    ensure!(!args.shell || lines.len() == 1, "--shell needs exactly one --kernel");
    let this = std::env::current_exe().context("cannot find this program")?;
    let mut built = vec![cargo::flowfault(false)?, this.clone()];
    built.extend(cargo::examples()?);
    let programs = payload::Programs {
        built: built.iter().chain(&binaries).map(PathBuf::as_path).collect(),
        data: vec![cargo::root()?.join("fault-user/tests"), cargo::root()?.join("scenarios")],
    };
    let drive = |line: &Line| match (args.kvm, args.shell) {
        (true, _) => Drive::Kvm,
        (false, false) if line.counts => Drive::Instructions,
        (false, _) => Drive::HostClock,
    };
    // All of them before anything runs: what cannot be had should not be found out half way.
    let hosts = lines.iter().map(|line| Host::new(*line, &programs, drive(line)));
    let hosts: Vec<Host<'_>> = hosts.collect::<Result<_>>()?;
    if args.self_test {
        return hosts.iter().try_for_each(selftest::run);
    }
    let filter = run::plain(&args.filter);
    let mut filter: Vec<String> = filter.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let paths: Vec<&Path> = binaries.iter().map(PathBuf::as_path).collect();
    if args.quick {
        filter = quick::filter(&paths)?;
    }
    let work = match &args.command {
        Some(line) => Work::Command(line),
        None if args.shell => Work::Shell,
        None => Work::Tests { steady: &this, binaries: &paths, filter: &filter },
    };
    let guests: Vec<Guest> = hosts.iter().map(|h| h.guest(&work)).collect::<Result<_>>()?;
    if args.shell {
        return guests.iter().try_for_each(Guest::shell);
    }
    judge(&all(&guests, args.one_by_one))
}

/// The test programs to run, built.
fn tests(args: &Args) -> Result<Vec<PathBuf>> {
    let mut names = targets(&cargo::root()?.join("fault-user/tests"))?;
    names.retain(|name| name.starts_with(PRIVILEGED) && !NATIVE.contains(&name.as_str()));
    if let Some(native) = args.tests.iter().find(|name| NATIVE.contains(&name.as_str())) {
        bail!("{native} needs programs that guests do not have: run `cargo xtask test --root`");
    }
    if let Some(unknown) = args.tests.iter().find(|name| !names.contains(name)) {
        bail!("no test target is called {unknown}; there are {}", names.join(", "));
    }
    if !args.tests.is_empty() {
        names.retain(|name| args.tests.contains(name));
    }
    test::executables(&names)
}

/// The test target of an executable: cargo adds a hash.
fn name_of(binary: &Path) -> String {
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').map_or(name.as_ref(), |(name, _hash)| name).to_owned()
}

/// What guests of one kernel are made from.
struct Host<'a> {
    line: Line,
    kernel: packages::Kernel,
    programs: &'a payload::Programs<'a>,
    dir: PathBuf,
    drive: Drive,
    /// Held as long as its image and its console are in use.
    _lock: File,
}

/// A guest that is ready to start.
struct Guest {
    version: &'static str,
    image: PathBuf,
    dir: PathBuf,
    /// What has to end well in it.
    expected: Vec<String>,
    drive: Drive,
}

type Results<'a> = Vec<(&'a Guest, Result<Outcome>)>;

/// Keeps a second `vm-test` from writing the image and the console that a guest of this one uses.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another vm-test uses {}: wait for its end, or run this one in another checkout",
            dir.display()
        ),
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

impl<'a> Host<'a> {
    fn new(line: Line, programs: &'a payload::Programs<'a>, drive: Drive) -> Result<Self> {
        let dir = cargo::target_dir()?.join("vm").join(line.version);
        let lock = lock(&dir)?;
        let kernel = packages::kernel(line, &dir)?;
        Ok(Self { line, kernel, programs, dir, drive, _lock: lock })
    }

    /// Makes the initramfs for this work.
    fn guest(&self, work: &Work<'_>) -> Result<Guest> {
        let (dir, version) = (self.dir.clone(), self.line.version);
        let archive =
            initramfs(&self.kernel, self.programs, work, self.drive, &dir.join("scratch"))
                .with_context(|| format!("cannot make the initramfs of Linux {version}"))?;
        let file = dir.join("initramfs");
        fs::write(&file, archive).with_context(|| format!("cannot write {}", file.display()))?;
        let image = self.kernel.image.clone();
        Ok(Guest { version, image, dir, expected: work.names(), drive: self.drive })
    }
}

impl Guest {
    fn qemu(&self) -> Command {
        let machine = Machine {
            image: &self.image,
            initramfs: &self.dir.join("initramfs"),
            memory_mib: MEMORY_MIB,
            cpus: 2,
            drive: self.drive,
        };
        machine.command()
    }

    fn run(&self, limits: Limits) -> Result<Outcome> {
        let ports = Ports { console: self.dir.join("console"), results: self.dir.join("results") };
        guest::run(self.qemu(), &ports, limits, |progress, at| {
            let now = match progress.tests.last() {
                Some((name, None)) => format!("{name} ..."),
                Some((name, Some(status))) => format!("{name}: exit status {status}"),
                None => format!("up: {}", progress.up.as_deref().unwrap_or_default()),
            };
            eprintln!("[{:>6.1} s] Linux {}: {now}", at.as_secs_f64(), self.version);
        })
    }

    fn shell(&self) -> Result<()> {
        let results = self.dir.join("results");
        let mut qemu = self.qemu();
        // Ctrl-A X ends QEMU, Ctrl-A C is its monitor: Ctrl-C goes to the guest.
        qemu.args(["-serial", "mon:stdio", "-serial"]).arg(format!("file:{}", results.display()));
        eprintln!("vm-test: `exit` or Ctrl-A X ends it");
        exec::run(&mut qemu)
    }
}

fn initramfs(
    kernel: &packages::Kernel,
    programs: &payload::Programs<'_>,
    work: &Work<'_>,
    drive: Drive,
    scratch: &Path,
) -> Result<Vec<u8>> {
    let mut archive = cpio::Archive::default();
    payload::pack(&mut archive, programs, scratch)?;
    let mut names = Vec::new();
    for module in modules::collect(&kernel.modules)? {
        archive.file(&format!("/modules/{}.ko", module.name), 0o644, 0, &module.content)?;
        names.push(module.name);
    }
    for (path, content) in [
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
        ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ] {
        archive.file(path, 0o644, 0, content.as_bytes())?;
    }
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut env = vec![
        ("FLOWFAULT_BIN".to_owned(), text(cargo::flowfault(false)?)),
        ("MESSENGER_BIN".to_owned(), text(cargo::messenger(false)?)),
        // All of Debian's kernels have both.
        ("FLOWFAULT_TEST_TIERS".to_owned(), "fexit sys_exit".to_owned()),
        ("FLOWFAULT_TEST_QDISCS".to_owned(), "fq netem".to_owned()),
        ("FLOWFAULT_TEST_ULPS".to_owned(), "tls".to_owned()),
    ];
    if drive != Drive::Kvm {
        env.push(("FLOWFAULT_TEST_SLOW".to_owned(), SLOWER.to_string()));
    }
    let dir = cargo::root()?.join("fault-user");
    let script = init::script(work, &Surroundings { dir: &dir, env: &env, modules: &names });
    archive.file("/init", 0o755, 0, script.as_bytes())?;
    archive.finish()
}

/// Every guest's outcome.
fn all(guests: &[Guest], one_by_one: bool) -> Results<'_> {
    if one_by_one {
        return guests.iter().map(|guest| (guest, guest.run(LIMITS))).collect();
    }
    std::thread::scope(|scope| {
        // Each thread lives as long as its QEMU, which dies with the thread that started it.
        let threads: Vec<_> =
            guests.iter().map(|guest| (guest, scope.spawn(|| guest.run(LIMITS)))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("its thread panicked")))
        };
        threads.into_iter().map(|(guest, thread)| (guest, join(thread))).collect()
    })
}

/// Prints a line for each guest and the reasons of those that failed.
fn judge(results: &Results<'_>) -> Result<()> {
    let mut failed = Vec::new();
    for (guest, result) in results {
        let version = guest.version;
        match result {
            Err(error) => failed.push(format!("Linux {version}: {error:#}")),
            Ok(outcome) => {
                let passed =
                    outcome.ending == Ending::Done && outcome.progress.passed(&guest.expected);
                let verdict = if passed { "passed" } else { "FAILED" };
                println!("Linux {version}: {verdict} after {:.0} s", outcome.took.as_secs_f64());
                if !passed {
                    explain(guest, outcome);
                    failed.push(format!("Linux {version} {}", reason(guest, outcome)));
                }
            }
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

fn reason(guest: &Guest, outcome: &Outcome) -> String {
    let progress = &outcome.progress;
    let of = |name: &String| progress.tests.iter().find(|(n, _)| n == name);
    let words = guest.expected.iter().filter_map(|name| match of(name) {
        Some((_, Some(0))) => None,
        Some((_, Some(status))) => Some(format!("{name} failed with exit status {status}")),
        Some((_, None)) => Some(format!("{name} did not end")),
        None => Some(format!("{name} did not begin")),
    });
    let words: Vec<String> = words.collect();
    format!("{}: {}", outcome.ending, words.join(", "))
}

fn explain(guest: &Guest, outcome: &Outcome) {
    for line in console::failures(&outcome.console) {
        println!("| {line}");
    }
    println!("Linux {}: the console's last lines:", guest.version);
    println!("{}", console::tail(&outcome.console, 40));
    println!("all of it: {}", guest.dir.join("console").display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_no_part_of_a_test_s_name() {
        assert_eq!(name_of(Path::new("/t/deps/root_run-86d2d4925f41aca4")), "root_run");
        assert_eq!(name_of(Path::new("/t/root_x")), "root_x");
    }
}
