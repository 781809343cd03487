//! Which send calls carried which message.

use std::collections::{BTreeMap, BTreeSet};

use super::runs::{self, Run};
use super::windows;
use crate::ledger::flow::FlowRecord;
use crate::outcome::AppMessage;

/// Send calls of one flow that a message claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Position in the list of the app's flows.
    pub flow: usize,
    /// Positions in that flow's list of send calls; at least one.
    pub sends: Vec<usize>,
    /// Whether the whole message was written.
    pub complete: bool,
}

/// What one message claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claimed {
    pub claims: Vec<Claim>,
    /// Other messages may have as good a claim.
    pub shared: bool,
    /// Sends in its time that are no part of it.
    pub foreign: usize,
}

/// What all messages of one app claim of all its flows; `messages` by the time they began.
pub(super) fn claim(flows: &[&FlowRecord], messages: &[&AppMessage]) -> Vec<Claimed> {
    let owners = windows::owners(flows, messages);
    let background = background(flows, &owners);
    let mut table = Table {
        flows,
        messages,
        owners,
        background,
        taken: BTreeSet::new(),
    };
    let mut out = vec![Claimed::default(); messages.len()];
    let mut sized: Vec<_> = (0..messages.len())
        .filter(|&m| messages[m].bytes.is_some())
        .collect();
    // Large ones first: they cannot be mistaken for small ones, but the other way round they can.
    sized.sort_by_key(|&m| std::cmp::Reverse(messages[m].bytes));
    let times = table.by_message();
    for m in sized {
        out[m] = table.sized(m, messages[m].bytes.unwrap_or(0), &times[m]);
    }
    table.unsized_ones(&mut out);
    table.stragglers(&mut out);
    for (m, claimed) in out.iter_mut().enumerate() {
        claimed.foreign = table.foreign(&times[m]);
    }
    out
}

/// Candidates of one message: positions of send calls per flow.
type Candidates = BTreeMap<usize, Vec<usize>>;

/// Who has what.
pub(super) struct Table<'a> {
    pub(super) flows: &'a [&'a FlowRecord],
    pub(super) messages: &'a [&'a AppMessage],
    owners: Vec<Vec<Vec<usize>>>,
    /// Per flow, sizes that it also sends when no message is under way (keepalives), and how often.
    pub(super) background: Vec<BTreeMap<u64, usize>>,
    /// (flow, send) that belong to a message already.
    taken: BTreeSet<(usize, usize)>,
}

