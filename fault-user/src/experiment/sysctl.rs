//! Settings of this network namespace that a run has to change, and their way back. Two runs may
//! need the same at a time: the first finds the value to go back to, the last goes back to it. Who
//! else needs them the [journal](super::journal) says, under whose lock all of this happens.

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

/// The value that they need.
const NEEDED: &str = "1";

/// A setting and the value that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    path: PathBuf,
    value: String,
    /// The network namespace that it belongs to: inode of /proc/thread-self/ns/net.
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

    /// Whether the other is the same setting, whatever its value.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.path, self.netns) == (&other.path, other.netns)
    }

    /// Sets it as a run needs it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set(&self) -> io::Result<()> {
        fs::write(&self.path, NEEDED)
    }
}

/// What a run will change, with the values to go back to. `others`: what other runs have changed;
/// their value was there before ours.
///
/// # Errors
/// The settings cannot be read.
pub fn survey(others: &[Saved]) -> io::Result<Vec<Saved>> {
    let netns = netns()?;
    let mut saved = Vec::new();
    for path in LO {
        let value = fs::read_to_string(path)?.trim().to_owned();
        saved.extend(to_save(Saved { path: path.into(), value, netns }, others));
    }
    Ok(saved)
}

/// What is to be saved of a setting as it is now: nothing if it always was as it is needed.
fn to_save(now: Saved, others: &[Saved]) -> Option<Saved> {
    if now.value == NEEDED { others.iter().find(|o| o.is_of(&now)).cloned() } else { Some(now) }
}

fn netns() -> io::Result<u64> {
    fs::metadata(Path::new("/proc/thread-self/ns/net")).map(|m| m.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(path: &str, value: &str, netns: u64) -> Saved {
        Saved { path: path.into(), value: value.into(), netns }
    }

    #[test]
    fn the_value_before_the_first_run_is_the_one_to_go_back_to() {
        let others = [saved("a", "0", 7), saved("b", "2", 7), saved("c", "0", 8)];
        let now = |path, value| to_save(saved(path, value, 7), &others);
        assert_eq!(now("a", "1"), Some(saved("a", "0", 7)), "another run has set it");
        assert_eq!(now("b", "1"), Some(saved("b", "2", 7)));
        assert_eq!(now("a", "2"), Some(saved("a", "2", 7)), "somebody has set it since");
        assert_eq!(now("c", "1"), None, "that was in another network namespace");
        assert_eq!(now("d", "1"), None, "it always was so");
        assert_eq!(now("d", "0"), Some(saved("d", "0", 7)));
    }
}
