//! Rules become the live ones, in the packet programs and in the line.

use std::collections::BTreeMap;

use super::line::Running;
use crate::clock;
use crate::kernel::{Kernel, KernelError};
use crate::ledger::lines::{Armed, ArmedChain};
use crate::line::LineError;
use crate::plan::{Plan, PlanError, RuleId, Stack, Via};

/// Why rules are not live; those before them still are.
#[derive(Debug, thiserror::Error)]
pub enum LayError {
    /// More than a chain holds.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel refuses them.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The line does.
    #[error(transparent)]
    Line(#[from] LineError),
}

/// The line knows its part before the programs send it packets under the new rules, and lets go
/// of what the old ones held once they do. What the hook has then, for the record.
///
/// # Errors
/// See [`LayError`].
pub fn lay(
    plan: &Plan,
    kernel: &mut Kernel,
    line: Option<&Running>,
    rules: &[RuleId],
) -> Result<Armed, LayError> {
    let stacks = plan.chains(rules)?;
    let armed = clock::monotonic_ns();
    let bank = kernel.next_bank();
    if let Some(running) = line {
        let lines = stacks.iter().filter(|(_, s)| s.via == Via::Line);
        let lines = lines.map(|(key, s)| (*key, s.line_armed(armed))).collect();
        running.line.stage(bank, lines)?;
    }
    let chain = |s: &Stack| match line {
        Some(running) if s.via == Via::Line => running.line.chain(s.hook, &s.line),
        _ => Ok(s.hook),
    };
    let chains =
        stacks.iter().map(|(key, s)| Ok((*key, chain(s)?))).collect::<Result<_, LineError>>();
    let chains: BTreeMap<_, _> = chains?;
    let epoch = kernel.arm(&chains)?;
    let ts = clock::monotonic_ns();
    if let Some(running) = line {
        running.line.live(bank)?;
    }
    let chains = chains.iter().map(|((flow, direction), c)| ArmedChain::of(*flow, *direction, c));
    Ok(Armed { ts, epoch, chains: chains.collect() })
}
