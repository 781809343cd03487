//! What flowfault's eBPF programs and its userspace share: table and event layouts, and
//! [`decide::decide`], the pure function that judges a packet.
//!
//! `no_std`, no allocation, no helper calls: the eBPF programs, the tests' oracle and the audit
//! of a finished run all compile the same code.
#![cfg_attr(not(test), no_std)]

pub mod capture;
pub mod condition;
pub mod decide;
pub mod event;
pub mod fate;
pub mod hello;
pub mod layout;
pub mod line;
pub mod quiet;
pub mod rng;
pub mod rule;
pub mod stats;
pub mod table;
