//! What flowfault sends and destroys itself, against real sockets in network namespaces of the
//! tests' own. Needs root: `cargo xtask test --root`.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod armed;
mod destroy;
mod reject;
mod reset;
mod support;
