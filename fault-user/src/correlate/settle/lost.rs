//! Losses that another outcome line of the same message may yet make `rerouted`.

use std::collections::{BTreeMap, VecDeque};

use crate::correlate::attempts::Attempt;
use crate::report::model::SendReport;
use crate::verdict::Verdict;

/// Those of one app.
#[derive(Default)]
pub(super) struct Lost {
    /// In order of judgement; `None`: taken out.
    queue: VecDeque<Option<Held>>,
    /// Number of the first of the queue.
    first: usize,
    /// Numbers, by id of the message.
    by_id: BTreeMap<String, Vec<usize>>,
}

struct Held {
    send: SendReport,
    /// The socket of its first attempt.
    cookie: Option<u64>,
}

/// Whether a later line may change it.
pub(super) fn may_move(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::SilentLoss
            | Verdict::Unconfirmed
            | Verdict::CleanFailure
            | Verdict::AmbiguousFailure
    )
}

impl Lost {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn hold(&mut self, send: SendReport) {
        let number = self.first + self.queue.len();
        self.by_id.entry(send.id.clone().unwrap_or_default()).or_default().push(number);
        let cookie = send.cookie;
        self.queue.push_back(Some(Held { send, cookie }));
    }

    /// A later line of the same id: what it proves to be rerouted. `name` of a socket, `ms` of a moment.
    pub(super) fn rerouted(
        &mut self,
        id: &str,
        attempts: &[Attempt<'_>],
        name: impl Fn(u64) -> String,
        ms: impl Fn(u64) -> f64,
    ) -> Vec<SendReport> {
        let Some(numbers) = self.by_id.get_mut(id) else { return Vec::new() };
        let mut found = Vec::new();
        numbers.retain(|&number| {
            let place = number.checked_sub(self.first).and_then(|at| self.queue.get_mut(at));
            let Some(place) = place else { return false };
            let Some(held) = place.as_ref() else { return false };
            // What never was on a socket was not lost on one: it stays what it is.
            let Some(lost_on) = held.cookie else { return true };
            let moved = |a: &&Attempt<'_>| a.acked.is_some() && a.flow.cookie != lost_on;
            let Some(to) = attempts.iter().find(moved) else { return true };
            let Some(Held { mut send, .. }) = place.take() else { return false };
            send.verdict = Verdict::Rerouted;
            send.acked_ms = attempts.iter().filter_map(|a| a.acked).min().map(&ms);
            send.via.extend(attempts.iter().map(|a| name(a.flow.cookie)));
            send.why = format!(
                "on {}: {}; then sent and acknowledged on {}",
                name(lost_on),
                send.why,
                name(to.flow.cookie)
            );
            found.push(send);
            false
        });
        if numbers.is_empty() {
            self.by_id.remove(id);
        }
        found
    }

    /// The oldest, until no more than `most` are left.
    pub(super) fn beyond(&mut self, most: usize) -> Vec<SendReport> {
        let mut out = Vec::new();
        while self.queue.len() > most
            && let Some(oldest) = self.queue.pop_front()
        {
            let number = self.first;
            self.first += 1;
            let Some(Held { send, .. }) = oldest else { continue };
            if let Some(numbers) = send.id.as_ref().and_then(|id| self.by_id.get_mut(id)) {
                numbers.retain(|&n| n != number);
                if numbers.is_empty()
                    && let Some(id) = &send.id
                {
                    self.by_id.remove(id);
                }
            }
            out.push(send);
        }
        out
    }
}
