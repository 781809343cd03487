//! `opened_after` with a regular expression, or on a pipe: only userspace can find the line, so
//! the socket is named after the fact. Its SYN has left by then; `check` says so.

use fault_common::condition::{counts, fits, in_share};
use fault_common::table::SEL_LATE;

use crate::ledger::entry::Entry;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::scenario::model::Marker;

/// One such flow.
#[derive(Debug, Clone)]
pub struct Late {
    pub flow: u32,
    app: usize,
    marker: Marker,
    nth: Option<u32>,
    /// Seed and part of those that match.
    share: Option<(u64, u32)>,
    /// Connections seen that the kernel has counted for it.
    seen: u32,
    /// When the line was written, until a connection has taken it.
    armed: Option<u64>,
    max_flows: usize,
    follow: bool,
    /// Sockets that have the role, as far as is known.
    holders: Vec<u64>,
    /// How many have ever had it.
    taken: usize,
}

/// Whether a flow can stand for another socket; the same rules as for flows that the kernel side
/// names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Free,
    /// Without `follow`, a role that has been given is not given again.
    Gone,
    /// More sockets at a time than `max_flows`.
    Overflow,
}

impl Late {
    /// All of a scenario.
    pub fn all(scenario: &Scenario, plan: &Plan) -> Vec<Self> {
        let flows = scenario.flows.iter().zip(&plan.selectors);
        let late = flows.filter(|(_, s)| s.flags & SEL_LATE != 0);
        late.filter_map(|(flow, selector)| {
            Some(Self {
                flow: selector.flow,
                app: flow.app?.0,
                marker: flow.opened_after.as_ref()?.log.clone(),
                nth: flow.nth,
                share: flow.share.map(|_| (plan.seed, selector.share)),
                seen: 0,
                armed: None,
                max_flows: flow.max_flows as usize,
                follow: flow.follow,
                holders: Vec::new(),
                taken: 0,
            })
        })
        .collect()
    }

    /// A line of output.
    pub fn line(&mut self, app: usize, at: u64, text: &str) {
        if app == self.app && self.marker.is_in(text) {
            self.armed = Some(at);
        }
    }

    /// Whether there is a place, given which sockets the app has closed.
    pub fn room<E>(&mut self, closed: impl Fn(u64) -> Result<bool, E>) -> Result<Room, E> {
        let mut held = Vec::new();
        for cookie in &self.holders {
            if !closed(*cookie)? {
                held.push(*cookie);
            }
        }
        self.holders = held;
        Ok(match () {
            // With `nth` a later connection just waits for its turn.
            () if self.holders.len() >= self.max_flows && self.nth.is_some() => Room::Gone,
            () if self.holders.len() >= self.max_flows => Room::Overflow,
            () if !self.follow && self.taken >= self.max_flows => Room::Gone,
            () => Room::Free,
        })
    }

    /// A socket has got the role.
    pub fn give(&mut self, cookie: u64) {
        self.holders.push(cookie);
        self.taken += 1;
    }

    /// Whether this connection is the one; if so the mark is used up. `later` is what the kernel side has found out
    /// about it.
    pub fn takes(&mut self, entry: &Entry, later: u32) -> bool {
        let later = u64::from(later);
        if later & counts(self.flow) == 0 {
            return false;
        }
        self.seen += 1;
        let fits = later & fits(self.flow) != 0;
        let nth = self.nth.is_none_or(|n| n == self.seen);
        let share =
            self.share.is_none_or(|(seed, part)| in_share(seed, self.flow, self.seen, part));
        let after = self.armed.is_some_and(|at| at <= entry.ts);
        let takes = fits && nth && share && after;
        if takes {
            self.armed = None;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn late(max_flows: u32, follow: bool) -> Late {
        let text = format!(
            "schema = 1\nname = 't'\n[[app]]\nname = 'a'\ncommand = ['true']\n[[flow]]\nname = 'x'\n\
             app = 'a'\nremote = '127.0.0.1:1'\nopened_after = {{ log = 'x.' }}\n\
             max_flows = {max_flows}\nfollow = {follow}\n"
        );
        let scenario = crate::scenario::parse("t.toml", &text, std::path::Path::new("/"), &[]);
        let scenario = scenario.unwrap_or_else(|e| panic!("{}", e.for_stderr()));
        let plan = crate::plan::compile(&scenario, 1).unwrap();
        Late::all(&scenario, &plan).remove(0)
    }

    fn room(late: &mut Late, closed: &[u64]) -> Room {
        late.room(|c| Ok::<_, Infallible>(closed.contains(&c))).unwrap()
    }

    #[test]
    fn no_more_sockets_at_a_time_than_max_flows() {
        let mut late = late(2, true);
        for cookie in [10, 11] {
            assert_eq!(room(&mut late, &[]), Room::Free);
            late.give(cookie);
        }
        assert_eq!(room(&mut late, &[]), Room::Overflow);
        assert_eq!(room(&mut late, &[10]), Room::Free, "one is closed: the next follows");
    }

    #[test]
    fn without_follow_a_role_is_given_once() {
        let mut late = late(1, false);
        late.give(10);
        assert_eq!(room(&mut late, &[]), Room::Overflow);
        assert_eq!(room(&mut late, &[10]), Room::Gone);
    }
}
