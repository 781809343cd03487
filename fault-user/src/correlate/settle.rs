//! Verdicts of a run that is longer than memory: what no later event and no later line can change is judged and let
//! go, a stretch of time after the other, and the rest carried on.
//!
//! Matching is as for a whole run, among what is held: a message that has claimed its sends leaves together with
//! them, so for all others nothing changes. What that does not hold for is said of the message (`Said::late`), or
//! counted (`Settler::warnings`).

mod app;
mod lost;
mod stretch;

use std::collections::BTreeMap;

use super::Facts;
use super::hands::{self, Hand};
use super::messages::Background;
use super::names;
use super::stragglers::REACH;
use super::windows::EARLY;
use crate::ledger::build::Sockets;
use crate::ledger::flow::FlowRecord;
use crate::ledger::growing::Keep;
use crate::outcome::AppMessage;
use crate::report::model::SendReport;
use lost::Lost;
use stretch::Stretch;

/// Before this much of the known time nothing that a send call or a line may still change, ns: the reach of
/// stragglers twice.
const GUARD: u64 = 2 * REACH;
/// Copies of datagrams may come so much later, ns.
const DATAGRAMS: u64 = 1_000_000_000;
/// Warnings that are kept in full.
const WARNINGS: usize = 100;

/// Up to where a stretch of time is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// All events up to this moment are in the records, ns.
    pub until: u64,
}

impl Cut {
    fn firm(self) -> u64 {
        self.until.saturating_sub(GUARD)
    }

    fn datagrams(self) -> u64 {
        self.until.saturating_sub(DATAGRAMS)
    }
}

/// Who takes the verdicts, one by one.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(SendReport);

/// What is carried on from stretch to stretch.
pub(crate) struct Settler {
    facts: Facts,
    sockets: BTreeMap<u64, String>,
    apps: BTreeMap<u32, App>,
    /// Lost sends that are held at most, in case another line tells of the same message.
    most_lost: usize,
    warnings: Vec<String>,
    more_warnings: u64,
    /// Losses that were not held to the end.
    let_go: u64,
}

/// One app.
#[derive(Default)]
struct App {
    said: Vec<Said>,
    lost: Lost,
    /// Sends up to this moment may have been let go, ns.
    horizon: Option<u64>,
    background: Background,
    /// Bytes of the largest unclaimed send that was let go.
    unclaimed: u64,
    /// Unclaimed sends of a socket that go on.
    stretches: BTreeMap<u64, Stretch>,
}

/// What an app said.
struct Said {
    message: AppMessage,
    /// Of a time whose sends were let go before its line came: which were its own can no longer be said.
    late: bool,
}

impl Settler {
    /// `flows` are all of the run; what they have sent does not matter yet.
    pub(crate) fn new(facts: Facts, flows: &[FlowRecord], most_lost: usize) -> Self {
        let mut apps: BTreeMap<u32, App> = BTreeMap::new();
        for flow in flows {
            apps.entry(flow.app).or_default();
        }
        Self {
            sockets: names::sockets(flows, &facts.names),
            facts,
            apps,
            most_lost,
            warnings: Vec::new(),
            more_warnings: 0,
            let_go: 0,
        }
    }

    /// Takes in what an app said.
    pub(crate) fn message(&mut self, message: AppMessage) {
        let app = self.apps.entry(message.app).or_default();
        let from = message.t0.saturating_sub(REACH.max(EARLY + message.resolution));
        let late = app.horizon.is_some_and(|horizon| from <= horizon);
        app.said.push(Said { message, late });
    }

    /// Messages that have no verdict yet, and losses that may get another.
    pub(crate) fn held(&self) -> usize {
        self.apps.values().map(|app| app.said.len() + app.lost.len()).sum()
    }

    /// Judges what is known for good (without a cut: everything), and takes it out of the records.
    pub(crate) fn settle(&mut self, sockets: &mut Sockets, cut: Option<Cut>, sink: Sink<'_>) {
        for user in sockets.iter().flat_map(|s| hands::users(s.flow())) {
            self.apps.entry(user).or_default();
        }
        let mut apps = std::mem::take(&mut self.apps);
        for (&number, app) in &mut apps {
            let hands = sockets.iter().filter_map(|s| Hand::of(s.flow(), number));
            let mut hands: Vec<Hand<'_>> = hands.collect();
            hands.sort_by_key(|h| (h.flow.opened.unwrap_or(h.flow.first_seen), h.flow.cookie));
            let mine: Vec<&FlowRecord> = hands.iter().map(|h| &*h.flow).collect();
            let keep = app.settle(self, &mine, cut, sink);
            let whole =
                |((cookie, keep), hand): ((u64, Keep), &Hand<'_>)| (cookie, hand.keep(keep));
            let keep: Vec<(u64, Keep)> = keep.into_iter().zip(&hands).map(whole).collect();
            for (cookie, keep) in keep {
                if let Some(socket) = sockets.get_mut(cookie) {
                    socket.forget(&keep);
                }
            }
        }
        self.apps = apps;
    }

    /// What people should know, once all is settled.
    pub(crate) fn warnings(self) -> Vec<String> {
        let mut warnings = self.warnings;
        if self.more_warnings > 0 {
            warnings.push(format!("and {} more warnings of that kind", self.more_warnings));
        }
        if self.let_go > 0 {
            warnings.push(format!(
                "{} lost sends were judged before the run's end: no later outcome line of the same id could \
                 make them `rerouted` any more",
                self.let_go
            ));
        }
        warnings
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more_warnings += 1;
        }
    }
}
