//! The sockets that exist already, whose they are, and how each is picked.
//!
//! ```text
//! diag (NETLINK_SOCK_DIAG, any namespace) ─ wire ─► Socket ─┐
//!                                                           ├─ inventory ─► Flow: nth, age, selector
//! processes (/proc) ─► who holds which inode ───────────────┘                  └► document (JSON)
//! ```
//!
//! `diag` alone speaks to the kernel's socket diagnosis, `processes` and `target` read /proc; all else is
//! pure. What is a guess is of another type than what is known ([`Place`], [`Opened::Unknown`]), and
//! what could not be seen is told ([`Inventory::missing`]).

pub mod age;
mod diag;
pub mod document;
mod error;
mod holders;
mod inventory;
mod opened;
mod order;
mod processes;
pub mod selector;
mod socket;
mod target;
mod tcp_info;
mod wire;

pub use error::SocketsError;
pub use holders::{Holder, Holders, Process};
pub use inventory::{Flow, Inventory, Request, look};
pub use opened::Opened;
pub use order::Place;
pub use processes::with_descendants;
pub use selector::Selector;
pub use socket::{Protocol, Socket, State};
pub use target::Target;
pub use tcp_info::TcpInfo;
