//! A process that ran before the run: held by a pidfd, so that another one that gets its number is never
//! taken for it. It is not a child of ours: nobody tells us its exit status.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::os::fd::AsFd as _;

/// One process.
#[derive(Debug)]
pub struct Attached {
    /// Its number, as long as it runs.
    pub pid: u32,
    /// pidfd_open(2), Linux 5.3.
    pidfd: OwnedFd,
}

impl Attached {
    /// Takes hold of the process that has this number now.
    ///
    /// # Errors
    /// There is none (ESRCH), or it is a thread (EINVAL).
    pub fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: plain numbers; the result is checked and owned.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd as i32)
        };
        Ok(Self { pid, pidfd })
    }

    /// Whether it has not ended: a pidfd becomes readable when it does.
    pub fn runs(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(0)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended (ESRCH), or may not be signalled (EPERM).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let (fd, none) = (self.pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: an open descriptor, a signal's number, and no siginfo, for which null stands.
        let done =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as i32, none, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The descriptor again, to wait for the end.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_until_it_ends_and_its_number_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let held = Attached::open(child.id()).unwrap();
        assert!(held.runs());
        held.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!held.runs());
        let gone = held.signal(Signal::SIGTERM).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
        assert_eq!(Attached::open(child.id()).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
