//! No byte is acknowledged of which every copy was dropped.

use std::collections::VecDeque;
use std::ops::Range;

use super::datagrams::UDP;
use super::flow::{Ack, TxCopy};
use super::stream::RangeSet;

/// What of one socket is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Law {
    passed: RangeSet,
    dropped: RangeSet,
    una: i64,
    /// Copies since the last acknowledgement.
    copies: VecDeque<(u64, Range<i64>, bool)>,
    /// The first bytes whose ack contradicts their drops.
    pub broken: Option<Range<i64>>,
}

impl Law {
    /// Of a stream of which everything before `una` was acknowledged before its first event.
    pub(super) fn new(una: i64) -> Self {
        let (passed, dropped) = (RangeSet::new(), RangeSet::new());
        Self { passed, dropped, una, copies: VecDeque::new(), broken: None }
    }

    /// Takes in the copies and acknowledgements of a further stretch of time.
    pub(super) fn take(&mut self, proto: u8, copies: &[TxCopy], acks: &[Ack]) {
        // Nobody acknowledges a datagram.
        if proto == UDP || self.broken.is_some() {
            return;
        }
        self.copies.extend(copies.iter().map(|c| (c.ts, c.range.clone(), c.dropped)));
        self.copies.make_contiguous().sort_by_key(|c| c.0);
        for ack in acks {
            while self.copies.front().is_some_and(|c| c.0 <= ack.ts)
                && let Some((_, range, dropped)) = self.copies.pop_front()
            {
                let set = if dropped { &mut self.dropped } else { &mut self.passed };
                set.insert(range);
            }
            let never_out = self.passed.gaps(&(self.una..ack.upto));
            self.broken = never_out.iter().flat_map(|gap| self.dropped.within(gap)).next();
            if self.broken.is_some() {
                return;
            }
            self.una = ack.upto;
            self.passed.forget_below(self.una);
            self.dropped.forget_below(self.una);
        }
    }
}
