//! Verdicts from traces: hand-made ones for every rule, random ones for the whole.

mod causes;
mod rerouted;
mod table;
mod trace;
