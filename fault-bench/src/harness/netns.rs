//! Network namespaces without a name: they go with this process, however that ends.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;

/// A network namespace.
pub struct Netns {
    file: File,
}

impl Netns {
    /// A new one, with `lo` up.
    ///
    /// # Errors
    /// No privilege.
    pub fn new() -> Result<Self> {
        let make = || -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        };
        let made = std::thread::scope(|scope| scope.spawn(make).join());
        let file = made.map_err(|_| anyhow!("its thread panicked"))?;
        let netns = Self { file: file.context("cannot make a network namespace: run as root")? };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// A path under which other programs find it while we live.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Makes `command` run in here, and end when we do.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn put(&self, command: &mut Command) -> Result<()> {
        let file = self.file.try_clone()?;
        // SAFETY: between fork and exec only setns and prctl are called, which are system calls
        // without locks or memory of their own.
        unsafe {
            command.pre_exec(move || {
                setns(&file, CloneFlags::CLONE_NEWNET)?;
                nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
                Ok(())
            });
        }
        Ok(())
    }

    /// Runs `work` on a thread in here; the threads that it starts are here too.
    ///
    /// # Errors
    /// Its own.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(inside).join());
        done.map_err(|_| anyhow!("a thread in the namespace panicked"))?
    }

    /// `ip` in here.
    ///
    /// # Errors
    /// It fails.
    pub fn ip(&self, words: &str) -> Result<()> {
        self.call("ip", words)
    }

    /// A program in here, with what it says as the error.
    ///
    /// # Errors
    /// It cannot be started or fails.
    pub fn call(&self, program: &str, words: &str) -> Result<()> {
        let mut command = Command::new(program);
        command.args(words.split_whitespace());
        self.put(&mut command)?;
        let out = command.output().with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "`{program} {words}`: {}", said.trim());
        Ok(())
    }
}
