//! Expectations about flows: when their sockets closed, and what was done to their packets.

use std::time::Duration;

use super::{Facts, Finding, ms, wanted};
use crate::report::model::{Counters, FlowReport};
use crate::report::words;
use crate::scenario::model::{Bounds, Counter, DirectionSpec, FlowId, StepId};

fn sockets<'a>(facts: &Facts<'a>, flow: FlowId) -> Result<Vec<&'a FlowReport>, Finding> {
    let name = &facts.flow_names[flow.0];
    let found: Vec<&FlowReport> =
        facts.flows.iter().filter(|f| f.selected && f.name == *name).collect();
    if found.is_empty() {
        return Err(Finding::no_evidence(format!("flow {name:?} never appeared")));
    }
    Ok(found)
}

/// Every socket of the flow closes no later than `within` after the step took effect.
///
/// When a flow passes from socket to socket, a socket that had handed over before the step and
/// one that took over after it are not what the step was about.
pub(super) fn closed(
    facts: &Facts<'_>,
    flow: FlowId,
    within: Duration,
    of_step: StepId,
) -> Finding {
    let judged = facts.armed(of_step).and_then(|armed| Ok((armed, sockets(facts, flow)?)));
    let ((step, armed_ms), sockets) = match judged {
        Ok(all) => all,
        Err(finding) => return finding,
    };
    let mut held = true;
    let mut notes = Vec::new();
    for socket in concerned(&sockets, armed_ms) {
        let (ok, note) = closed_in_time(socket, step, armed_ms, ms(within));
        held &= ok;
        notes.push(if sockets.len() > 1 { format!("{}: {note}", socket.local) } else { note });
    }
    Finding::new(held, notes.join("; "))
}

/// The sockets that the step met, or would have had to meet. Never empty.
fn concerned<'a>(sockets: &[&'a FlowReport], armed_ms: f64) -> Vec<&'a FlowReport> {
    let opened = |s: &FlowReport| s.opened_ms.unwrap_or(f64::NEG_INFINITY);
    let closed = |s: &FlowReport| s.closed_ms.unwrap_or(f64::INFINITY);
    let handed_over = |s: &FlowReport| {
        closed(s) < armed_ms
            && sockets.iter().any(|next| next.cookie != s.cookie && opened(next) >= closed(s))
    };
    let took_over = |s: &FlowReport| {
        let from = |before: &&FlowReport| closed(before) >= armed_ms && closed(before) <= opened(s);
        opened(s) > armed_ms
            && sockets.iter().copied().any(|before| before.cookie != s.cookie && from(&before))
    };
    let met: Vec<&FlowReport> =
        sockets.iter().copied().filter(|s| !handed_over(s) && !took_over(s)).collect();
    // Sockets that opened and closed in one instant can each seem to follow the other.
    if met.is_empty() { sockets.to_vec() } else { met }
}

fn closed_in_time(
    socket: &FlowReport,
    step: &str,
    armed_ms: f64,
    within_ms: f64,
) -> (bool, String) {
    let Some(closed_ms) = socket.closed_ms else {
        return (
            false,
            format!(
                "still open at the end of the run (expected within {})",
                words::time(within_ms)
            ),
        );
    };
    let after = closed_ms - armed_ms;
    let at = words::time(closed_ms);
    if after < 0.0 {
        return (
            false,
            format!(
                "closed at {at}, {} before step {step:?}: that was not its doing",
                words::time(-after)
            ),
        );
    }
    let held = after <= within_ms;
    let limit =
        if held { String::new() } else { format!(" (expected within {})", words::time(within_ms)) };
    (held, format!("closed at {at}, {} after step {step:?}{limit}", words::time(after)))
}

/// A counter, summed over the flow's sockets and the directions asked for.
pub(super) fn counter(
    facts: &Facts<'_>,
    flow: FlowId,
    counter: Counter,
    direction: DirectionSpec,
    bounds: Bounds,
) -> Finding {
    let sockets = match sockets(facts, flow) {
        Ok(found) => found,
        Err(finding) => return finding,
    };
    let sum: u64 = sockets.iter().map(|socket| read(socket, counter, direction)).sum();
    let held = bounds.holds(sum as f64);
    let mut observed = sum.to_string();
    if sockets.len() > 1 {
        let parts: Vec<String> =
            sockets.iter().map(|s| read(s, counter, direction).to_string()).collect();
        observed += &format!(" over {} sockets ({})", sockets.len(), parts.join(" + "));
    }
    if !held {
        observed += &format!(" {}", wanted(bounds));
    }
    Finding::new(held, observed)
}

fn read(socket: &FlowReport, counter: Counter, direction: DirectionSpec) -> u64 {
    let pick: fn(&Counters) -> u64 = match counter {
        // TCP counts them for the socket, which only ever retransmits what it sends.
        Counter::Retransmits => return socket.retransmits,
        Counter::Packets => |c| c.packets,
        Counter::Bytes => |c| c.bytes,
        Counter::Dropped => |c| c.dropped,
        Counter::Delayed => |c| c.delayed,
        Counter::Corrupted => |c| c.corrupted,
        Counter::Duplicated => |c| c.duplicated,
        Counter::Reordered => |c| c.reordered,
        Counter::Reset => |c| c.reset,
    };
    match direction {
        DirectionSpec::Egress => pick(&socket.egress),
        DirectionSpec::Ingress => pick(&socket.ingress),
        DirectionSpec::Both => pick(&socket.egress) + pick(&socket.ingress),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
