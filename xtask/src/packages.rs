//! What has to come from the distribution.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec::{self, Raise, Unable};
use crate::toolchain::on_path;

/// A Debian package and how to see that what it brings is here. Not asked of dpkg: other
/// distributions have other names, and the thing itself is what counts.
pub struct Package {
    pub name: &'static str,
    proof: Proof,
}

enum Proof {
    Program(&'static str),
    Header(&'static str),
    File(&'static str),
    /// A program of which each version has a folder of its own: where those are, and where it is in them.
    Versioned(&'static str, &'static str),
}

/// Everything but the compiler: libbpf-sys builds C against libelf and zlib, tests use `ip`.
pub const ALL: [Package; 6] = [
    Package { name: "gcc", proof: Proof::Program("cc") },
    Package { name: "make", proof: Proof::Program("make") },
    Package { name: "pkg-config", proof: Proof::Program("pkg-config") },
    Package { name: "libelf-dev", proof: Proof::Header("libelf.h") },
    Package { name: "zlib1g-dev", proof: Proof::Header("zlib.h") },
    Package { name: "iproute2", proof: Proof::Program("ip") },
];

/// What tests need besides: an app under test in Python, and readers for archives and captures that we
/// write.
pub const TESTS: [Package; 4] = [
    Package { name: "python3", proof: Proof::Program("python3") },
    Package { name: "busybox-static", proof: Proof::Program("busybox") },
    Package { name: "tcpdump", proof: Proof::Program("tcpdump") },
    Package { name: "tshark", proof: Proof::Program("tshark") },
];

/// Programs that nobody here wrote, which `root_programs` breaks the connections of, with their servers.
pub const PROGRAMS: [Package; 7] = [
    Package { name: "redis-server", proof: Proof::Program("redis-server") },
    Package { name: "redis-tools", proof: Proof::Program("redis-cli") },
    Package { name: "postgresql", proof: Proof::Versioned("/usr/lib/postgresql", "bin/postgres") },
    Package { name: "postgresql-client", proof: Proof::Program("psql") },
    Package { name: "nginx", proof: Proof::Program("nginx") },
    Package { name: "curl", proof: Proof::Program("curl") },
    // Of the distribution's Python, /usr/bin/python3: another one need not look there.
    Package {
        name: "python3-websockets",
        proof: Proof::File("/usr/lib/python3/dist-packages/websockets/__init__.py"),
    },
];

/// What `vm-test` needs besides: QEMU, and what kernels are fetched and packed with.
pub const GUESTS: [Package; 7] = [
    Package { name: "qemu-system-x86", proof: Proof::Program("qemu-system-x86_64") },
    Package { name: "binutils", proof: Proof::Program("strip") },
    Package { name: "xz-utils", proof: Proof::Program("xz") },
    Package { name: "util-linux", proof: Proof::Program("setpriv") },
    Package { name: "dpkg", proof: Proof::Program("dpkg-deb") },
    Package { name: "apt", proof: Proof::Program("apt-get") },
    Package { name: "debian-archive-keyring", proof: Proof::File(crate::vm::KEYRING) },
];

/// Debian's newer Rust, with the sources of `core`.
pub const COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

impl Package {
    /// Whether what the package brings is here.
    pub fn is_here(&self) -> bool {
        match self.proof {
            // A user's PATH often lacks the directories of root's programs.
            Proof::Program(name) => {
                on_path(name).is_some()
                    || ["/usr/sbin", "/sbin"].iter().any(|dir| Path::new(dir).join(name).is_file())
            }
            Proof::Header(name) => ["/usr/include", "/usr/local/include"]
                .iter()
                .any(|dir| Path::new(dir).join(name).is_file()),
            Proof::File(path) => Path::new(path).is_file(),
            Proof::Versioned(dir, below) => fs::read_dir(dir)
                .is_ok_and(|all| all.flatten().any(|version| version.path().join(below).is_file())),
        }
    }
}

/// The names of those packages that are not here.
pub fn missing(of: &[Package]) -> Vec<&'static str> {
    of.iter().filter(|package| !package.is_here()).map(|package| package.name).collect()
}

/// The commands that install `names`, for somebody to type.
pub fn by_hand(names: &[&str]) -> String {
    format!(
        "as root (names of Debian and Ubuntu; elsewhere they differ):\n  apt-get update\n  \
         apt-get install --no-install-recommends {}",
        names.join(" ")
    )
}

/// Installs with apt-get.
pub struct Apt {
    updated: bool,
}

impl Apt {
    pub const fn new() -> Self {
        Self { updated: false }
    }

    /// Installs `names`, after one `apt-get update`: an old list offers an old compiler.
    ///
    /// # Errors
    /// [`Unable`] with the commands to type when there is no apt-get or no way to be root.
    pub fn install(&mut self, names: &[&str]) -> Result<()> {
        let unable = || Unable(by_hand(names));
        if on_path("apt-get").is_none() {
            return Err(unable().into());
        }
        let raise = Raise::find("installing packages").map_err(|_no_root| unable())?;
        let quiet = quiet()?;
        if !self.updated {
            exec::run(apt(raise, &quiet).arg("update")).context("apt-get update failed")?;
            self.updated = true;
        }
        exec::run(
            apt(raise, &quiet).args(["install", "--yes", "--no-install-recommends"]).args(names),
        )
        .map_err(|error| Unable(format!("{error:#}; {}", by_hand(names))).into())
    }
}

/// apt-get that asks nothing and starts no service. Its talk goes to stderr: stdout is for results.
fn apt(raise: Raise, path: &str) -> Command {
    let mut command = raise.command("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--option", path]);
    command.stdout(std::io::stderr());
    command
}

/// What packages start their services with (invoke-rc.d(8), deb-systemd-invoke(1p)): by name, so that who comes first in
/// the PATH of dpkg is asked, which apt sets (apt.conf(5)). The usual /usr/sbin/policy-rc.d would be the machine's, and stay there if we are killed.
const STARTERS: [&str; 2] = ["invoke-rc.d", "deb-systemd-invoke"];
const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An option of apt with which no service is started: the tests start their own servers.
fn quiet() -> Result<String> {
    let dir = crate::cargo::target_dir()?.join("starts-nothing");
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        for name in STARTERS {
            let path = dir.join(name);
            fs::write(&path, "#!/bin/sh\nexit 0\n")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    };
    make().with_context(|| format!("cannot write into {}", dir.display()))?;
    Ok(format!("DPkg::Path={}:{SYSTEM}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_missing() {
        let absent = Package { name: "x", proof: Proof::Program("no-such-program-anywhere") };
        assert!(!absent.is_here());
        assert!(!Package { name: "x", proof: Proof::Header("no/such/header.h") }.is_here());
        assert!(Package { name: "x", proof: Proof::Program("sh") }.is_here());
        assert!(Package { name: "x", proof: Proof::Versioned("/", "bin/env") }.is_here());
        assert!(!Package { name: "x", proof: Proof::Versioned("/", "bin/nothing") }.is_here());
    }

    #[test]
    fn the_commands_name_every_package() {
        let text = by_hand(&["a", "b"]);
        assert!(text.contains("apt-get update") && text.ends_with("--no-install-recommends a b"));
    }
}
