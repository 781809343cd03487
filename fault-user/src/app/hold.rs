//! Who still holds something that outlives a process: a flock(2) on it, which ends with the last
//! process that has it open. A process id says less: it means nothing in another pid namespace,
//! and a journal under another /run is not seen at all.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Takes the lock of a file or directory. `None`: somebody holds it.
///
/// # Errors
/// It cannot be opened (it may be gone), or its file system has no locks.
pub fn take(path: &Path) -> io::Result<Option<File>> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Whether somebody holds it. What cannot be opened, nobody holds.
pub fn is_held(path: &Path) -> bool {
    matches!(take(path), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_until_the_last_descriptor_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held(dir.path()));
        let lock = take(dir.path()).unwrap().expect("nobody holds it");
        let inherited = lock.try_clone().unwrap();
        drop(lock);
        assert!(is_held(dir.path()) && take(dir.path()).unwrap().is_none());
        drop(inherited);
        assert!(!is_held(dir.path()));
    }
}
