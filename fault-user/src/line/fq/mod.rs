//! The delay line in the kernel: the packet programs decide, the qdisc fq on a veth pair waits.
//!
//! | file | responsibility |
//! |---|---|
//! | `carries` | which faults it can carry, and as what rules of the packet programs |
//! | `pair` | the veth pair, tied to the life of this process |
//! | `netlink` | the messages that make it |
//! | `steady` | keeps packets in order between the CPUs |

mod carries;
mod netlink;
mod pair;
mod steady;

use std::thread;
use std::time::{Duration, Instant};

use fault_common::fate::Fault;
use fault_common::line::wait;
use fault_common::rule::Chain;

use super::tally::{Counts, Tally};
use super::{Backend, LineError, Stacks};
use crate::clock;
use crate::kernel::Waits;
use crate::plan::Tables;

pub use carries::carries;
pub use pair::Pair;

/// How often it is asked whether something is still held.
const ASK: Duration = Duration::from_millis(2);

/// The line, as the controller has it.
#[derive(Debug)]
#[must_use = "dropping it ends the line"]
pub struct Fq {
    pair: Pair,
    waits: Waits,
}

impl Fq {
    /// The line on a pair to which the programs are attached.
    pub fn new(pair: Pair, waits: Waits) -> Self {
        Self { pair, waits }
    }
}

impl Backend for Fq {
    fn name(&self) -> &'static str {
        "fq"
    }

    fn ifindex(&self) -> u32 {
        self.pair.ifindex()
    }

    fn chain(&self, hook: Chain, faults: &[Fault]) -> Result<Chain, LineError> {
        carries::chain(hook, faults)
    }

    /// The programs have it all.
    fn stage(&self, _bank: usize, _stacks: Stacks) -> Result<(), LineError> {
        Ok(())
    }

    fn live(&self, _bank: usize) -> Result<(), LineError> {
        Ok(())
    }

    /// It knows constant delays only.
    fn tables(&self, _tables: Tables) -> Result<(), LineError> {
        Ok(())
    }

    /// The programs count it all.
    fn counts(&self) -> Result<Counts, LineError> {
        Ok(Counts::default())
    }

    /// The kernel does not get stuck.
    fn last_beat(&self) -> u64 {
        clock::monotonic_ns()
    }

    fn drain(&self, within: Duration) {
        let deadline = Instant::now() + within;
        while self.waits.get(wait::WAITING) > 0 && Instant::now() < deadline {
            thread::sleep(ASK);
        }
    }

    fn finish(self: Box<Self>) -> Result<Tally, LineError> {
        let mut tally = Tally::new().map_err(|e| LineError::Stopped(e.to_string()))?;
        let latest = self.waits.get(wait::LATEST);
        for (late, n) in self.waits.lateness() {
            tally.lateness.saturating_record_n(late.clamp(1, latest.max(1)), n);
        }
        tally.most_held = self.waits.get(wait::MOST_HELD);
        tally.missed = self.waits.get(wait::LOST);
        tally.early = self.waits.get(wait::EARLY);
        tally.left = self.waits.get(wait::WAITING);
        Ok(tally)
    }
}
