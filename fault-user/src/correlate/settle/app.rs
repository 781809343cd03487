//! One stretch of time of one app.

use std::collections::BTreeMap;

use super::lost::may_move;
use super::stretch::Stretch;
use super::{App, Cut, Settler, Sink};
use crate::correlate::attempts::Attempt;
use crate::correlate::messages::{self, Claimed};
use crate::correlate::report::Context;
use crate::correlate::stragglers::REACH;
use crate::correlate::unlogged::{self, Group, TOGETHER};
use crate::correlate::{Facts, Judged, by_id, judged, retries};
use crate::ledger::datagrams::UDP;
use crate::ledger::flow::FlowRecord;
use crate::ledger::growing::Keep;
use crate::outcome::AppMessage;
use crate::report::model::SendReport;
use crate::verdict::{Confidence, Outcome, Verdict};

/// Unclaimed sends that follow each other are let go in part from so many on.
const LONG: usize = 4096;
/// So far back a place is looked for where no packet has bytes of both sides.
const SPLIT: usize = 256;
/// Sizes of one socket's own traffic that are remembered.
const SIZES: usize = 4096;

/// Of each flow of the app, which of its send calls are settled.
type Done = Vec<Vec<bool>>;

impl App {
    /// Judges what is known for good; what must stay of each socket.
    pub(super) fn settle(
        &mut self,
        all: &mut Settler,
        mine: &[&FlowRecord],
        cut: Option<Cut>,
        sink: Sink<'_>,
    ) -> Vec<(u64, Keep)> {
        let mut said = std::mem::take(&mut self.said);
        said.sort_by_key(|s| (s.message.t0, s.message.t1));
        let messages: Vec<&AppMessage> = said.iter().map(|s| &s.message).collect();
        let (claimed, owners) = messages::claim_after(mine, &messages, &self.background);
        let mut done: Done = mine.iter().map(|f| vec![false; f.sends.len()]).collect();
        let rest = unlogged::groups(mine, &claimed);
        let wide: Vec<Group> = rest.iter().map(|g| self.widened(mine, g)).collect();
        let facts = all.facts.clone();
        let judged = judged(mine, &messages, &claimed, &facts);
        let late: Vec<bool> = said.iter().map(|s| s.late).collect();
        let stays = {
            let sockets = all.sockets.clone();
            let ctx = Context {
                facts: &facts,
                mine,
                sockets: &sockets,
                rest: &wide,
                let_go: self.unclaimed,
            };
            let stays = self.messages(all, &ctx, &judged, &late, cut, sink);
            self.unclaimed_ones(&ctx, (&rest, &wide), mine, (cut, &mut done), sink);
            stays
        };
        mark(&claimed, &stays, &mut done);
        let keep = keep(mine, &judged, (&claimed, &stays), cut, &mut done);
        self.remember(mine, &owners, &done);
        if let Some(cut) = cut
            && (done.iter().flatten().any(|d| *d) || stays.iter().any(|s| !s))
        {
            self.horizon = self.horizon.max(Some(cut.firm()));
        }
        let most = if cut.is_some() { all.most_lost } else { 0 };
        let beyond = self.lost.beyond(most);
        if cut.is_some() {
            all.let_go += beyond.len() as u64;
        }
        beyond.into_iter().for_each(sink);
        let staying = said.into_iter().zip(stays).filter(|(_, stays)| *stays);
        self.said = staying.map(|(said, _)| said).collect();
        keep
    }

    fn widened(&self, mine: &[&FlowRecord], group: &Group) -> Group {
        let before = self.stretches.get(&mine[group.flow].cookie).filter(|s| s.joins(group));
        before.map_or_else(|| group.clone(), |s| s.widen(group))
    }

