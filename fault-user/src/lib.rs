//! flowfault: see the crate map below.
pub mod verdict;
