//! Frame operations of the delay line against etherparse, which builds the packets and reads the
//! results, and against a network card that segments and completes checksums.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod answers;
mod arbitrary;
mod big;
mod card;
mod corruption;
mod cutting;
mod edits;
mod refusals;
mod spec;
mod strategy;
mod wire;
