//! flowfault's userspace library.

pub mod expect;
pub mod report;
pub mod scenario;
pub mod verdict;
