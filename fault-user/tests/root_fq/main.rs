//! The delay line in the kernel: veth and fq. Needs root, and the qdisc fq (module sch_fq) for all
//! but the refusals: `cargo xtask vm-test --test root_fq` has kernels that have it. Without it each
//! test says that it was skipped, and why.

#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod lab;
mod life;
#[path = "../root_wire/support/qdiscs.rs"]
mod qdiscs;
mod refusals;
mod scene;
mod waits;
