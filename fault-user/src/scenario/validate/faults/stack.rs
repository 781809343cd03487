//! What holds between the faults that one step arms.

use fault_common::rule::{CHAIN_LEN, Direction};

use super::Context;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{Backend, Fault, FaultSpec, FlowId};
use crate::scenario::reader::{Item, wrong_value};

/// A fault, the value of its key and the key.
pub type Placed<'t> = (FaultSpec, Item<'t>);

/// Reports what does not fit together; `item` is the list. Returns whether all does.
pub fn check(cx: &mut Context<'_>, item: Item<'_>, faults: &[Placed<'_>]) -> bool {
    let before = cx.problems.len();
    chains_fit(cx, item, faults);
    for (index, placed) in faults.iter().enumerate() {
        reached(cx, placed, faults, index);
    }
    cx.problems.len() == before
}

/// The kernel's tables hold so many faults per flow and direction.
fn chains_fit(cx: &mut Context<'_>, item: Item<'_>, faults: &[Placed<'_>]) {
    let of_packets = || faults.iter().map(|(f, _)| f).filter(|f| f.via(Backend::Auto).is_some());
    let stacked = |flow: FlowId, direction: Direction| {
        of_packets().filter(|f| f.flow == flow && f.direction.each().contains(&direction)).count()
    };
    let crowded = of_packets().find(|fault| {
        fault.direction.each().iter().any(|&direction| stacked(fault.flow, direction) > CHAIN_LEN)
    });
    let Some(fault) = crowded else { return };
    let flow = cx.flows.name(fault.flow.0);
    let why = format!("the flow `{flow}` has more than {CHAIN_LEN} faults in one direction");
    let help = format!("at most {CHAIN_LEN} faults of a flow stack in each direction");
    wrong_value(&mut cx.problems, item, &why, &help);
}

/// A fault behind one that lets nothing through meets no packet, and the run would fail for it.
/// A stall is no better before it: what says that the window is zero is lost.
fn reached(cx: &mut Context<'_>, placed: &Placed<'_>, faults: &[Placed<'_>], index: usize) {
    let (fault, item) = placed;
    if fault.may_miss || fault.via(Backend::Auto).is_none() {
        return;
    }
    let stall = matches!(fault.fault, Fault::Stall);
    let hides = |(i, (other, _)): &(usize, &Placed<'_>)| {
        let covers = |d: &Direction| other.direction.each().contains(d);
        (*i < index || stall && *i != index)
            && other.is_blackhole()
            && other.flow == fault.flow
            && fault.direction.each().iter().all(covers)
    };
    let Some((_, (_, by))) = faults.iter().enumerate().find(hides) else { return };
    let message = format!("`{}` meets no packet: `{}` lets none through", item.key, by.key);
    let help = match stall {
        true => "a stalled peer is alive and acknowledges: leave one of the two out",
        false => {
            "faults of a flow stack, and each sees what the one before it lets through: put it \
             first, or leave it out (`may_miss = true` if that is meant)"
        }
    };
    cx.problems.push(Problem::new(item.at(), message, help).also(by.at(), "here they end"));
}
