//! The children that a process has when it is attached to. Those to come the kernel side follows by itself.

use std::collections::BTreeSet;

use super::{AttachError, Target};
use crate::app::Attached;
use crate::kernel::Kernel;

/// Says of each descendant of the target whose it is. Forks are followed already, so that a child is either found here
/// or followed from a parent that was.
///
/// # Errors
/// Too many, or one that cannot be taken hold of.
pub fn add_descendants(kernel: &mut Kernel, target: &Target) -> Result<(), AttachError> {
    let mut known: BTreeSet<i32> = target.process.iter().map(|p| p.pid.cast_signed()).collect();
    loop {
        let new: Vec<i32> = target.pids().into_iter().filter(|pid| known.insert(*pid)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for pid in new {
            add(kernel, target, pid.cast_unsigned())?;
        }
    }
}

/// One that ends between the look and its being added is taken out again: its number may be somebody else's.
fn add(kernel: &mut Kernel, target: &Target, pid: u32) -> Result<(), AttachError> {
    let held = match Attached::open(pid) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        other => other.map_err(|source| AttachError::Child { pid, source })?,
    };
    let is_child = || target.pids().contains(&pid.cast_signed());
    if !is_child() {
        return Ok(());
    }
    kernel.add_process(pid, target.app as u32, true)?;
    if !held.runs() {
        kernel.remove_process(pid)?;
    }
    Ok(())
}
