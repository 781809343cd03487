//! Faults of the scenario -> rules: the model's numbers in the units of the packet programs.

use std::time::Duration;

use fault_common::fate;
use fault_common::rule::{
    Direction, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, NTH_LEN, P_ALWAYS, Rule,
    WHEN_ACK_ONLY, WHEN_ANY, WHEN_DATA, WHEN_RST, WHEN_SYN, WHEN_SYN_ACK,
};

use super::table_set::Tables;
use super::{RulePlan, What, tables};
use crate::scenario::model::{
    Corrupt, Delay, Fault, FaultSpec, Jitter, Loss, Rate, Replay, Scenario, Segment, Shape, Via,
};
use crate::scenario::written;

/// The rules of all steps, behind those that there are already, and the tables that they name.
pub fn compile(scenario: &Scenario, rules: &mut Vec<RulePlan>, tables: &mut Tables) {
    for (step, of) in scenario.steps.iter().enumerate() {
        for (entry, spec) in of.faults.iter().enumerate() {
            for direction in directions(spec) {
                let id = rules.len() as u32;
                let hook = spec.via(scenario.line.backend) == Some(Via::Hook);
                rules.push(RulePlan {
                    step,
                    entry,
                    flow: spec.flow.0,
                    direction: *direction,
                    what: what(id, spec, tables),
                    hook: hook.then(|| hook_rule(id, spec)).flatten(),
                    text: written(spec),
                    may_miss: spec.may_miss,
                });
            }
        }
    }
}

/// What is done to a connection is one rule; its direction says nothing.
fn directions(spec: &FaultSpec) -> &'static [Direction] {
    match spec.fault {
        Fault::Reset(_) | Fault::Abort => &[Direction::Egress],
        _ => spec.direction.each(),
    }
}

fn what(id: u32, spec: &FaultSpec, tables: &mut Tables) -> What {
    let model = match &spec.fault {
        Fault::Stall => return What::Stall,
        Fault::Reset(side) => return What::Reset(*side),
        Fault::Abort => return What::Abort,
        Fault::Drop(loss) => fate::Model::Loss(lost(loss)),
        Fault::Delay(delay) => fate::Model::Delay(delayed(delay, tables)),
        Fault::Rate(Rate { bits_per_s, queue }) => {
            fate::Model::Rate(fate::Rate { bits_per_s: *bits_per_s, queue: *queue })
        }
        Fault::Trace(trace) => fate::Model::Replay(replayed(&trace.replay, tables)),
        Fault::Corrupt(corrupt) => fate::Model::Corrupt(corrupted(corrupt)),
        Fault::Duplicate(d) => {
            fate::Model::Duplicate(fate::Duplicate { p: p32(d.p), copies: d.copies })
        }
        Fault::Reorder(r) => {
            fate::Model::Reorder(fate::Reorder { p: p32(r.p), gap: r.gap, delay: ns(r.delay) })
        }
        Fault::MarkCe(p) => fate::Model::MarkCe(p32(*p)),
        Fault::Reject(kind) => fate::Model::Reject(kind.number()),
        Fault::Limit(l) => fate::Model::Limit(fate::Limit { bytes: l.bytes, then: l.then }),
    };
    // The moment of arming is known when the step happens.
    let pulse = spec.pulse.map(|p| fate::Pulse { on: ns(p.on), off: ns(p.off), armed: 0 });
    What::Packets(fate::Fault { id, when: spec.when, pulse, model })
}

fn lost(loss: &Loss) -> fate::Loss {
    match loss {
        Loss::Random(p) => fate::Loss::Random(p32(*p)),
        Loss::Every(n) => fate::Loss::Every(*n),
        Loss::First(n) => fate::Loss::First(*n),
        Loss::Nth(list) => {
            let (numbers, len) = numbers(list);
            fate::Loss::Nth(numbers, len)
        }
        Loss::Burst { p, len } => fate::Loss::Burst(fate::Burst { p: p32(*p), len: *len }),
        Loss::GilbertElliott { p, r, good, bad } => {
            let [p, r, good, bad] = [*p, *r, *good, *bad].map(p32);
            fate::Loss::GilbertElliott(fate::GilbertElliott { p, r, good, bad })
        }
        Loss::Markov { p13, p31, p32: c, p23, p14 } => {
            let [p13, p31, c, p23, p14] = [*p13, *p31, *c, *p23, *p14].map(p32);
            fate::Loss::Markov(fate::Markov { p13, p31, p32: c, p23, p14 })
        }
    }
}

