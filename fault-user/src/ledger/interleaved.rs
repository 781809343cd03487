//! Sends of several threads on one socket, where the kernel does not tell where each begins.
//!
//! Such a send is known by its length and by the end of the stream some time after it was written. Its bytes end there or
//! before. As long as these ranges do not overlap, each is right: the one that reaches furthest cannot end further
//! back, for something has written the last byte; nor can the next one, and so on. Where some overlap, at least one of them
//! stands further back, and which one nobody knows: all of them together have been written in the same range.

use std::cmp::Reverse;
use std::ops::Range;

use super::flow::SendCall;

/// Gives the sends that overlap the range that they have in common, with what lies before it as far as their bytes
/// need it, of those that may stand further back than they say. More may come behind, and it be done again.
pub(super) fn settle(sends: &mut [SendCall]) {
    let mut unplaced: Vec<usize> = (0..sends.len()).filter(|&s| sends[s].loose).collect();
    unplaced.sort_by_key(|&s| Reverse(sends[s].range.end));
    let mut group = Group::default();
    for s in unplaced {
        let (range, written) = (sends[s].range.clone(), sends[s].written as i64);
        if range.end <= group.range.start {
            std::mem::take(&mut group).close(sends);
        }
        group.take_in(s, range, written);
    }
    group.close(sends);
}

/// Sends that overlap.
#[derive(Default)]
struct Group {
    members: Vec<usize>,
    range: Range<i64>,
    written: i64,
}

impl Group {
    fn take_in(&mut self, send: usize, range: Range<i64>, written: i64) {
        if self.members.is_empty() {
            self.range = range.clone();
        }
        self.members.push(send);
        self.written += written;
        // They come from the end of the stream: none reaches further than the first.
        self.range.start = self.range.start.min(range.start).min(self.range.end - self.written);
    }

    fn close(self, sends: &mut [SendCall]) {
        if self.members.len() < 2 {
            return;
        }
        for s in self.members {
            sends[s].range = self.range.clone();
            sends[s].exact = false;
        }
    }
}

#[cfg(test)]
#[path = "interleaved_tests.rs"]
mod tests;
