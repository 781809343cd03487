//! From events to [`FlowRecord`]s.

use std::collections::BTreeMap;

use super::entry::{Entry, What};
use super::flow::FlowRecord;
use super::growing::Growing;
use super::heads::{self, Heads};

/// One record per socket, in order of opening; the entries may come in any order.
pub fn build(entries: &[Entry]) -> Vec<FlowRecord> {
    let mut in_time: Vec<&Entry> = entries.iter().collect();
    in_time.sort_by_key(|e| e.ts);
    let mut sockets = Sockets::new(&Heads::of(in_time));
    entries.iter().for_each(|e| sockets.push(*e));
    sockets.advance(u64::MAX);
    sockets.finish()
}

/// The records of all sockets while they grow.
pub(crate) struct Sockets {
    by_cookie: BTreeMap<u64, Growing>,
}

impl Sockets {
    /// `heads` of all events that will come.
    pub(crate) fn new(heads: &Heads) -> Self {
        let all = heads.iter().map(|(cookie, head)| (cookie, Growing::new(head)));
        Self { by_cookie: all.collect() }
    }

    /// Keeps an event until [`Sockets::advance`].
    pub(crate) fn push(&mut self, entry: Entry) {
        if !matches!(entry.what, What::Marker { .. } | What::Overflow { .. } | What::Multipath)
            && let Some(socket) = self.by_cookie.get_mut(&entry.cookie)
        {
            entry.parts().for_each(|part| socket.push(part));
        }
    }

    /// Takes in every event up to `until`.
    pub(crate) fn advance(&mut self, until: u64) {
        self.by_cookie.values_mut().for_each(|s| s.advance(until));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Growing> {
        self.by_cookie.values()
    }

    pub(crate) fn get(&self, cookie: u64) -> Option<&Growing> {
        self.by_cookie.get(&cookie)
    }

    pub(crate) fn get_mut(&mut self, cookie: u64) -> Option<&mut Growing> {
        self.by_cookie.get_mut(&cookie)
    }

    /// The records, in order of opening.
    pub(crate) fn finish(self) -> Vec<FlowRecord> {
        let mut flows: Vec<_> = self.by_cookie.into_values().map(Growing::finish).collect();
        heads::sort(&mut flows);
        flows
    }
}
