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
    claim_after(flows, messages, &BTreeMap::new()).0
}

/// Sizes that each socket sends when no message is under way (keepalives), and how often.
pub(super) type Background = BTreeMap<u64, BTreeMap<u64, usize>>;

/// The same after sends that were let go; also the positions of the messages in whose time each send is.
pub(super) fn claim_after(
    flows: &[&FlowRecord],
    messages: &[&AppMessage],
    before: &Background,
) -> (Vec<Claimed>, Vec<Vec<Vec<usize>>>) {
    let owners = windows::owners(flows, messages);
    let mut background = background(flows, &owners);
    for (sizes, flow) in background.iter_mut().zip(flows) {
        for (&size, &times) in before.get(&flow.cookie).into_iter().flatten() {
            *sizes.entry(size).or_default() += times;
        }
    }
    let mut table = Table { flows, messages, owners, background, taken: BTreeSet::new() };
    let mut out = vec![Claimed::default(); messages.len()];
    let mut sized: Vec<_> = (0..messages.len()).filter(|&m| messages[m].bytes.is_some()).collect();
    // Large ones first: they cannot be mistaken for small ones, but the other way round they can.
    // Of equal ones that which ended first: it has the least choice.
    sized.sort_by_key(|&m| (std::cmp::Reverse(messages[m].bytes), messages[m].t1));
    let times = table.by_message();
    // A first send for everyone, before anyone may claim a second try on another flow.
    for &m in &sized {
        table.first_try(m, &times[m], &mut out[m]);
    }
    for &m in &sized {
        table.other_tries(m, &times[m], &mut out[m]);
    }
    table.unsized_ones(&mut out);
    table.stragglers(&mut out);
    for (m, claimed) in out.iter_mut().enumerate() {
        claimed.foreign = table.foreign(&times[m]);
    }
    (out, table.owners)
}

/// Candidates of one message: positions of send calls per flow.
pub(super) type Candidates = BTreeMap<usize, Vec<usize>>;

/// Who has what.
pub(super) struct Table<'a> {
    pub(super) flows: &'a [&'a FlowRecord],
    pub(super) messages: &'a [&'a AppMessage],
    pub(super) owners: Vec<Vec<Vec<usize>>>,
    /// Per flow, sizes that it also sends when no message is under way (keepalives), and how often.
    pub(super) background: Vec<BTreeMap<u64, usize>>,
    /// (flow, send) that belong to a message already.
    pub(super) taken: BTreeSet<(usize, usize)>,
}

impl Table<'_> {
    /// Flow, position and owners of every send call.
    pub(super) fn each_send(&self) -> impl Iterator<Item = (usize, usize, &[usize])> {
        self.owners.iter().enumerate().flat_map(|(f, list)| {
            list.iter().enumerate().map(move |(s, owners)| (f, s, owners.as_slice()))
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

    /// The earliest run of the right size on any flow.
    fn first_try(&mut self, m: usize, candidates: &Candidates, claimed: &mut Claimed) {
        let mut runs: Vec<_> =
            candidates.keys().filter_map(|&f| self.run(m, f, candidates)).collect();
        // Another flow may carry something unrelated and larger at the same time.
        let least = runs.iter().map(|(_, r)| r.bytes).min().unwrap_or(0);
        runs.retain(|(_, r)| runs::comparable(least, r.bytes));
        let began = |(f, r): &(usize, Run)| self.flows[*f].sends[r.sends[0]].ts;
        if let Some((flow, run)) = runs.into_iter().min_by_key(began) {
            self.claim(m, flow, run, true, claimed);
        }
    }

    /// The same message on other flows: whole, or as far as a failed call let it.
    fn other_tries(&mut self, m: usize, candidates: &Candidates, claimed: &mut Claimed) {
        let first = claimed.claims.first().map(|c| (c.flow, self.written(c.flow, &c.sends)));
        for &flow in candidates.keys().filter(|&&f| first.is_none_or(|(of, _)| of != f)) {
            let whole = self.run(m, flow, candidates);
            let same =
                whole.filter(|(_, r)| first.is_some_and(|(_, n)| runs::comparable(n, r.bytes)));
            if let Some((_, run)) = same {
                self.claim(m, flow, run, true, claimed);
                continue;
            }
            let part = runs::cut_off(&self.flows[flow].sends, &self.free(flow, candidates));
            // Next to a flow that took it all, a full send buffer elsewhere says nothing.
            let tells = |r: &Run| first.is_none() || r.bytes > 0 || self.hard_error(flow, &r.sends);
            if let Some(run) = part.filter(tells) {
                self.claim(m, flow, run, false, claimed);
            }
        }
    }

    fn claim(&mut self, m: usize, flow: usize, run: Run, complete: bool, claimed: &mut Claimed) {
        claimed.shared |= run.sends.iter().any(|&s| self.contested(m, flow, s, run.bytes));
        self.take(flow, &run.sends);
        claimed.claims.push(Claim { flow, sends: run.sends, complete });
    }

    fn run(&self, m: usize, flow: usize, candidates: &Candidates) -> Option<(usize, Run)> {
        let bytes = self.messages[m].bytes?;
        let run = runs::find(&self.flows[flow].sends, &self.free(flow, candidates), bytes)?;
        Some((flow, run))
    }

    fn free(&self, flow: usize, candidates: &Candidates) -> Vec<usize> {
        let list = candidates.get(&flow).into_iter().flatten().copied();
        list.filter(|&s| !self.taken.contains(&(flow, s))).collect()
    }

    /// Bytes that these calls wrote.
    pub(super) fn written(&self, flow: usize, sends: &[usize]) -> u64 {
        sends.iter().map(|&s| self.flows[flow].sends[s].len()).sum()
    }

    /// Whether one of these calls failed for good.
    pub(super) fn hard_error(&self, flow: usize, sends: &[usize]) -> bool {
        let transient = [libc::EAGAIN, libc::EINTR];
        let error = |&s: &usize| self.flows[flow].sends[s].error;
        sends.iter().filter_map(error).any(|e| !transient.contains(&e))
    }

    /// Whether another message could have sent these bytes as well.
    fn contested(&self, m: usize, flow: usize, send: usize, total: u64) -> bool {
        self.owners[flow][send]
            .iter()
            .filter(|&&o| o != m)
            .any(|&o| self.messages[o].bytes.is_none_or(|bytes| runs::fits(bytes, total)))
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
