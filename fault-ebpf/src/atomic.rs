//! Atomics that return the old value.
//!
//! SeqCst on purpose: with a weaker ordering LLVM emits the form of the instruction that does
//! not fetch, and hands back the operand instead of the old value (measured; the object is
//! checked for `atomic_fetch_add` by a test).

use core::intrinsics::{AtomicOrdering, atomic_or, atomic_xadd};

/// Adds and returns the old value.
///
/// # Safety
/// `p` must point to 8 aligned bytes of a map value.
#[inline(always)]
pub unsafe fn fetch_add(p: *mut u64, v: u64) -> u64 {
    // SAFETY: the caller's promise; the verifier checks the bounds.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(p, v) }
}

/// Sets bits and returns the old value.
///
/// # Safety
/// As [`fetch_add`].
#[inline(always)]
pub unsafe fn fetch_or(p: *mut u64, v: u64) -> u64 {
    // SAFETY: as above.
    unsafe { atomic_or::<u64, u64, { AtomicOrdering::SeqCst }>(p, v) }
}
