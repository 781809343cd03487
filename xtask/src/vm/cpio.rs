//! A writer for the kernel's initramfs format: cpio "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
//! Not a crate: it is one header, and xtask is compiled before anything else.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

const DIRECTORY: u32 = 0o040_755;
const SYMLINK: u32 = 0o120_777;
const FILE: u32 = 0o100_000;
/// Every field of an entry starts at a multiple of this.
const ALIGN: usize = 4;

/// An archive in memory. Directories above an entry are made as needed.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl Archive {
    /// A symbolic link.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.entry(path, SYMLINK, 0, target.as_bytes())
    }

    /// A file of root's with these permission bits and this time of modification in seconds since
    /// 1970. One that is there already stays as it is.
    ///
    /// # Errors
    /// The path is not absolute, or the content is too long for the format (4 GiB).
    pub fn file(&mut self, path: &str, mode: u32, mtime: u64, content: &[u8]) -> Result<()> {
        self.entry(path, FILE | (mode & 0o7777), mtime, content)
    }

    /// The whole archive, ready for the kernel.
    ///
    /// # Errors
    /// None in practice: see [`Archive::file`].
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.append("TRAILER!!!", 0, 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, mtime: u64, content: &[u8]) -> Result<()> {
        let name = path.strip_prefix('/').with_context(|| format!("{path} is not absolute"))?;
        ensure!(!name.is_empty(), "the root directory is no entry");
        let above = Path::new(name).ancestors().skip(1).filter(|p| !p.as_os_str().is_empty());
        let mut above: Vec<String> = above.map(|p| p.to_string_lossy().into_owned()).collect();
        above.reverse();
        for directory in above {
            if self.names.insert(directory.clone()) {
                self.append(&directory, DIRECTORY, 0, &[])?;
            }
        }
        if self.names.insert(name.to_owned()) {
            self.append(name, mode, mtime, content)?;
        }
        Ok(())
    }

    fn append(&mut self, name: &str, mode: u32, mtime: u64, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too long"))?;
        // Hard links are found by inode number: each entry has its own.
        let inode = self.names.len() as u32 + 1;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let namesize = name.len() as u32 + 1;
        let fields = [inode, mode, 0, 0, links, mtime as u32, size, 0, 0, 0, 0, namesize, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.file("/a/b/c.txt", 0o640, 1_700_000_000, b"hello").unwrap();
        archive.file("/a/odd", 0o755, 0, b"abc").unwrap();
        archive.symlink("/a/link", "b/c.txt").unwrap();
        // The first of a name counts.
        archive.file("/a/odd", 0o755, 0, b"another").unwrap();
        archive.finish().unwrap()
    }

    /// busybox is what the guests are made with anyway; GNU's cpio need not be here.
    fn busybox(args: &[&str], dir: &Path) -> String {
        let mut cpio = Command::new("busybox");
        cpio.arg("cpio").args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cpio.spawn().expect("busybox is installed: `cargo xtask test` does it");
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn another_program_reads_the_same_entries() {
        let listed = busybox(&["-t"], Path::new("/"));
        let mut names: Vec<&str> = listed.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "a/b", "a/b/c.txt", "a/link", "a/odd"]);
    }

    #[test]
    fn another_program_unpacks_the_same_content() {
        let dir = std::env::temp_dir().join(format!("xtask-cpio-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        busybox(&["-i", "-d", "-m"], &dir);
        let content = fs::read_to_string(dir.join("a/link"));
        let modified = fs::metadata(dir.join("a/b/c.txt")).and_then(|m| m.modified());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(content.unwrap(), "hello");
        let since = modified.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_700_000_000);
    }

    #[test]
    fn the_size_is_a_multiple_of_four() {
        assert_eq!(sample().len() % ALIGN, 0);
    }

    #[test]
    fn a_relative_path_is_refused() {
        assert!(Archive::default().symlink("x", "y").is_err());
        assert!(Archive::default().symlink("/", "y").is_err());
    }
}
