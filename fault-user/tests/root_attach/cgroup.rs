//! Places for processes.

use std::path::{Path, PathBuf};

/// A place for a process: a cgroup that is removed at the end of the test.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one at the top of the hierarchy, and moves the process there.
    pub fn with(pid: u32, name: &str) -> Self {
        let cgroup = Self::empty(name);
        std::fs::write(cgroup.path().join("cgroup.procs"), pid.to_string()).expect("it runs");
        cgroup
    }

    /// Makes one with nobody in it.
    pub fn empty(name: &str) -> Self {
        let hierarchy = fault_user::app::cgroup::Hierarchy::find().expect("there is cgroup2");
        let path = hierarchy.root().join(name);
        std::fs::create_dir(&path).expect("root may make cgroups");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let hierarchy = fault_user::app::cgroup::Hierarchy::find().expect("there is cgroup2");
        let above = hierarchy.root().join("cgroup.procs");
        for pid in fault_user::app::cgroup::pids(&self.0) {
            // It may have ended by now; if it has not, the cgroup cannot be removed, which is told.
            let _ = std::fs::write(&above, pid.to_string());
        }
        if let Err(e) = std::fs::remove_dir(&self.0) {
            eprintln!("cannot remove {}: {e}", self.0.display());
        }
    }
}
