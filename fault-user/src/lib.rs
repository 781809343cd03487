//! flowfault: see the crate map below.
pub mod act;
pub mod addr;
pub mod app;
pub mod chain;
pub mod clock;
pub mod correlate;
pub mod expect;
pub mod experiment;
pub mod kernel;
pub mod ledger;
pub mod line;
mod mount;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod timeline;
pub mod verdict;
