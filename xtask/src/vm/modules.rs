//! Kernel modules, each after those that it needs. The packages have no modules.dep (depmod makes
//! it when they are installed), so the dependencies are read from the modules themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// What tests and product use: nothing in the guest loads modules by itself.
const WANTED: [&str; 14] = [
    // Links between namespaces, tun and tap devices, mirrors of traffic.
    "veth",
    "tun",
    "ifb",
    "dummy",
    "act_mirred",
    // Programs on interfaces before TCX; queues; what we are compared with.
    "sch_ingress",
    "cls_bpf",
    "sch_fq",
    "sch_netem",
    "sch_prio",
    // Lists of sockets, and destroying them.
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    // Encryption in the kernel.
    "tls",
];

/// The same, where they are modules: what TLS encrypts with. Some kernels have them built in.
const OR_BUILT_IN: [&str; 3] = ["gcm", "ctr", "ghash_generic"];

/// A module, ready for insmod.
pub struct Module {
    pub name: String,
    pub content: Vec<u8>,
}

/// All that is needed from this kernel's modules, in the order in which they load.
///
/// # Errors
/// The kernel lacks one.
pub fn collect(dir: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(dir, &mut files)?;
    let mut collector = Collector { files, seen: BTreeSet::new(), modules: Vec::new() };
    for name in WANTED {
        collector.add(name)?;
    }
    for name in OR_BUILT_IN {
        if collector.files.contains_key(name) {
            collector.add(name)?;
        }
    }
    Ok(collector.modules)
}

struct Collector {
    files: BTreeMap<String, PathBuf>,
    seen: BTreeSet<String>,
    modules: Vec<Module>,
}

impl Collector {
    fn add(&mut self, name: &str) -> Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self.files.get(name);
        let content = read(path.with_context(|| format!("this kernel has no module {name}"))?)?;
        for needed in depends(&content) {
            self.add(&needed)?;
        }
        self.modules.push(Module { name: name.to_owned(), content });
        Ok(())
    }
}

/// Module names and their files, below `dir`.
fn index(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = path.file_name().and_then(|n| n.to_str())
            && let Some((name, _)) = name.split_once(".ko")
        {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Debian compresses modules since 6.12; older kernels cannot decompress them.
fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|ext| ext == "xz") {
        let out = Command::new("xz").args(["--decompress", "--stdout"]).arg(path).output();
        let out = out.context("cannot start xz")?;
        ensure!(out.status.success(), "xz cannot unpack {}", path.display());
        return Ok(out.stdout);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The names behind `depends=` in the module's .modinfo: strings that end with NUL.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = &module[at + KEY.len()..];
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_module() {
        assert_eq!(
            depends(b"ELF\0license=GPL\0depends=udp-tunnel,ip6_udp\0x=y\0"),
            ["udp_tunnel", "ip6_udp"]
        );
        assert!(depends(b"ELF\0depends=\0").is_empty());
        assert!(depends(b"no module").is_empty());
    }

    #[test]
    fn a_module_comes_after_what_it_needs_and_once() {
        let dir = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        fs::create_dir_all(dir.join("net")).unwrap();
        fs::write(dir.join("net/base.ko"), "\0depends=\0").unwrap();
        fs::write(dir.join("net/mid-dle.ko"), "\0depends=base\0").unwrap();
        fs::write(dir.join("top.ko"), "\0depends=mid_dle,base\0").unwrap();
        let mut files = BTreeMap::new();
        let indexed = index(&dir, &mut files);
        let mut collector = Collector { files, seen: BTreeSet::new(), modules: Vec::new() };
        let added = indexed.and_then(|()| collector.add("top"));
        let absent = collector.add("absent");
        fs::remove_dir_all(&dir).unwrap();
        added.unwrap();
        assert!(absent.unwrap_err().to_string().contains("absent"));
        let names: Vec<&str> = collector.modules.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["base", "mid_dle", "top"]);
    }
}
