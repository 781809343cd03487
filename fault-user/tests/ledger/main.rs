//! Verdicts from traces: hand-made ones for every rule, random ones for the whole.

mod audits;
mod causes;
mod matching;
mod rerouted;
mod simulation;
mod streams;
mod table;
mod trace;