impl Table<'_> {
    fn each_send(&self) -> impl Iterator<Item = (usize, usize, &[usize])> {
        self.owners.iter().enumerate().flat_map(|(f, list)| {
            list.iter()
                .enumerate()
                .map(move |(s, owners)| (f, s, owners.as_slice()))
        })
    }

    fn by_message(&self) -> Vec<Candidates> {
        let mut times = vec![Candidates::new(); self.messages.len()];
        for (f, s, owners) in self.each_send() {
            for &m in owners {
                times[m].entry(f).or_default().push(s);
            }
        }
        times
    }

    /// Whether nobody has that send yet; one that wrote nothing is nobody's.
    pub(super) fn is_free(&self, flow: usize, send: usize) -> bool {
        !self.taken.contains(&(flow, send)) && !self.flows[flow].sends[send].is_empty()
    }

    fn foreign(&self, candidates: &Candidates) -> usize {
        let free = |(&f, list): (&usize, &Vec<usize>)| {
            list.iter().filter(|&&s| self.is_free(f, s)).count()
        };
        candidates.iter().map(free).sum()
    }

    /// Gives sends away.
    pub(super) fn take(&mut self, flow: usize, sends: &[usize]) {
        self.taken.extend(sends.iter().map(|&s| (flow, s)));
    }

    fn sized(&mut self, m: usize, bytes: u64, candidates: &Candidates) -> Claimed {
        let mut whole: Vec<(usize, Run)> = Vec::new();
        let mut parts: Vec<(usize, Run)> = Vec::new();
        for (&f, list) in candidates {
            let free: Vec<_> = list
                .iter()
                .copied()
                .filter(|&s| !self.taken.contains(&(f, s)))
                .collect();
            let sends = &self.flows[f].sends;
            if let Some(run) = runs::find(sends, &free, bytes) {
                whole.push((f, run));
            } else if let Some(run) = runs::cut_off(sends, &free) {
                parts.push((f, run));
            }
        }
        // Another flow may carry something unrelated and larger at the same time.
        if let Some(least) = whole.iter().map(|(_, r)| r.bytes).min() {
            whole.retain(|(_, r)| runs::comparable(least, r.bytes));
            // Next to a flow that took it all, a full send buffer elsewhere says nothing.
            parts.retain(|(f, r)| r.bytes > 0 || self.hard_error(*f, &r.sends));
        }
        let mut claimed = Claimed::default();
        for (complete, list) in [(true, whole), (false, parts)] {
            for (flow, run) in list {
                claimed.shared |= run
                    .sends
                    .iter()
                    .any(|&s| self.contested(m, flow, s, run.bytes));
                self.take(flow, &run.sends);
                claimed.claims.push(Claim {
                    flow,
                    sends: run.sends,
                    complete,
                });
            }
        }
        claimed
    }

    fn hard_error(&self, flow: usize, sends: &[usize]) -> bool {
        let transient = [libc::EAGAIN, libc::EINTR];
        let error = |&s: &usize| self.flows[flow].sends[s].error;
        sends
            .iter()
            .filter_map(error)
            .any(|e| !transient.contains(&e))
    }

    /// Whether another message could have sent these bytes as well.
    fn contested(&self, m: usize, flow: usize, send: usize, total: u64) -> bool {
        self.owners[flow][send]
            .iter()
            .filter(|&&o| o != m)
            .any(|&o| {
                self.messages[o]
                    .bytes
                    .is_none_or(|bytes| runs::fits(bytes, total))
            })
    }

    fn unsized_ones(&mut self, out: &mut [Claimed]) {
        let mut lists = vec![Candidates::new(); self.messages.len()];
        let mut open: Vec<(usize, Vec<usize>, Vec<usize>)> = Vec::new();
        for (f, s, owners) in self.each_send() {
            let whose: Vec<_> = owners
                .iter()
                .copied()
                .filter(|&m| self.messages[m].bytes.is_none())
                .collect();
            match whose[..] {
                _ if self.taken.contains(&(f, s)) => {}
                [] => {}
                [m] => lists[m].entry(f).or_default().push(s),
                _ => match open.last_mut().filter(|(of, o, _)| *of == f && *o == whose) {
                    Some((_, _, sends)) => sends.push(s),
                    None => open.push((f, whose, vec![s])),
                },
            }
        }
        self.share_out(open, &mut lists, out);
        for (m, list) in lists.into_iter().enumerate().filter(|(_, l)| !l.is_empty()) {
            let claims = self.unsized_claims(list);
            claims.iter().for_each(|c| self.take(c.flow, &c.sends));
            out[m].claims = claims;
        }
    }

    /// Sends that several messages may have made: one each in order if the numbers agree, else they
    /// share them. Neither is certain.
    fn share_out(
        &self,
        open: Vec<(usize, Vec<usize>, Vec<usize>)>,
        lists: &mut [Candidates],
        out: &mut [Claimed],
    ) {
        for (f, whose, sends) in open {
            let empty: Vec<_> = whose
                .iter()
                .copied()
                .filter(|&m| lists[m].is_empty())
                .collect();
            let needy = if empty.is_empty() { whose } else { empty };
            needy.iter().for_each(|&m| out[m].shared = true);
            let wrote = sends
                .iter()
                .filter(|&&s| !self.flows[f].sends[s].is_empty())
                .count();
            if needy.len() == sends.len() && wrote == sends.len() {
                for (&m, &s) in needy.iter().zip(&sends) {
                    lists[m].entry(f).or_default().push(s);
                }
            } else {
                for &m in &needy {
                    lists[m].entry(f).or_default().extend(&sends);
                }
            }
        }
    }

    fn unsized_claims(&self, list: Candidates) -> Vec<Claim> {
        let trimmed: Candidates = list
            .iter()
            .map(|(&f, s)| (f, self.without_background(f, s)))
            .collect();
        let all_gone = trimmed.values().all(Vec::is_empty);
        let mut claims: Vec<_> = if all_gone { list } else { trimmed }
            .into_iter()
            .filter(|(_, sends)| !sends.is_empty())
            .map(|(flow, mut sends)| {
                sends.sort_unstable();
                let last = sends.last().map(|&s| &self.flows[flow].sends[s]);
                let complete = last.is_some_and(|s| s.error.is_none());
                Claim {
                    flow,
                    sends,
                    complete,
                }
            })
            .collect();
        let total = |c: &Claim| -> u64 {
            c.sends
                .iter()
                .map(|&s| self.flows[c.flow].sends[s].len())
                .sum()
        };
        let largest = claims.iter().map(total).max().unwrap_or(0);
        claims.retain(|c| {
            let whole = c.complete && total(c) > 0 && runs::comparable(total(c), largest);
            let failed = !c.complete && (total(c) > 0 || self.hard_error(c.flow, &c.sends));
            whole || failed || largest == 0
        });
        claims
    }

    fn without_background(&self, flow: usize, list: &[usize]) -> Vec<usize> {
        let size = |s: usize| self.flows[flow].sends[s].len();
        let keep = list
            .iter()
            .rposition(|&s| !self.background[flow].contains_key(&size(s)));
        list[..keep.map_or(0, |k| k + 1)].to_vec()
    }
}

fn background(flows: &[&FlowRecord], owners: &[Vec<Vec<usize>>]) -> Vec<BTreeMap<u64, usize>> {
    let sizes = |(flow, owners): (&&FlowRecord, &Vec<Vec<usize>>)| {
        let mut sizes = BTreeMap::new();
        for (send, owners) in flow.sends.iter().zip(owners) {
            if owners.is_empty() && !send.is_empty() {
                *sizes.entry(send.len()).or_default() += 1;
            }
        }
        sizes
    };
    flows.iter().zip(owners).map(sizes).collect()
}
