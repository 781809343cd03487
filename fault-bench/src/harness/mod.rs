//! Where and how samples are taken, and how they are shown.

pub mod flood;
pub mod lab;
pub mod machine;
pub mod netem;
pub mod netns;
pub mod sample;
pub mod scenario;
pub mod stats;
pub mod table;