    /// Gives messages their verdicts; which of them stay.
    fn messages(
        &mut self,
        all: &mut Settler,
        ctx: &Context<'_>,
        judged: &[Judged<'_>],
        late: &[bool],
        cut: Option<Cut>,
        sink: Sink<'_>,
    ) -> Vec<bool> {
        let lines = by_id(judged);
        // Datagrams are never acknowledged: nothing goes over to them.
        let may_go_elsewhere = ctx.mine.iter().filter(|f| f.proto != UDP).count() > 0;
        let mut stays = Vec::with_capacity(judged.len());
        for (i, (j, &late)) in judged.iter().zip(late).enumerate() {
            let stay = cut.is_some_and(|cut| !is_final(j, cut, ctx.facts));
            stays.push(stay);
            if stay {
                continue;
            }
            let later = retries(judged, &lines[j.message.id.as_str()], i);
            let (mut send, warning) = ctx.message(j, &later);
            if late {
                uncertain(&mut send);
            } else {
                warning.into_iter().for_each(|w| all.warn(w));
            }
            let name = |cookie| ctx.sockets.get(&cookie).cloned().unwrap_or_default();
            let moved = self.lost.rerouted(&j.message.id, &j.attempts, name, |ts| ctx.ms(ts));
            moved.into_iter().for_each(&mut *sink);
            if cut.is_some() && may_go_elsewhere && may_move(send.verdict) {
                self.lost.hold(send);
            } else {
                sink(send);
            }
        }
        stays
    }

    /// Gives sends that no message claims theirs.
    fn unclaimed_ones(
        &mut self,
        ctx: &Context<'_>,
        (rest, wide): (&[Group], &[Group]),
        mine: &[&FlowRecord],
        (cut, done): (Option<Cut>, &mut Done),
        sink: Sink<'_>,
    ) {
        let before = std::mem::take(&mut self.stretches);
        let mut open: BTreeMap<u64, Stretch> = BTreeMap::new();
        for (cookie, stretch) in before {
            let joined = rest.iter().any(|g| mine[g.flow].cookie == cookie && stretch.joins(g));
            let in_time = cut.is_some_and(|cut| stretch.to + TOGETHER >= cut.firm());
            match mine.iter().find(|f| f.cookie == cookie) {
                // Nothing has joined it, and nothing will.
                Some(flow) if !joined && !in_time => {
                    self.tell(ctx, &stretch.ended(flow, ctx.facts), sink);
                }
                _ => drop(open.insert(cookie, stretch)),
            }
        }
        let mut before = open;
        for (group, wide) in rest.iter().zip(wide) {
            let flow = mine[group.flow];
            let prior = before.get(&flow.cookie).filter(|s| s.joins(group));
            let (attempt, _) = Stretch::attempt(prior, flow, group, ctx.facts);
            let complete = cut.is_none_or(|cut| {
                wide.to + TOGETHER < cut.firm()
                    && attempt.is_settled(cut.until, cut.datagrams(), ctx.facts)
            });
            if complete {
                before.remove(&flow.cookie);
                done[group.flow][group.calls.0..=group.calls.1].fill(true);
                self.tell(ctx, &attempt, sink);
            } else if let Some(cut) = cut
                && (prior.is_some() || group.calls.1 - group.calls.0 >= LONG)
                && let Some(part) = part(flow, group, cut, ctx.facts)
            {
                let (attempt, traces) = Stretch::attempt(prior, flow, &part, ctx.facts);
                done[group.flow][part.calls.0..=part.calls.1].fill(true);
                if let Some(stretch) = Stretch::of(&attempt, traces) {
                    self.unclaimed = self.unclaimed.max(attempt.written);
                    before.insert(flow.cookie, stretch);
                }
            }
        }
        self.stretches.extend(before);
    }

    fn tell(&mut self, ctx: &Context<'_>, attempt: &Attempt<'_>, sink: Sink<'_>) {
        self.unclaimed = self.unclaimed.max(attempt.written);
        sink(ctx.unlogged(attempt));
    }

    /// Remembers the sizes of what was sent while no message was under way.
    fn remember(&mut self, mine: &[&FlowRecord], owners: &[Vec<Vec<usize>>], done: &Done) {
        for ((flow, owners), done) in mine.iter().zip(owners).zip(done) {
            let sends = flow.sends.iter().zip(owners).zip(done);
            for ((send, _), _) in sends.filter(|((s, o), d)| **d && o.is_empty() && !s.is_empty()) {
                let sizes = self.background.entry(flow.cookie).or_default();
                if sizes.len() < SIZES || sizes.contains_key(&send.len()) {
                    *sizes.entry(send.len()).or_default() += 1;
                }
            }
        }
    }
}

/// Whether no later event and no later line can change what is known of the message.
fn is_final(j: &Judged<'_>, cut: Cut, facts: &Facts) -> bool {
    let over = j.message.t1.saturating_add(REACH + j.message.resolution) <= cut.until;
    over && j.attempts.iter().all(|a| a.is_settled(cut.until, cut.datagrams(), facts))
}

/// Which sends were its own, and with that what became of it, can no longer be said.
fn uncertain(send: &mut SendReport) {
    send.confidence = Confidence::Gap;
    if send.outcome != Outcome::None {
        send.verdict = Verdict::Unknown;
    }
    send.why = format!(
        "its line came when sends of its time had been judged already, so this is not certain: {}",
        send.why
    );
}

/// The calls of an unclaimed group that are settled.
fn part(flow: &FlowRecord, group: &Group, cut: Cut, facts: &Facts) -> Option<Group> {
    let calls = &flow.sends[group.calls.0..=group.calls.1];
    let closed = flow.closed.is_some_and(|at| at <= cut.until);
    let una = if closed { i64::MAX } else { flow.una() };
    let most = calls.partition_point(|c| {
        let known = if flow.proto == UDP { c.ts <= cut.datagrams() } else { c.range.end <= una };
        known && c.ts < cut.firm()
    });
    let between = |n: &usize| {
        let at = calls[*n - 1].range.end;
        // Those that share a range stay together.
        let apart = calls.get(*n).is_none_or(|next| next.range.start >= at);
        apart && flow.copies_of(&(at - 1..at)).all(|c| c.range.end <= at)
    };
    let place = (1..=most).rev().take(SPLIT).find(between);
    let count = place.or((most > 0).then_some(most))?;
    let last = &calls[count - 1];
    let part = Group {
        range: group.range.start..last.range.end,
        written: calls[..count].iter().map(|c| c.len()).sum(),
        exact: calls[..count].iter().all(|c| c.exact),
        to: last.ts,
        calls: (group.calls.0, group.calls.0 + count - 1),
        ..group.clone()
    };
    let attempt = Attempt::of_group(flow, &part, facts);
    attempt.is_settled(cut.until, cut.datagrams(), facts).then_some(part)
}

/// Marks the sends of messages that go as settled.
fn mark(claimed: &[Claimed], stays: &[bool], done: &mut Done) {
    for (claimed, _) in claimed.iter().zip(stays).filter(|(_, stays)| !**stays) {
        for claim in &claimed.claims {
            claim.sends.iter().for_each(|&s| done[claim.flow][s] = true);
        }
    }
    for (claimed, _) in claimed.iter().zip(stays).filter(|(_, stays)| **stays) {
        for claim in &claimed.claims {
            claim.sends.iter().for_each(|&s| done[claim.flow][s] = false);
        }
    }
}

fn keep(
    mine: &[&FlowRecord],
    judged: &[Judged<'_>],
    (claimed, stays): (&[Claimed], &[bool]),
    cut: Option<Cut>,
    done: &mut Done,
) -> Vec<(u64, Keep)> {
    let after = cut.map_or(u64::MAX, Cut::firm);
    let mut needed: Done = done.iter().map(|d| vec![false; d.len()]).collect();
    let mut keeps: Vec<Keep> = mine.iter().map(|_| Keep { after, ..Keep::default() }).collect();
    let staying = claimed.iter().zip(judged).zip(stays).filter(|(_, stays)| **stays);
    for ((claimed, j), _) in staying {
        for claim in &claimed.claims {
            claim.sends.iter().for_each(|&s| needed[claim.flow][s] = true);
            keeps[claim.flow].una_at(mine[claim.flow], j.message.t0);
        }
    }
    for ((flow, done), (needed, keep)) in mine.iter().zip(done).zip(needed.iter().zip(&mut keeps)) {
        for ((call, done), needed) in flow.sends.iter().zip(done.iter_mut()).zip(needed) {
            // A failed call that no message claims is nobody's.
            *done |= call.is_empty() && call.ts <= after && !needed;
            keep.sends.push(!*done);
            if !*done && !call.is_empty() {
                keep.send(flow, call);
            }
        }
    }
    mine.iter().map(|f| f.cookie).zip(keeps).collect()
}
