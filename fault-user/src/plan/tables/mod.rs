//! Tables that faults refer to: distributions of delay, built in or from a file, and recorded
//! links. `fault_common::fate::Tables` lends them to the decision; what the files hold is
//! described in docs/models.md.

mod delivery;
mod distribution;
mod error;
mod sample;
#[cfg(test)]
mod tests;

pub use delivery::parse_mahimahi;
pub use distribution::{normal, pareto, paretonormal, parse_dist};
pub use error::{Flaw, TableError};
pub use sample::parse_csv;
