//! Array maps that this process has mapped: reading or writing an entry is a memory access, not
//! a system call.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use aya::Pod;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::error::KernelError;

/// The entries of a map that was made with BPF_F_MMAPABLE.
#[derive(Debug)]
pub struct Mapped<T> {
    first: NonNull<T>,
    entries: u32,
    bytes: NonZeroUsize,
}

// SAFETY: the memory is shared with the kernel anyway; every access is volatile and of plain
// integers, so that a race gives a mixed value and nothing worse.
unsafe impl<T: Pod> Send for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    /// Maps all entries.
    ///
    /// # Errors
    /// The kernel refuses: before Linux 5.5, or no memory.
    pub fn new(map: impl AsFd, entries: u32, name: &'static str) -> Result<Self, KernelError> {
        // The kernel lays entries out in steps of 8 bytes (array_map_alloc).
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let bytes = (size_of::<T>() * entries as usize).next_multiple_of(4096);
        let what = || format!("share the memory of the map {name}");
        let empty = || std::io::Error::other("it has no entries");
        let bytes = NonZeroUsize::new(bytes).ok_or_else(|| KernelError::map(what())(empty()))?;
        // SAFETY: a new mapping at an address of the kernel's choice; the map's memory lives as
        // long as the mapping.
        let first = unsafe {
            let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            mmap(None, bytes, rw, MapFlags::MAP_SHARED, map, 0)
        };
        let first = first.map_err(KernelError::map(what()))?.cast();
        Ok(Self { first, entries, bytes })
    }

    /// The entry, if there is one of that number.
    pub fn get(&self, index: u32) -> Option<T> {
        // SAFETY: within the mapping; every bit pattern is a T (Pod).
        (index < self.entries).then(|| unsafe { self.at(index).read_volatile() })
    }

    /// Writes an entry; one that does not exist is not written.
    pub fn set(&self, index: u32, value: T) {
        if index < self.entries {
            // SAFETY: within the mapping.
            unsafe { self.at(index).write_volatile(value) }
        }
    }

    /// The address of an entry.
    ///
    /// # Safety
    /// `index` must be below the number of entries.
    pub(super) unsafe fn at(&self, index: u32) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.first.as_ptr().add(index as usize) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody else has its address.
        if let Err(e) = unsafe { munmap(self.first.cast(), self.bytes.get()) } {
            tracing::warn!("cannot unmap a map: {e}");
        }
    }
}
