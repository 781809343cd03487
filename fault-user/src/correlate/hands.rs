//! Sockets that pass from hand to hand. Who tells of a send is who made it, and that need not be the app that opened
//! the socket: descriptors are inherited, and handed over (SCM_RIGHTS).

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::ledger::flow::FlowRecord;
use crate::ledger::growing::Keep;

/// The flows as each app used them: one record for each app that sent on it, with just its sends.
pub(super) fn by_sender(flows: &[FlowRecord]) -> Cow<'_, [FlowRecord]> {
    if flows.iter().all(|f| f.sends.iter().all(|s| s.sender.is_none())) {
        return Cow::Borrowed(flows);
    }
    let of = |flow| users(flow).into_iter().filter_map(move |app| Hand::of(flow, app));
    Cow::Owned(flows.iter().flat_map(of).map(|hand| hand.flow.into_owned()).collect())
}

/// The apps of a socket: its opener, also if it never sent, and who else sent on it.
pub(super) fn users(flow: &FlowRecord) -> Vec<u32> {
    let others: BTreeSet<u32> = flow.sends.iter().filter_map(|s| s.sender).collect();
    std::iter::once(flow.app).chain(others).collect()
}

/// A socket as one app used it.
pub(super) struct Hand<'a> {
    whole: &'a FlowRecord,
    pub flow: Cow<'a, FlowRecord>,
    /// Which of all its send calls are in `flow`; `None`: all of them.
    calls: Option<Vec<bool>>,
}

impl<'a> Hand<'a> {
    /// `None`: the app has nothing to do with it.
    pub(super) fn of(whole: &'a FlowRecord, app: u32) -> Option<Self> {
        let sender = (whole.app != app).then_some(app);
        let own: Vec<bool> = whole.sends.iter().map(|s| s.sender == sender).collect();
        if sender.is_some() && !own.contains(&true) {
            return None;
        }
        if sender.is_none() && own.iter().all(|own| *own) {
            return Some(Self { whole, flow: Cow::Borrowed(whole), calls: None });
        }
        let mut flow = whole.clone();
        flow.app = app;
        let others = flow.sends.iter().filter(|s| s.sender != sender);
        others.for_each(|s| flow.elsewhere.insert(s.range.clone()));
        flow.sends.retain(|s| s.sender == sender);
        Some(Self { whole, flow: Cow::Owned(flow), calls: Some(own) })
    }

    /// What must stay of the socket, if `keep` must of the app's part: nothing is taken from the others.
    pub(super) fn keep(&self, mut keep: Keep) -> Keep {
        let Some(calls) = &self.calls else { return keep };
        let mut own = std::mem::take(&mut keep.sends).into_iter();
        for (call, is_own) in self.whole.sends.iter().zip(calls) {
            keep.sends.push(!is_own || own.next().unwrap_or(true));
            if !is_own && !call.is_empty() {
                keep.send(self.whole, call);
            }
        }
        keep
    }
}
