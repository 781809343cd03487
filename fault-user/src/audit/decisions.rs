//! Decisions of the hook, made again with the function that the kernel ran.

use std::collections::BTreeMap;

use fault_common::decide::{self, Facts, Fate, UNPLACED};
use fault_common::rule::{Chain, Direction};

use super::{Audit, Finding};
use crate::correlate::names::Names;
use crate::ledger::entry::{Entry, Judged, Packet, What};
use crate::ledger::lines::Armed;

/// More of them would say nothing new.
const LISTED: usize = 20;

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// What the hook had decided, event by event.
pub struct Decisions<'a> {
    chains: BTreeMap<(u64, u32, Direction), Chain>,
    seed: u64,
    names: &'a Names,
    events: u64,
    made: u64,
    undecided: u64,
    wrong: Vec<Finding>,
}

impl<'a> Decisions<'a> {
    /// By all rules that the hook ever had.
    pub fn new(armed: &[Armed], seed: u64, names: &'a Names) -> Self {
        let mut chains = BTreeMap::new();
        for armed in armed {
            for chain in &armed.chains {
                if let Some(kernels) = chain.to_chain() {
                    chains.insert((armed.epoch, chain.flow, chain.direction), kernels);
                }
            }
        }
        Self { chains, seed, names, events: 0, made: 0, undecided: 0, wrong: Vec::new() }
    }

    /// Looks at an event.
    pub fn note(&mut self, entry: &Entry) {
        self.events += 1;
        let (packet, direction) = match &entry.what {
            What::Tx(packet) => (packet, Direction::Egress),
            What::Rx(packet) => (packet, Direction::Ingress),
            _ => return,
        };
        let Some((judged, flow)) = packet.judged.zip(entry.flow) else { return };
        let Some(chain) = self.chains.get(&(u64::from(judged.epoch), flow, direction)) else {
            let Judged { epoch, .. } = judged;
            return self.tell(Finding::Epoch { cookie: entry.cookie, ts: entry.ts, epoch });
        };
        match again(self.seed, entry, packet, &judged, flow, chain) {
            None => self.undecided += 1,
            Some(fate) => {
                self.made += 1;
                let wrong = differs(self.names, entry, packet, &judged, chain, fate);
                wrong.into_iter().for_each(|finding| self.tell(finding));
            }
        }
    }

    /// How many events it was shown.
    pub fn events(&self) -> u64 {
        self.events
    }

    fn tell(&mut self, finding: Finding) {
        if self.wrong.len() < LISTED {
            self.wrong.push(finding);
        }
    }

    pub(super) fn finish(self, audit: &mut Audit) {
        audit.decisions = self.made;
        audit.undecided = self.undecided;
        audit.findings.extend(self.wrong);
    }
}

/// The decision, if the record has all that it was made from: one draw, or one count.
fn again(
    seed: u64,
    entry: &Entry,
    packet: &Packet,
    judged: &Judged,
    flow: u32,
    chain: &Chain,
) -> Option<Fate> {
    let rules = &chain.rules[..chain.len as usize];
    let counting = rules.iter().filter(|r| decide::needs_ordinal(r.kind)).count();
    if counting > 1 || (counting == 1 && chain.chance != 0) {
        return None;
    }
    let tcp = entry.proto == TCP;
    let placed = tcp && packet.len > 0;
    let facts = Facts {
        seed,
        flow,
        nth: judged.nth,
        pos: u64::from(judged.pos) | if placed { 0 } else { UNPLACED },
        attempt: judged.draw,
        segs: packet.segs.into(),
        classes: decide::classes(tcp, packet.flags, packet.len > 0),
    };
    Some(decide::decide(chain, &facts, |_, _| u64::from(judged.draw)))
}

fn differs(
    names: &Names,
    entry: &Entry,
    packet: &Packet,
    judged: &Judged,
    chain: &Chain,
    fate: Fate,
) -> Option<Finding> {
    let should = match fate {
        Fate::Pass => None,
        Fate::Drop(i) => chain.rules.get(i as usize).map(|r| r.id),
    };
    // What was lost by no rule found no room in the line.
    let was = packet.rule.filter(|_| packet.dropped);
    let word = |rule: Option<u32>| match rule {
        None => "let through".to_owned(),
        Some(rule) => format!("lost by `{}`", names.rule(rule)),
    };
    (was != should).then(|| Finding::Decision {
        cookie: entry.cookie,
        ts: entry.ts,
        epoch: judged.epoch,
        was: word(was),
        should: word(should),
    })
}
