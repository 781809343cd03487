//! Decisions of the hook, made again with the function that the kernel ran.

use std::collections::BTreeMap;

use fault_common::decide::{self, Facts, Fate, UNPLACED};
use fault_common::rule::{Chain, Direction};

use super::{Audit, Finding, Record};
use crate::ledger::entry::{Entry, Judged, Packet, What};

/// More of them would say nothing new.
const LISTED: usize = 20;

/// The IP protocol number of TCP.
const TCP: u8 = 6;

pub(super) fn check(record: &Record<'_>, audit: &mut Audit) {
    let mut chains = BTreeMap::new();
    for armed in record.armed {
        for chain in &armed.chains {
            if let Some(kernels) = chain.to_chain() {
                chains.insert((armed.epoch, chain.flow, chain.direction), kernels);
            }
        }
    }
    let mut wrong = Vec::new();
    for entry in record.entries {
        let (packet, direction) = match &entry.what {
            What::Tx(packet) => (packet, Direction::Egress),
            What::Rx(packet) => (packet, Direction::Ingress),
            _ => continue,
        };
        let Some((judged, flow)) = packet.judged.zip(entry.flow) else { continue };
        let Some(chain) = chains.get(&(u64::from(judged.epoch), flow, direction)) else {
            let Judged { epoch, .. } = judged;
            wrong.push(Finding::Epoch { cookie: entry.cookie, ts: entry.ts, epoch });
            continue;
        };
        match again(record.seed, entry, packet, &judged, flow, chain) {
            None => audit.undecided += 1,
            Some(fate) => {
                audit.decisions += 1;
                wrong.extend(differs(record, entry, packet, &judged, chain, fate));
            }
        }
    }
    audit.findings.extend(wrong.into_iter().take(LISTED));
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
    record: &Record<'_>,
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
        Some(rule) => format!("lost by `{}`", record.names.rule(rule)),
    };
    (was != should).then(|| Finding::Decision {
        cookie: entry.cookie,
        ts: entry.ts,
        epoch: judged.epoch,
        was: word(was),
        should: word(should),
    })
}
