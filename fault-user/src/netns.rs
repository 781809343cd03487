//! Network namespaces (network_namespaces(7)). A thread is in one, and its threads and children begin there.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

const HERE: &str = "/proc/thread-self/ns/net";
/// A run goes on in such a thread: what the first of a process has.
const STACK: usize = 8 << 20;

/// A way into one. It stays while this lives.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inode: u64,
}

impl Netns {
    /// The one that this thread is in.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn current() -> io::Result<Self> {
        Self::open(HERE)
    }

    /// The one that a process is in.
    ///
    /// # Errors
    /// It has ended, or may not be looked at.
    pub fn of_process(pid: i32) -> io::Result<Self> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// The one with this inode, if anything leads there: a process in it, or a name of ip-netns(8).
    pub fn find(inode: u64) -> Option<Self> {
        let named = fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|e| e.path());
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let of_processes = processes.map(|e| e.path().join("ns/net"));
        let is_it = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.ino() == inode);
        let path = named.chain(of_processes).find(is_it)?;
        // Opened and asked again: a process may be gone in between, and its number somebody else's.
        Self::open(path).ok().filter(|found| found.inode == inode)
    }

    fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }

    /// Its inode in nsfs, which tells it from all others that there are.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Moves this thread there for good. Safe between fork and exec.
    ///
    /// # Errors
    /// No CAP_SYS_ADMIN over it.
    pub fn enter(&self) -> io::Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// Does something there, on a thread of its own: this one stays where it is, come what may.
    ///
    /// # Errors
    /// It cannot be entered.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        apart(|| {
            self.enter()?;
            Ok(act())
        })
    }
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Does something on a thread of its own, which may change into another namespace.
///
/// # Errors
/// No thread can be started, or what `act` says.
pub fn apart<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, act)?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What eBPF programs call the network namespace of this thread (SO_NETNS_COOKIE, Linux 5.14).
///
/// # Errors
/// An older kernel.
pub fn cookie() -> io::Result<u64> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: SO_NETNS_COOKIE writes 8 bytes into a buffer of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_found_by_its_inode() {
        let here = Netns::current().unwrap();
        assert_eq!(Netns::find(here.inode()).unwrap().inode(), here.inode());
        assert_eq!(Netns::of_process(std::process::id() as i32).unwrap().inode(), here.inode());
        assert!(Netns::find(1).is_none());
        assert_eq!(cookie().unwrap(), cookie().unwrap());
    }

    #[test]
    fn what_goes_wrong_apart_is_told() {
        assert!(apart(|| Ok(7)).is_ok_and(|n| n == 7));
        assert!(apart::<()>(|| Err(io::ErrorKind::Other.into())).is_err());
    }
}
