//! The kernel's exact counters at the end of a run, in the forms that audit and report need.

use std::collections::BTreeMap;

use fault_common::rule::Direction;
use fault_common::stats::{self, Global};

use super::state::State;
use crate::correlate::Gap;
use crate::correlate::names::Names;
use crate::kernel::{Kernel, KernelError};
use crate::ledger::audit::{self, RuleCounters, SlotCounters};
use crate::ledger::flow::FlowRecord;
use crate::line::tally::SocketTally;
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
    pub processes_full: u64,
    /// Packets that went past the delay line, for it was gone.
    pub line_gone: u64,
    /// Packets whose window a stall could not rewrite.
    pub unstalled: u64,
    /// Packets that the line lost for want of room.
    pub overflowed: u64,
    /// Packets that could not be marked, for they were not ECN capable.
    pub unmarkable: u64,
    pub whole: Vec<(String, u64)>,
    pub gaps: Vec<Gap>,
    /// By slot, of sockets that lost events.
    pub lost: BTreeMap<u32, Lost>,
}

/// Events of a socket that found no room: how many, the first and the last (ns).
#[derive(Clone, Copy)]
pub struct Lost {
    pub events: u64,
    pub first: u64,
    pub last: u64,
}

/// One rule, whoever carried it out.
#[derive(Clone, Copy, Default)]
struct Rule {
    matched: u64,
    acted: u64,
    ended: u64,
    whole: u64,
}

impl Counted {
    /// Reads them all.
    pub fn read(
        kernel: &Kernel,
        plan: &Plan,
        flows: &[FlowRecord],
        names: &Names,
        state: &State<'_>,
    ) -> Result<Self, KernelError> {
        let totals = kernel.totals()?;
        let tally = state.tally.as_ref();
        let mut counted = Self {
            recorded: totals.get(Global::EventsRecorded) + tally.map_or(0, |t| t.events),
            lease_expired: totals.get(Global::LeaseExpired),
            sockets_full: totals.get(Global::SocketsFull),
            processes_full: totals.get(Global::ProcessesFull),
            line_gone: totals.get(Global::LineGone),
            unstalled: totals.get(Global::Unstalled),
            ..Self::default()
        };
        counted.audit.lost = totals.get(Global::EventsLost);
        counted.audit.unparsed = totals.get(Global::Unparsed);
        for flow in flows {
            counted.slot(kernel, flow, state)?;
        }
        let ids = 0..plan.rules.len() as u32;
        let rules = ids.map(|id| rule(kernel, plan, id, state)).collect::<Result<Vec<_>, _>>()?;
        counted.rules(plan, &rules, names);
        Ok(counted)
    }

    fn rules(&mut self, plan: &Plan, rules: &[Rule], names: &Names) {
        for (id, (planned, c)) in (0u32..).zip(plan.rules.iter().zip(rules)) {
            let name = names.rule(id);
            if c.whole > 0 {
                self.whole.push((name.clone(), c.whole));
            }
            // One entry of `faults` is one fault: a dead way out leaves nothing for the way in.
            let met = plan.rules.iter().zip(rules).any(|(other, c)| {
                (other.step, other.entry) == (planned.step, planned.entry) && c.matched > 0
            });
            self.audit.rules.push(RuleCounters {
                name,
                matched: c.matched,
                acted: c.acted,
                ended: c.ended,
                may_miss: planned.may_miss || met,
            });
        }
    }

    fn slot(
        &mut self,
        kernel: &Kernel,
        flow: &FlowRecord,
        state: &State<'_>,
    ) -> Result<(), KernelError> {
        let mut both = [Counters::default(); 2];
        for (direction, sum) in Direction::BOTH.into_iter().zip(&mut both) {
            let c = kernel.slot(flow.slot, direction)?;
            let line = state.tally.as_ref().and_then(|t| t.sockets.get(&(flow.slot, direction)));
            let line = line.copied().unwrap_or_default();
            let resets = state.actions.resets.get(&flow.slot).copied().unwrap_or_default();
            *sum = together(&c, &line, resets[direction as usize]);
            let overflowed = c.overflowed + line.overflowed;
            self.overflowed += overflowed;
            self.unmarkable += line.unmarkable;
            self.audit.slots.push(SlotCounters {
                slot: flow.slot,
                direction,
                packets: c.packets,
                // What the line has lost itself has events, too.
                dropped: c.dropped + line.dropped + overflowed,
            });
            if c.lost_events > 0 {
                let cookie = Some(flow.cookie);
                self.gaps.push(Gap { cookie, from: c.lost_first, to: c.lost_last });
                let none = Lost { events: 0, first: u64::MAX, last: 0 };
                let lost = self.lost.entry(flow.slot).or_insert(none);
                lost.events += c.lost_events;
                lost.first = lost.first.min(c.lost_first);
                lost.last = lost.last.max(c.lost_last);
            }
        }
        self.slots.insert(flow.slot, both);
        Ok(())
    }
}

/// What programs, line and resets have done to one direction of a socket.
pub fn together(c: &stats::SlotCounters, line: &SocketTally, reset: u64) -> Counters {
    Counters {
        packets: c.packets,
        bytes: c.bytes,
        dropped: c.dropped + line.dropped,
        delayed: c.delayed + line.delayed,
        corrupted: line.corrupted,
        duplicated: line.duplicated,
        reordered: line.reordered,
        reset,
    }
}

fn rule(kernel: &Kernel, plan: &Plan, id: u32, state: &State<'_>) -> Result<Rule, KernelError> {
    let c = kernel.rule(id)?;
    // What the programs act on they end, but for a stall.
    let ends = plan.rules[id as usize].hook.is_some();
    let mut rule = Rule {
        matched: c.matched,
        acted: c.acted,
        ended: if ends { c.acted } else { 0 },
        whole: c.whole,
    };
    if let Some(t) = state.tally.as_ref().and_then(|t| t.rules.get(&id)) {
        rule.matched += t.matched;
        rule.acted += t.acted;
        rule.ended += t.ended;
    }
    let acted = state.actions.acted.get(&id).copied().unwrap_or(0);
    rule.matched += acted;
    rule.acted += acted;
    Ok(rule)
}
