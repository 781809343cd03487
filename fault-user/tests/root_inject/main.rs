//! `flowfault inject` on programs that run already, in namespaces of the tests' own. Needs root:
//! `cargo xtask test --root`.

#[path = "../root_attach/daemon.rs"]
#[expect(dead_code, reason = "shared with root_attach, which needs more of it")]
mod daemon;
mod hits;
mod inject;
mod refusals;
mod stops;
#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod support;
