//! Mounts of our own, where the machine's would not do.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// A mount of this file system, as long as the descriptor lives. fsopen, fsconfig(CREATE), fsmount:
/// no mount point, no trace (fsopen(2), Linux 5.2).
///
/// # Errors
/// No CAP_SYS_ADMIN, or no such file system.
pub fn detached(file_system: &CStr) -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    let check = |r: i64| if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r as i32) };
    // SAFETY: a NUL-terminated name and a plain flag; the result is checked and owned.
    let fs = unsafe {
        let fd = libc::syscall(libc::SYS_fsopen, file_system.as_ptr(), FSOPEN_CLOEXEC);
        OwnedFd::from_raw_fd(check(fd)?)
    };
    // SAFETY: the command takes no key, value or aux; all are zero.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), FSCONFIG_CMD_CREATE, 0usize, 0usize, 0)
    })?;
    // SAFETY: plain numbers; the result is checked and owned.
    let mount = unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, 0u32) };
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(check(mount)?) })
}
