//! What holds packets, as the controller has it.

use std::time::Duration;

use fault_common::fate::Fault;
use fault_common::rule::Chain;

use super::tally::{Counts, Tally};
use super::{LineError, Stacks};
use crate::plan::Tables;

/// A delay line. Dropping it takes it away; what it holds is lost.
pub trait Backend: Send {
    /// The word of report.json.
    fn name(&self) -> &'static str;

    /// Index of the device that packets are handed to.
    fn ifindex(&self) -> u32;

    /// The chain of the packet programs for a stack that needs the line. `hook`: what they do
    /// themselves, `faults`: what is left for the line.
    ///
    /// # Errors
    /// [`LineError::Unfit`]: this line cannot carry one of the faults.
    fn chain(&self, hook: Chain, faults: &[Fault]) -> Result<Chain, LineError>;

    /// Lays down the rules of the bank that is not live. Before the programs get theirs.
    ///
    /// # Errors
    /// The line has ended.
    fn stage(&self, bank: usize, stacks: Stacks) -> Result<(), LineError>;

    /// Says that this bank is live now.
    ///
    /// # Errors
    /// The line has ended.
    fn live(&self, bank: usize) -> Result<(), LineError>;

    /// Replaces the tables that faults name by index. Those that a live fault names must stay where they are.
    ///
    /// # Errors
    /// The line has ended.
    fn tables(&self, tables: Tables) -> Result<(), LineError>;

    /// What it has counted until now, beside what the packet programs count.
    ///
    /// # Errors
    /// The line has ended.
    fn counts(&self) -> Result<Counts, LineError>;

    /// When it was last seen at work: CLOCK_MONOTONIC, ns.
    fn last_beat(&self) -> u64;

    /// Waits until nothing is held any more, but not for longer. No rule is live.
    fn drain(&self, within: Duration);

    /// Lets go of what is held, and ends.
    ///
    /// # Errors
    /// The line had ended early, and why.
    fn finish(self: Box<Self>) -> Result<Tally, LineError>;
}
