//! Messages whose size the app does not tell.

use std::collections::BTreeMap;

use super::messages::{Candidates, Claim, Claimed, Table};
use super::runs;
use crate::verdict::Outcome;

/// Sends (flow, position) in the time of the same several messages.
type Contested = BTreeMap<Vec<usize>, Vec<(usize, usize)>>;

impl Table<'_> {
    /// Gives messages of unknown size what was sent in their time.
    pub(super) fn unsized_ones(&mut self, out: &mut [Claimed]) {
        let mut lists = vec![Candidates::new(); self.messages.len()];
        let mut open: Contested = BTreeMap::new();
        for (f, s, owners) in self.each_send() {
            let whose: Vec<_> =
                owners.iter().copied().filter(|&m| self.messages[m].bytes.is_none()).collect();
            match whose[..] {
                _ if self.taken.contains(&(f, s)) => {}
                [] => {}
                [m] => lists[m].entry(f).or_default().push(s),
                _ => open.entry(whose).or_default().push((f, s)),
            }
        }
        self.share_out(open, &mut lists, out);
        for (m, list) in lists.into_iter().enumerate().filter(|(_, l)| !l.is_empty()) {
            let claims = self.unsized_claims(m, list);
            claims.iter().for_each(|c| self.take(c.flow, &c.sends));
            out[m].claims = claims;
        }
    }

    /// Sends that several messages may have made: one each in order if the numbers agree, else they
    /// share them. Neither is certain.
    fn share_out(&self, open: Contested, lists: &mut [Candidates], out: &mut [Claimed]) {
        for (whose, mut sends) in open {
            let empty: Vec<_> = whose.iter().copied().filter(|&m| lists[m].is_empty()).collect();
            let needy = if empty.is_empty() { whose } else { empty };
            needy.iter().for_each(|&m| out[m].shared = true);
            sends.sort_by_key(|&(f, s)| self.flows[f].sends[s].ts);
            let wrote = sends.iter().all(|&(f, s)| !self.flows[f].sends[s].is_empty());
            if wrote && needy.len() == sends.len() {
                for (&m, &(f, s)) in needy.iter().zip(&sends) {
                    lists[m].entry(f).or_default().push(s);
                }
            } else {
                for (&m, &(f, s)) in needy.iter().flat_map(|m| sends.iter().map(move |s| (m, s))) {
                    lists[m].entry(f).or_default().push(s);
                }
            }
        }
    }

    fn unsized_claims(&self, m: usize, list: Candidates) -> Vec<Claim> {
        let said_ok = self.messages[m].outcome == Outcome::Ok;
        let trimmed: Candidates =
            list.iter().map(|(&f, s)| (f, self.without_background(f, s))).collect();
        let all_gone = trimmed.values().all(Vec::is_empty);
        let mut claims: Vec<_> = if all_gone { list } else { trimmed }
            .into_iter()
            .filter(|(_, sends)| !sends.is_empty())
            .map(|(flow, mut sends)| {
                sends.sort_unstable();
                let last = sends.last().map(|&s| &self.flows[flow].sends[s]);
                // A failed call after one that wrote may be another's; where the app says ok, it is.
                let other = said_ok && self.written(flow, &sends) > 0;
                let complete = other || last.is_some_and(|s| s.error.is_none());
                Claim { flow, sends, complete }
            })
            .collect();
        let total = |c: &Claim| self.written(c.flow, &c.sends);
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
        let keep = list.iter().rposition(|&s| !self.background[flow].contains_key(&size(s)));
        list[..keep.map_or(0, |k| k + 1)].to_vec()
    }
}
