//! Verdicts from traces: hand-made ones for every rule, random ones for the whole.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]

mod audits;
mod causes;
mod concurrent;
mod gaps;
mod long;
mod matching;
mod rerouted;
mod results;
mod simulation;
mod streams;
mod table;
mod thinned;
mod trace;
