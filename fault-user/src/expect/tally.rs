//! What expectations need to know of the sends of a run, gathered one by one: there may be more than memory holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::model::SendReport;
use crate::verdict::{Outcome, Verdict};

/// Examples that are kept of sends that fared alike; a report shows fewer.
const EXAMPLES: usize = 8;

/// All sends of a run.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    classes: BTreeMap<Class, Members>,
    /// Of each app and with or without id: when what was acknowledged was, ms; in no order.
    acks: BTreeMap<(String, bool), Vec<f64>>,
    /// Whether anybody asks for them: they take 8 bytes each.
    with_acks: bool,
    seen: u64,
}

/// Sends that fared alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    pub app: String,
    pub verdict: Verdict,
    pub outcome: Outcome,
    pub has_id: bool,
}

#[derive(Debug, Clone, Default)]
struct Members {
    count: u64,
    /// The first few by the time they began, and of one moment as they came.
    first: Vec<(f64, u64, String)>,
}

impl Tally {
    /// That of no sends; `with_acks`: some expectation is about the time between deliveries.
    pub fn new(with_acks: bool) -> Self {
        Self { with_acks, ..Self::default() }
    }

    /// That of some sends, in the order of the report.
    pub fn of<'s>(sends: impl IntoIterator<Item = &'s SendReport>) -> Self {
        let mut tally = Self::new(true);
        sends.into_iter().for_each(|send| tally.add(send));
        tally
    }

    /// Counts a send.
    pub fn add(&mut self, send: &SendReport) {
        self.seen += 1;
        let class = Class {
            app: send.app.clone(),
            verdict: send.verdict,
            outcome: send.outcome,
            has_id: send.id.is_some(),
        };
        // What came before t = 0 bounds no gap.
        if let Some(at) = send.acked_ms.filter(|at| self.with_acks && *at >= 0.0) {
            self.acks.entry((send.app.clone(), send.id.is_some())).or_default().push(at);
        }
        self.classes.entry(class).or_default().add(send, self.seen);
    }

    /// How many of the app (`None`: of all) are of such a class.
    pub(super) fn count(&self, app: Option<&str>, of: impl Fn(&Class) -> bool) -> u64 {
        self.of_app(app).filter(|(class, _)| of(class)).map(|(_, m)| m.count).sum()
    }

    /// The first of them, in order of time: id and verdict.
    pub(super) fn first(
        &self,
        app: Option<&str>,
        of: impl Fn(&Class) -> bool,
    ) -> Vec<(&str, Verdict)> {
        let classes = self.of_app(app).filter(|(class, _)| class.has_id && of(class));
        let mut first: Vec<_> = classes
            .flat_map(|(class, m)| m.first.iter().map(|(at, n, id)| (*at, *n, id, class.verdict)))
            .collect();
        first.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        first.truncate(EXAMPLES);
        first.into_iter().map(|(_, _, id, verdict)| (id.as_str(), verdict)).collect()
    }

    /// When sends were acknowledged, in order; `with_ids`: only those that have one.
    pub(super) fn acks(&self, app: Option<&str>, with_ids: bool) -> Vec<f64> {
        let of_app = |name: &str| app.is_none_or(|app| app == name);
        let lists = self.acks.iter().filter(|((name, id), _)| of_app(name) && (*id || !with_ids));
        let mut acks: Vec<f64> = lists.flat_map(|(_, at)| at).copied().collect();
        acks.sort_by(f64::total_cmp);
        acks
    }

    /// The apps of such sends.
    pub(super) fn apps(&self, of: impl Fn(&Class) -> bool) -> BTreeSet<&str> {
        self.classes.keys().filter(|class| of(class)).map(|class| class.app.as_str()).collect()
    }

    fn of_app(&self, app: Option<&str>) -> impl Iterator<Item = (&Class, &Members)> {
        self.classes.iter().filter(move |(class, _)| app.is_none_or(|app| app == class.app))
    }
}

impl Members {
    fn add(&mut self, send: &SendReport, number: u64) {
        self.count += 1;
        let Some(id) = &send.id else { return };
        let place = self.first.partition_point(|(at, ..)| *at <= send.started_ms);
        if place < EXAMPLES {
            self.first.insert(place, (send.started_ms, number, id.clone()));
            self.first.truncate(EXAMPLES);
        }
    }
}
