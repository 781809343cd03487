//! What a run tells in the end: report.json, and everything that is rendered from it.
//!
//! [`model`] is the report itself; [`text`], [`json`], [`junit`] and [`html`] each render it;
//! [`write`](mod@write) puts the files into a directory and reads them back. `view` derives what several
//! formats need, [`words`] puts numbers and names into words.

pub mod html;
pub mod jepsen;
pub mod json;
pub mod junit;
pub mod kept;
pub mod model;
#[cfg(test)]
pub(crate) mod sample;
pub mod text;
mod view;
pub mod words;
pub mod write;

pub use write::{OutDir, load, load_whole};
