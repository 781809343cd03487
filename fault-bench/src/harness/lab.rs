//! Two namespaces, the cable between them, the servers at its far end, and a directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::netns::Netns;
use crate::server::{SINK, Servers};

/// The interface of the cable, at both ends.
pub const CABLE: &str = "cable0";
/// How long the carrier may take (linkwatch: up to a second, more on a busy machine).
const PATIENCE: Duration = Duration::from_secs(10);

/// The laboratory.
pub struct Lab {
    pub near: Netns,
    pub servers: Servers,
    _far: Netns,
    dir: TempDir,
    /// The flowfault to measure.
    pub flowfault: PathBuf,
}

impl Lab {
    /// Makes it.
    ///
    /// # Errors
    /// No privilege, no `ip`, or no path to the far end.
    pub fn new(flowfault: &Path) -> Result<Self> {
        let (near, far) = (Netns::new()?, Netns::new()?);
        let far_at = far.path();
        near.ip(&format!("link add {CABLE} type veth peer name {CABLE} netns {far_at}"))?;
        for (netns, host) in [(&near, 1), (&far, 2)] {
            netns.ip(&format!("addr add 10.77.0.{host}/24 dev {CABLE}"))?;
            netns.ip(&format!("link set {CABLE} up"))?;
        }
        let servers = Servers::start(&far)?;
        let dir = tempfile::tempdir().context("no temporary directory")?;
        let lab = Self { near, servers, _far: far, dir, flowfault: flowfault.to_path_buf() };
        lab.near.within(reach)?;
        Ok(lab)
    }

    /// Path of a file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Waits until the far end answers.
fn reach() -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect_timeout(&SINK, Duration::from_millis(500)).is_err() {
        ensure!(Instant::now() < end, "nobody answers at {SINK} through the cable");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
