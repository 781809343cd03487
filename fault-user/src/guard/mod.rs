//! Faults on a stream that a test has in its hand: one TCP or UDP socket of this very process goes dark, slow or wrong,
//! for as long as a guard lives.
//!
//! ```no_run
//! # use std::{net::TcpStream, time::Duration};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use fault_user::guard::Fault;
//!
//! let stream = TcpStream::connect("127.0.0.1:7443")?;
//! let fault = Fault::on(&stream)?.egress().drop_all().arm()?;
//! // ... the client sends into nothing ...
//! fault.wait_hits(3, Duration::from_secs(5))?;
//! let counts = fault.lift()?;
//! assert_eq!(counts.egress.hit, counts.egress.stream.dropped);
//! # Ok(())
//! # }
//! ```
//!
//! What a fault is, and what it means to both ends, is as in a scenario (`docs/semantics.md`); `docs/library.md` has
//! more examples, and what a guard cannot do. The programs in the kernel are loaded once per process and network
//! namespace, by the first guard, which takes as long as the start of a run; they go with the last. [`load`] keeps them.
//!
//! It needs the privileges of a run. A test that may have to do without them begins with [`load_or_skip`].
//!
//! | file | responsibility |
//! |---|---|
//! | `builder`, `words` | what is to be done, as a scenario |
//! | `stream` | whose packets |
//! | `armed`, `counts` | the guard, and what it has counted |
//! | `loaded`, `skip` | the programs in the kernel, for as long as anybody needs them |
//! | `board`, `roster`, `connection`, `reset` | which guards are armed on which streams, and what is done to these |
//! | `watch` | the thread that renews the lease and sees new interfaces |

mod armed;
mod board;
mod builder;
mod connection;
mod counts;
mod error;
mod loaded;
mod reset;
mod roster;
mod skip;
mod stream;
mod watch;
mod words;

pub use armed::Guard;
pub use builder::Fault;
pub use counts::{Counts, Way};
pub use error::GuardError;
pub use loaded::{Loaded, load};
pub use skip::load_or_skip;
