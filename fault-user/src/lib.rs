//! flowfault's library.

pub mod correlate;
pub mod ledger;
pub mod outcome;
pub mod report {
    //! The run's results.
    pub mod model;
}
pub mod scenario {
    //! The scenario file.
    pub mod model;
}
pub mod verdict;
