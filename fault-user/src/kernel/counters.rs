//! Exact counters, summed over the CPUs.

use aya::Pod;
use aya::maps::{MapData, PerCpuArray};
use fault_common::rule::Direction;
use fault_common::stats::{GLOBALS, Global, RuleCounters, SlotCounters};

use super::Kernel;
use super::error::KernelError;

/// The run's totals, indexed by [`Global`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals([u64; GLOBALS as usize]);

impl Totals {
    /// One of them.
    pub fn get(&self, what: Global) -> u64 {
        self.0[what as usize]
    }
}

impl Kernel {
    fn per_cpu<V: Pod>(&self, name: &'static str) -> Result<PerCpuArray<&MapData, V>, KernelError> {
        let map =
            self.ebpf.map(name).ok_or(KernelError::Object { what: "without one of its maps" })?;
        PerCpuArray::try_from(map).map_err(KernelError::map(format!("use the map {name}")))
    }

    /// Counters of a socket's slot in one direction; zero for a slot that does not exist.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn slot(&self, slot: u32, dir: Direction) -> Result<SlotCounters, KernelError> {
        let mut sum = SlotCounters::default();
        if slot >= self.slots {
            return Ok(sum);
        }
        let map = self.per_cpu::<SlotCounters>("SLOTS")?;
        let cpus = map
            .get(&(slot * 2 + dir as u32), 0)
            .map_err(KernelError::map("read the counters of a socket"))?;
        cpus.iter().for_each(|c| sum.add(c));
        Ok(sum)
    }

    /// Counters of a rule; zero for one that does not exist.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn rule(&self, rule: u32) -> Result<RuleCounters, KernelError> {
        let mut sum = RuleCounters::default();
        if rule >= self.rules {
            return Ok(sum);
        }
        let map = self.per_cpu::<RuleCounters>("RULES")?;
        let cpus = map.get(&rule, 0).map_err(KernelError::map("read the counters of a rule"))?;
        for c in cpus.iter() {
            sum.matched += c.matched;
            sum.acted += c.acted;
            sum.whole += c.whole;
        }
        Ok(sum)
    }

    /// The run's totals.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn totals(&self) -> Result<Totals, KernelError> {
        let map = self.per_cpu::<u64>("TOTALS")?;
        let mut totals = Totals::default();
        for (i, sum) in (0..).zip(&mut totals.0) {
            let cpus = map.get(&i, 0).map_err(KernelError::map("read the totals"))?;
            *sum = cpus.iter().sum();
        }
        Ok(totals)
    }
}
