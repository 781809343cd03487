//! flowfault: see the crate map below.
pub mod addr;
pub mod clock;
pub mod kernel;
pub mod plan;
pub mod scenario;
pub mod verdict;
