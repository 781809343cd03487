//! The evidence: what the kernel saw, per socket and per byte of its stream.
//!
//! [`entry`] checks and types ring-buffer records, [`store`] keeps them (and writes and reads
//! `events.jsonl`, of which [`lines`] has what is no event), [`build`] turns them into one [`flow::FlowRecord`] per socket, on the byte
//! ranges of [`stream`]; [`audit`] asks whether all of it can be true at once. Nothing here
//! touches the kernel.

pub mod audit;
pub mod build;
pub mod datagrams;
pub mod entry;
pub mod flow;
pub(crate) mod growing;
pub mod heads;
mod interleaved;
mod law;
pub mod lines;
mod replay;
pub mod spool;
pub mod store;
pub mod stream;
