//! flowfault on programs that nobody here wrote: redis-cli, psql, curl and Python's websockets, against their own
//! servers. Each runs before flowfault does; two connections lead to one port, one of them goes dark, and the other is
//! as if nothing had been. What is so, packet sockets at both ends of the cable say, and the programs themselves.
//!
//! Needs root, and the programs: `cargo xtask test` installs what is missing.

#[path = "../root_attach/cgroup.rs"]
mod cgroup;
mod curl;
mod postgres;
mod redis;
mod scene;
#[path = "../root_run/support/mod.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
mod support;
mod websockets;
mod wire;
