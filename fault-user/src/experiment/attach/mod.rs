//! Apps that run already: which processes they are, which of their open sockets is which flow, and how the kernel
//! side comes to know both.
//!
//! ```text
//! targets (/proc, pidfd, cgroups) ─► hooks on their cgroups ─► open (a look at all sockets)
//!                                          └► what opens later         └► choose (pure) ─► taken in
//! ```
//!
//! The hooks come before the look, so that no socket opens between the two unseen.

mod children;
mod choose;
mod error;
mod open;
mod owners;
mod reach;
mod targets;

pub use children::add_descendants;
pub use choose::{Candidate, Known, choose, list, matches};
pub use error::AttachError;
pub use open::{candidates, looks, take_in};
pub use owners::Owners;
pub use reach::Reach;
pub use targets::{Target, cgroups_called, covering};

use super::RunError;
