//! Which consecutive send calls are a message of known size.

use crate::ledger::flow::SendCall;

/// Send calls that may carry a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Positions in the flow's list of send calls.
    pub sends: Vec<usize>,
    pub bytes: u64,
}

/// Framing and TLS add to a payload, but not without end.
pub(super) fn fits(bytes: u64, total: u64) -> bool {
    (bytes..=bytes + bytes / 10 + 512).contains(&total)
}

/// Whether two totals can be the same message in the framing of two connections.
pub(super) fn comparable(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= a.max(b) / 10 + 64
}

/// The earliest run among `candidates` that holds `bytes` and none of whose ends can be spared; one
/// that is not larger than framing explains goes before any that is.
pub(super) fn find(sends: &[SendCall], candidates: &[usize], bytes: u64) -> Option<Run> {
    let mut runs = minimal(sends, candidates, bytes);
    let best = runs.iter().position(|r| fits(bytes, r.bytes)).unwrap_or(0);
    (!runs.is_empty()).then(|| runs.swap_remove(best))
}

/// All runs among `candidates` that framing explains.
pub(super) fn all(sends: &[SendCall], candidates: &[usize], bytes: u64) -> Vec<Vec<usize>> {
    let runs = minimal(sends, candidates, bytes).into_iter();
    runs.filter(|r| fits(bytes, r.bytes)).map(|r| r.sends).collect()
}

/// Runs that hold `bytes` and none of whose ends can be spared, in order.
fn minimal(sends: &[SendCall], candidates: &[usize], bytes: u64) -> Vec<Run> {
    let bytes = bytes.max(1);
    let mut runs = Vec::new();
    for part in contiguous(sends, candidates) {
        let (mut from, mut total) = (0, 0);
        for (to, &s) in part.iter().enumerate() {
            total += sends[s].len();
            while total - sends[part[from]].len() >= bytes {
                total -= sends[part[from]].len();
                from += 1;
            }
            if total >= bytes {
                runs.push(Run { sends: part[from..=to].to_vec(), bytes: total });
                total -= sends[part[from]].len();
                from += 1;
            }
        }
    }
    runs
}

/// Of a send that a failed call cut off: what it had written. Empty if that was nothing.
pub(super) fn cut_off(sends: &[SendCall], candidates: &[usize]) -> Option<Run> {
    let last = candidates.iter().rposition(|&s| sends[s].error.is_some())?;
    let mut run = contiguous(sends, &candidates[..last]).pop().unwrap_or_default();
    let bytes = run.iter().map(|&s| sends[s].len()).sum();
    run.push(candidates[last]);
    Some(Run { sends: run, bytes })
}

/// Splits candidates where bytes of others lie between them. Calls that wrote nothing are left
/// out: EAGAIN in the middle of a message is no boundary.
pub(super) fn contiguous(sends: &[SendCall], candidates: &[usize]) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for &s in candidates.iter().filter(|&&s| !sends[s].is_empty()) {
        let joins = |part: &Vec<usize>| {
            part.last().is_some_and(|&p| {
                let (before, after) = (&sends[p], &sends[s]);
                // Of calls that share a range nobody knows what lies between them.
                before.range.end == after.range.start || before.range == after.range
            })
        };
        match parts.last_mut().filter(|p| joins(p)) {
            Some(part) => part.push(s),
            None => parts.push(vec![s]),
        }
    }
    parts
}
