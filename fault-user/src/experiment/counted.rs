//! The kernel's exact counters at the end of a run, in the forms that audit and report need.

use std::collections::BTreeMap;

use fault_common::rule::Direction;
use fault_common::stats::Global;

use crate::correlate::Gap;
use crate::correlate::names::Names;
use crate::kernel::{Kernel, KernelError};
use crate::ledger::audit::{self, RuleCounters, SlotCounters};
use crate::ledger::flow::FlowRecord;
use crate::plan::Plan;
use crate::report::model::Counters;

/// What the kernel has counted.
#[derive(Default)]
pub struct Counted {
    pub audit: audit::Counters,
    pub slots: BTreeMap<u32, [Counters; 2]>,
    pub recorded: u64,
    pub lease_expired: u64,
    pub sockets_full: u64,
    pub whole: Vec<(String, u64)>,
    pub gaps: Vec<Gap>,
}

impl Counted {
    /// Reads them all.
    pub fn read(
        kernel: &Kernel,
        plan: &Plan,
        flows: &[FlowRecord],
        names: &Names,
    ) -> Result<Self, KernelError> {
        let totals = kernel.totals()?;
        let mut counted = Self {
            recorded: totals.get(Global::EventsRecorded),
            lease_expired: totals.get(Global::LeaseExpired),
            sockets_full: totals.get(Global::SocketsFull),
            ..Self::default()
        };
        counted.audit.lost = totals.get(Global::EventsLost);
        for flow in flows {
            counted.slot(kernel, flow)?;
        }
        let rules = (0..plan.rules.len() as u32).map(|id| kernel.rule(id));
        let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
        for (id, (planned, c)) in (0u32..).zip(plan.rules.iter().zip(&rules)) {
            let name = names.rule(id);
            if c.whole > 0 {
                counted.whole.push((name.clone(), c.whole));
            }
            // One entry of `faults` is one fault: a dead way out leaves nothing for the way in.
            let met = plan.rules.iter().zip(&rules).any(|(other, c)| {
                (other.step, other.entry) == (planned.step, planned.entry) && c.matched > 0
            });
            let may_miss = planned.may_miss || met;
            counted.audit.rules.push(RuleCounters {
                name,
                matched: c.matched,
                acted: c.acted,
                may_miss,
            });
        }
        Ok(counted)
    }

    fn slot(&mut self, kernel: &Kernel, flow: &FlowRecord) -> Result<(), KernelError> {
        let mut both = [Counters::default(); 2];
        for (direction, sum) in Direction::BOTH.into_iter().zip(&mut both) {
            let c = kernel.slot(flow.slot, direction)?;
            *sum = Counters {
                packets: c.packets,
                bytes: c.bytes,
                dropped: c.dropped,
                ..Counters::default()
            };
            self.audit.slots.push(SlotCounters {
                slot: flow.slot,
                direction,
                packets: c.packets,
                dropped: c.dropped,
            });
            if c.lost_events > 0 {
                let cookie = Some(flow.cookie);
                self.gaps.push(Gap { cookie, from: c.lost_first, to: c.lost_last });
            }
        }
        self.slots.insert(flow.slot, both);
        Ok(())
    }
}
