//! Guards on the streams of this very test program, in namespaces of its own. Needs root: `cargo xtask test --root`.

mod datagrams;
#[path = "../../examples/guarded_client.rs"]
#[expect(dead_code, reason = "its main is for those who run the example")]
mod example;
mod faults;
mod lifetime;
mod many;
mod scene;
#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod support;
mod tokio_client;
