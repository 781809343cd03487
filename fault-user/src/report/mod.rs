//! report
pub mod model;
pub mod words;
