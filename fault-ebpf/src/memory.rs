//! Kernel memory that no context leads to, read at offsets from the kernel's BTF.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};

use crate::maps::{OFF_TASK_PID, OFF_TASK_TGID};

/// Reads kernel memory at `base + off`; 0 if it cannot be read.
#[inline(always)]
pub fn read<T: Copy + Default>(base: u64, off: u32) -> T {
    let mut v = T::default();
    // SAFETY: the helper checks the address itself and writes exactly size_of::<T>() bytes.
    let r = unsafe {
        bpf_probe_read_kernel(
            (&raw mut v).cast::<c_void>(),
            size_of::<T>() as u32,
            (base + off as u64) as *const c_void,
        )
    };
    if r == 0 { v } else { T::default() }
}

/// What bpf_get_current_pid_tgid returns, for socket filters: they have that helper only since
/// Linux 6.10 (eb166e522c77), the current task since 5.8.
#[inline(always)]
pub fn current_pid_tgid() -> u64 {
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let tgid = read::<u32>(task, OFF_TASK_TGID.load());
    (tgid as u64) << 32 | read::<u32>(task, OFF_TASK_PID.load()) as u64
}
