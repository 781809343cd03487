//! Settings of this network namespace that a run has to change, and their way back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What lo needs so that packets to 127/8 and to the host's own addresses survive the delay line:
/// they come back without the route that they were sent with, and would be martians
/// (ip_route_input_slow, fib_validate_source). Other interfaces are not concerned.
const LO: [&str; 2] =
    ["/proc/sys/net/ipv4/conf/lo/route_localnet", "/proc/sys/net/ipv4/conf/lo/accept_local"];

/// A setting and the value that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    path: PathBuf,
    value: String,
    /// The network namespace that it belongs to: inode of /proc/self/ns/net.
    netns: u64,
}

impl Saved {
    /// Writes the old value back.
    ///
    /// # Errors
    /// It cannot be written, or this process is in another network namespace.
    pub fn restore(&self) -> io::Result<()> {
        if netns()? != self.netns {
            let why = format!(
                "{} belongs to another network namespace: run `flowfault clean` there, or write \
                 {} into it",
                self.path.display(),
                self.value
            );
            return Err(io::Error::other(why));
        }
        fs::write(&self.path, &self.value)
    }
}

/// What [`open_lo`] will change, as it is now.
///
/// # Errors
/// The settings cannot be read.
pub fn survey() -> io::Result<Vec<Saved>> {
    let netns = netns()?;
    let mut saved = Vec::new();
    for path in LO {
        let value = fs::read_to_string(path)?.trim().to_owned();
        if value != "1" {
            saved.push(Saved { path: path.into(), value, netns });
        }
    }
    Ok(saved)
}

fn netns() -> io::Result<u64> {
    fs::metadata(Path::new("/proc/self/ns/net")).map(|m| m.ino())
}

/// The settings while they are changed; restored on drop.
#[derive(Debug)]
#[must_use = "dropping it restores the settings"]
pub struct Changed(Vec<Saved>);

impl Changed {
    /// Sets those to 1 that were surveyed.
    ///
    /// # Errors
    /// A setting cannot be written; those before it are restored.
    pub fn set(saved: Vec<Saved>) -> io::Result<Self> {
        let mut changed = Self(Vec::new());
        for setting in saved {
            fs::write(&setting.path, "1")?;
            changed.0.push(setting);
        }
        Ok(changed)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        for saved in &self.0 {
            if let Err(e) = saved.restore() {
                tracing::warn!("cannot restore {}: {e}", saved.path.display());
            }
        }
    }
}
