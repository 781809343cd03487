//! Debian's kernels: downloaded with apt from lists of our own, and unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::release::{self, Line, Release};
use crate::exec::{self, Unable};

/// Where Debian's keys are, on Debian and on what descends from it.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// A mirror for machines whose own apt knows none of Debian.
const MIRROR: &str = "FLOWFAULT_DEBIAN_MIRROR";

/// An unpacked kernel.
pub struct Kernel {
    pub image: PathBuf,
    /// The directory with its modules, in folders.
    pub modules: PathBuf,
}

/// The kernel of this line, from `dir` if it was unpacked there before.
///
/// # Errors
/// Nothing can be downloaded, or the packages are not what they were.
pub fn kernel(line: Line, dir: &Path) -> Result<Kernel> {
    let (stamp, root) = (dir.join("release"), dir.join("root"));
    let known = fs::read_to_string(&stamp).unwrap_or_default();
    if let Ok(kernel) = find(&root, known.trim()) {
        return Ok(kernel);
    }
    let found = download(line, dir, &root)?;
    let kernel = find(&root, &found.name)?;
    // Last: it says that all of it is here.
    fs::write(&stamp, &found.name).context("cannot write into the target directory")?;
    Ok(kernel)
}

fn find(root: &Path, release: &str) -> Result<Kernel> {
    ensure!(!release.is_empty(), "no kernel was unpacked");
    let first = |places: [String; 2]| places.map(|p| root.join(p)).into_iter().find(|p| p.exists());
    let image = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    let modules = ["lib", "usr/lib"].map(|lib| format!("{lib}/modules/{release}/kernel"));
    let lacks = |what: &str| format!("the packages of Linux {release} have no {what}");
    Ok(Kernel {
        image: first(image).with_context(|| lacks("kernel image"))?,
        modules: first(modules).with_context(|| lacks("modules"))?,
    })
}

fn download(line: Line, dir: &Path, root: &Path) -> Result<Release> {
    let apt = Apt::new(line, dir)?;
    eprintln!("vm-test: package list of Debian {}", line.suite);
    exec::run(apt.command("apt-get").args(["--quiet", "--quiet", "update"]))?;
    let found =
        release::resolve(line, &text(apt.command("apt-cache").args(["pkgnames", "linux-"]))?)?;
    eprintln!("vm-test: downloading {}", found.packages.join(" "));
    let debs = dir.join("debs");
    for stale in [&debs, root] {
        if stale.exists() {
            fs::remove_dir_all(stale).context("cannot clear the target directory")?;
        }
    }
    fs::create_dir_all(&debs).context("cannot write into the target directory")?;
    let mut get = apt.command("apt-get");
    get.args(["--quiet", "--quiet", "download"]).args(&found.packages).current_dir(&debs);
    exec::run(&mut get)?;
    for entry in fs::read_dir(&debs)? {
        exec::run(Command::new("dpkg-deb").arg("--extract").arg(entry?.path()).arg(root))?;
    }
    fs::remove_dir_all(&debs)?;
    Ok(found)
}

/// apt with sources, lists and cache of our own: the host's stay as they are.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(line: Line, dir: &Path) -> Result<Self> {
        let state = dir.join("apt");
        for place in ["lists/partial", "cache/archives/partial", "sources"] {
            fs::create_dir_all(state.join(place))
                .context("cannot write into the target directory")?;
        }
        let source = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nArchitectures: amd64\n\
             Signed-By: {KEYRING}\nTargets: Packages\n",
            mirror()?,
            line.suite
        );
        fs::write(state.join("sources/debian.sources"), source)?;
        let at = |option: &str, place: &str| format!("{option}={}", state.join(place).display());
        let options = vec![
            "Dir::Etc::sourcelist=/dev/null".into(),
            at("Dir::Etc::sourceparts", "sources"),
            at("Dir::State::Lists", "lists"),
            at("Dir::Cache", "cache"),
            "Dir::State::status=/dev/null".into(),
            "Acquire::Languages=none".into(),
            // The user _apt may not write here; the signatures are checked in any case.
            "APT::Sandbox::User=root".into(),
        ];
        Ok(Self { options })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command.stdout(Stdio::from(std::io::stderr()));
        command
    }
}

/// The mirror that this machine's own apt uses for Debian.
fn mirror() -> Result<String> {
    if let Ok(named) = std::env::var(MIRROR) {
        return Ok(named);
    }
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"]);
    let unable =
        || Unable(format!("this machine's apt knows no mirror of Debian: set {MIRROR} to one"));
    Ok(debian(&text(&mut targets)?).map(str::to_owned).ok_or_else(unable)?)
}

/// The first mirror of Debian itself: not of its security archive, which has no kernels of other
/// releases under the same name.
fn debian(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| line.trim().strip_prefix("Debian|"))
}

/// What a command prints.
fn text(command: &mut Command) -> Result<String> {
    let shown = exec::shown(command);
    let out = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let out = out.with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(out.status.success(), "`{shown}` failed");
    String::from_utf8(out.stdout).with_context(|| format!("`{shown}` does not print UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debian_s_own_not_the_security_archive() {
        let targets =
            "Docker CE|https://x/\nDebian-Security|https://s/\nDebian|https://m/debian/\n";
        assert_eq!(debian(targets), Some("https://m/debian/"));
        assert_eq!(debian("Ubuntu|https://u/\n"), None);
    }

    #[test]
    fn both_layouts_of_kernel_packages_are_understood() {
        let root = std::env::temp_dir().join(format!("xtask-layout-{}", std::process::id()));
        let old = root.join("old");
        fs::create_dir_all(old.join("boot")).unwrap();
        fs::create_dir_all(old.join("lib/modules/6.1/kernel")).unwrap();
        fs::write(old.join("boot/vmlinuz-6.1"), "").unwrap();
        let new = root.join("new");
        fs::create_dir_all(new.join("usr/lib/modules/7.2/kernel")).unwrap();
        fs::write(new.join("usr/lib/modules/7.2/vmlinuz"), "").unwrap();
        let found = [find(&old, "6.1"), find(&new, "7.2"), find(&new, "6.1"), find(&new, "")];
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found.map(|f| f.is_ok()), [true, true, false, false]);
    }
}
