//! What holds between the triggers of all steps: no circle, nothing at or after the end.

use std::time::Duration;

use super::Context;
use crate::scenario::diagnostic::Problem;
use crate::scenario::model::{StepId, Trigger};
use crate::scenario::tree::{Node, Place};
use crate::scenario::units::format_duration;

/// Reports circles of `after` and steps that `duration` cuts off. A trigger that could not be
/// read is `None`.
pub fn check(cx: &mut Context<'_>, nodes: &[Node], triggers: &[Option<Trigger>]) {
    let mut reported = vec![false; triggers.len()];
    for index in 0..triggers.len() {
        match resolve(triggers, index) {
            Resolved::At(time) => too_late(cx, nodes, index, time),
            Resolved::Circle(members) if !reported[index] => {
                members.iter().for_each(|&member| reported[member] = true);
                circle(cx, nodes, &members);
            }
            Resolved::Circle(_) | Resolved::Open => {}
        }
    }
}

enum Resolved {
    /// Known in advance.
    At(Duration),
    /// It depends on what happens, or on a step that is wrong.
    Open,
    /// These steps wait for each other, the given one among them.
    Circle(Vec<usize>),
}

/// Follows `after = { step = .. }` from a step to where the chain begins.
fn resolve(triggers: &[Option<Trigger>], index: usize) -> Resolved {
    let (mut at, mut total, mut seen) = (index, Duration::ZERO, Vec::new());
    loop {
        seen.push(at);
        match &triggers[at] {
            Some(Trigger::At(time)) => return Resolved::At(total + *time),
            Some(Trigger::After { step: StepId(step), plus }) => {
                total += *plus;
                if *step == index {
                    return Resolved::Circle(seen);
                }
                if seen.contains(step) {
                    return Resolved::Open; // leads into a circle that others are in
                }
                at = *step;
            }
            _ => return Resolved::Open,
        }
    }
}

fn circle(cx: &mut Context<'_>, nodes: &[Node], members: &[usize]) {
    let names: Vec<&str> = members.iter().map(|&i| cx.steps.name(i)).collect();
    let message = match names.as_slice() {
        [one] => format!("the step `{one}` waits for itself"),
        all => format!("steps wait for each other: {} -> {}", all.join(" -> "), all[0]),
    };
    let help = "give one of them a beginning of its own, for example `at = \"10s\"`";
    let at = trigger_place(&nodes[members[0]]);
    cx.problems.push(Problem::new(at, message, help));
}

fn too_late(cx: &mut Context<'_>, nodes: &[Node], index: usize, time: Duration) {
    let Some(end) = cx.duration.filter(|end| time >= *end) else {
        return;
    };
    let message = format!(
        "the step `{}` would happen at {}, but the run ends at {}",
        cx.steps.name(index),
        format_duration(time),
        format_duration(end)
    );
    let help =
        format!("make `duration` longer than {}, or the step earlier", format_duration(time));
    cx.problems.push(Problem::new(trigger_place(&nodes[index]), message, help));
}

/// Where a step says when it happens.
fn trigger_place(node: &Node) -> Place {
    let table = node.as_table();
    let entry = table.and_then(|t| t.get("at").or_else(|| t.get("after")));
    entry.map_or(node.at, |e| e.node.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(step: usize, secs: u64) -> Option<Trigger> {
        Some(Trigger::After { step: StepId(step), plus: Duration::from_secs(secs) })
    }

    #[test]
    fn chains_add_up() {
        let triggers = [Some(Trigger::At(Duration::from_secs(10))), after(0, 5), after(1, 1)];
        let Resolved::At(time) = resolve(&triggers, 2) else { panic!() };
        assert_eq!(time, Duration::from_secs(16));
    }

    #[test]
    fn a_circle_is_found_from_each_member_and_only_from_members() {
        let triggers = [after(1, 0), after(2, 0), after(1, 0), None, after(3, 1)];
        assert!(matches!(resolve(&triggers, 0), Resolved::Open));
        assert!(matches!(resolve(&triggers, 1), Resolved::Circle(m) if m == [1, 2]));
        assert!(matches!(resolve(&triggers, 4), Resolved::Open));
        assert!(matches!(resolve(&[after(0, 0)], 0), Resolved::Circle(m) if m == [0]));
    }
}
