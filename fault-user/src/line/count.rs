//! Wire packets in the counters.

use fault_common::fate::{Fate, Fault, Model};

use super::engine::ConnKey;
use super::tally::Tally;

/// Index of the first fault that did something.
pub fn first_acted(stack: &[Fault], fate: &Fate) -> Option<usize> {
    let i = fate.acted.trailing_zeros() as usize;
    (i < stack.len()).then_some(i)
}

/// Index of the fault that ended the packet, or the part of it beyond a limit.
pub fn ended_by(stack: &[Fault], fate: &Fate) -> Option<usize> {
    if fate.end.is_some() {
        return Some(fate.by as usize);
    }
    fate.keep?;
    let cut =
        |(i, f): &(usize, &Fault)| fate.acted >> i & 1 != 0 && matches!(f.model, Model::Limit(_));
    stack.iter().enumerate().find(cut).map(|(i, _)| i)
}

/// Counts the wire packets of a frame. Those that follow each other and count alike are counted
/// at once: a super-packet has 45.
pub struct Counting<'a> {
    tally: &'a mut Tally,
    key: ConnKey,
    alike: Option<(Fate, u64)>,
}

impl<'a> Counting<'a> {
    pub fn new(tally: &'a mut Tally, key: ConnKey) -> Self {
        Self { tally, key, alike: None }
    }

    pub fn add(&mut self, stack: &[Fault], fate: &Fate) {
        match &mut self.alike {
            Some((last, n)) if alike(last, fate) => *n += 1,
            _ => {
                let before = self.alike.replace((*fate, 1));
                self.count(stack, before);
            }
        }
    }

    pub fn finish(mut self, stack: &[Fault]) {
        let last = self.alike.take();
        self.count(stack, last);
    }

    fn count(&mut self, stack: &[Fault], alike: Option<(Fate, u64)>) {
        if let Some((fate, n)) = alike {
            count(self.tally, self.key, stack, &fate, n);
        }
    }
}

fn alike(a: &Fate, b: &Fate) -> bool {
    let counted = |f: &Fate| {
        (f.end.is_some(), f.by, f.judged, f.acted, f.copies, f.hold.is_some(), f.keep.is_some())
    };
    counted(a) == counted(b)
}

fn count(tally: &mut Tally, key: ConnKey, stack: &[Fault], fate: &Fate, n: u64) {
    for (i, fault) in stack.iter().enumerate() {
        if fate.judged & 1 << i == 0 {
            continue;
        }
        let rule = tally.rules.entry(fault.id).or_default();
        rule.matched += n;
        rule.acted += n * u64::from(fate.acted >> i & 1);
        rule.ended += n * u64::from(ended_by(stack, fate) == Some(i));
    }
    let socket = tally.sockets.entry(key).or_default();
    // A packet that a limit cuts in two is one that goes on and one that does not.
    socket.dropped += n * u64::from(fate.end.is_some() || fate.keep.is_some());
    if fate.end.is_some() {
        return;
    }
    let acted = |what: fn(&Model) -> bool| {
        stack.iter().enumerate().any(|(i, f)| fate.acted >> i & 1 != 0 && what(&f.model))
    };
    let times = |m: &Model| matches!(m, Model::Delay(_) | Model::Rate(_) | Model::Replay(_));
    socket.delayed += n * u64::from(acted(times));
    socket.duplicated += n * u64::from(fate.copies);
    socket.reordered += n * u64::from(fate.hold.is_some());
}
