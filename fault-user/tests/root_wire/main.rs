//! Every fault on the wire, from a scenario to the receiver's socket. Needs root:
//! `cargo xtask test --root`.
//!
//! No test believes flowfault: packets on the cable, the receiver's bytes and errors, and the
//! kernel's counters are held against its report.

mod bounds;
mod captures;
mod copies;
mod datagrams;
mod delay;
mod dropped;
mod ends;
mod jitter;
#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod lab;
mod lift;
mod loss;
mod loss_models;
mod loss_seed;
mod loss_when;
mod marks;
mod netem;
mod refusals;
mod rejects;
mod scene;
mod shape;
mod stalls;
mod support;
mod tamper;
mod tunnels;
