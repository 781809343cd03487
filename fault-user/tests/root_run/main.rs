//! The flowfault binary from end to end: real programs, real packets, real kernels, in network
//! namespaces of the tests' own. Needs root: `cargo xtask test --root`.
//!
//! No test believes flowfault: receipts of the servers, TCP_INFO of the sockets, packets on the
//! cable and the kernel's own list of programs are held against what it says.

mod audit;
mod clsact;
mod command_line;
mod exit_codes;
mod failsafe;
mod lifecycle;
mod logged;
mod long;
mod python;
mod selected;
mod sends;
mod support;
mod thinned;
mod twins;
mod udp;
