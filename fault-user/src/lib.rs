//! flowfault's userspace.

pub mod scenario;
pub mod verdict;