fn delayed(delay: &Delay, tables: &mut Tables) -> fate::Delay {
    let constant = fate::Delay {
        mean: ns(delay.mean),
        jitter: 0,
        distribution: fate::Distribution::Constant,
        correlation: 0,
        keep_order: delay.keep_order,
    };
    let Some(Jitter { spread, shape, correlation }) = &delay.jitter else { return constant };
    let distribution = match shape {
        Shape::Uniform => fate::Distribution::Uniform,
        Shape::Normal => tables.distribution(tables::normal()),
        Shape::Pareto => tables.distribution(tables::pareto()),
        Shape::ParetoNormal => tables.distribution(tables::paretonormal()),
        Shape::Table { values, .. } => tables.distribution(values.clone()),
    };
    fate::Delay { jitter: ns(*spread), distribution, correlation: p32(*correlation), ..constant }
}

fn replayed(replay: &Replay, tables: &mut Tables) -> fate::Replay {
    match replay {
        Replay::Mahimahi { deliveries, queue } => {
            fate::Replay::Deliveries { table: tables.delivery(deliveries), queue: *queue }
        }
        Replay::Csv { samples, period } => {
            fate::Replay::Samples { table: tables.sample(samples), period: ns(*period) }
        }
    }
}

fn corrupted(corrupt: &Corrupt) -> fate::Corrupt {
    fate::Corrupt {
        p: p32(corrupt.p),
        bits: corrupt.bits,
        valid: corrupt.valid,
        offset: corrupt.offset.unwrap_or((0, u32::MAX)),
        headers: corrupt.headers,
    }
}

/// The fault as the packet programs get it, if they know its kind.
fn hook_rule(id: u32, spec: &FaultSpec) -> Option<Rule> {
    let base = Rule { id, when: when(spec.when.segment)?, ..Rule::NONE };
    Some(match &spec.fault {
        Fault::Drop(Loss::Random(p)) => Rule { kind: LOSS_RANDOM, p32: p32(*p), ..base },
        Fault::Drop(Loss::Every(n)) => Rule { kind: LOSS_EVERY, arg: *n, ..base },
        Fault::Drop(Loss::First(n)) => Rule { kind: LOSS_FIRST, arg: *n, ..base },
        Fault::Drop(Loss::Nth(list)) => {
            let (nth, nth_len) = numbers(list);
            Rule { kind: LOSS_NTH, nth, nth_len, ..base }
        }
        _ => return None,
    })
}

/// The `WHEN_*` condition of a rule of the packet programs; `None`: they cannot tell.
pub fn when(segment: Option<Segment>) -> Option<u32> {
    Some(match segment {
        None => WHEN_ANY,
        Some(Segment::Syn) => WHEN_SYN,
        Some(Segment::SynAck) => WHEN_SYN_ACK,
        Some(Segment::Data) => WHEN_DATA,
        Some(Segment::AckOnly) => WHEN_ACK_ONLY,
        Some(Segment::Rst) => WHEN_RST,
        Some(Segment::Fin) => return None,
    })
}

fn numbers(list: &[u64]) -> ([u64; NTH_LEN], u32) {
    let mut numbers = [0; NTH_LEN];
    for (slot, n) in numbers.iter_mut().zip(list) {
        *slot = *n;
    }
    (numbers, list.len().min(NTH_LEN) as u32)
}

/// A probability in units of 2^-32; 1.0 becomes certainty, anything above 0 at least one unit.
fn p32(p: f64) -> u64 {
    if p <= 0.0 {
        return 0;
    }
    ((p * P_ALWAYS as f64).round() as u64).clamp(1, P_ALWAYS)
}

/// Durations of a scenario end at 24 h, far within 64 bits.
fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
