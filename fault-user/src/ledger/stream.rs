//! Byte positions of a TCP stream, and sets of them.
//!
//! TCP merges and splits packets when it sends again, so nothing here is keyed on packets: a copy
//! of some bytes is a range, and what became of a send is a question about its range.

use std::ops::Range;

/// Turns 32-bit sequence numbers into 64-bit stream offsets.
///
/// A number stands for the offset nearest to the highest one seen, which is right as long as
/// nothing is 2 GiB or more away from it; TCP's window never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwrapper {
    base: u32,
    highest: i64,
}

impl Unwrapper {
    /// `base` is the sequence number of offset 0.
    pub fn new(base: u32) -> Self {
        Self { base, highest: 0 }
    }

    /// The offset of `seq`; may be negative (before offset 0).
    pub fn offset(&self, seq: u32) -> i64 {
        let reference = self.base.wrapping_add(self.highest as u32);
        self.highest + i64::from(seq.wrapping_sub(reference) as i32)
    }

    /// Tells it that the stream reaches to `offset` by now.
    pub fn advance(&mut self, offset: i64) {
        self.highest = self.highest.max(offset);
    }
}

/// A set of byte positions: sorted ranges that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<Range<i64>>,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; an empty one changes nothing.
    pub fn insert(&mut self, range: Range<i64>) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|r| r.end < range.start);
        let to = self.ranges.partition_point(|r| r.start <= range.end);
        let merged = self.ranges[from..to]
            .iter()
            .fold(range, |acc, r| acc.start.min(r.start)..acc.end.max(r.end));
        self.ranges.splice(from..to, [merged]);
    }

    /// Adds every range of `other`.
    pub fn union(&mut self, other: &Self) {
        for r in &other.ranges {
            self.insert(r.clone());
        }
    }

    /// Takes out every position before `at`.
    pub fn forget_below(&mut self, at: i64) {
        let gone = self.ranges.partition_point(|r| r.end <= at);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(at);
        }
    }

    /// Whether every byte of `range` is in it (true for an empty range).
    pub fn covers(&self, range: &Range<i64>) -> bool {
        self.gaps(range).is_empty()
    }

    /// The parts of `range` that are not in it.
    pub fn gaps(&self, range: &Range<i64>) -> Vec<Range<i64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for r in self.touching(range) {
            if r.start > at {
                gaps.push(at..r.start);
            }
            at = at.max(r.end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// The parts of `range` that are in it.
    pub fn within(&self, range: &Range<i64>) -> Vec<Range<i64>> {
        let clip = |r: &Range<i64>| r.start.max(range.start)..r.end.min(range.end);
        self.touching(range).iter().map(clip).collect()
    }

    /// The ranges, sorted, disjoint and apart from each other.
    pub fn ranges(&self) -> &[Range<i64>] {
        &self.ranges
    }

    fn touching(&self, range: &Range<i64>) -> &[Range<i64>] {
        if range.is_empty() {
            return &[];
        }
        let from = self.ranges.partition_point(|r| r.end <= range.start);
        let to = self.ranges.partition_point(|r| r.start < range.end);
        &self.ranges[from..to]
    }
}

/// Finds which of many (overlapping) ranges meet a given one, without looking at all of them.
#[derive(Debug, Clone, Default)]
pub struct RangeIndex {
    /// (range, position in the list it was built from), by start.
    by_start: Vec<(Range<i64>, usize)>,
    /// Greatest end among the entries up to and including this one.
    reach: Vec<i64>,
}

impl RangeIndex {
    /// Indexes the ranges by their position in `ranges`.
    pub fn new(ranges: impl IntoIterator<Item = Range<i64>>) -> Self {
        let mut by_start: Vec<_> = ranges.into_iter().enumerate().map(|(i, r)| (r, i)).collect();
        by_start.sort_by_key(|(r, _)| r.start);
        let mut reach = Vec::with_capacity(by_start.len());
        for (r, _) in &by_start {
            reach.push(reach.last().map_or(r.end, |&e: &i64| e.max(r.end)));
        }
        Self { by_start, reach }
    }

    /// Positions of the ranges that share a byte with `range`, ascending.
    pub fn meeting(&self, range: &Range<i64>) -> Vec<usize> {
        if range.is_empty() {
            return Vec::new();
        }
        let until = self.by_start.partition_point(|(r, _)| r.start < range.end);
        let mut hits = Vec::new();
        for at in (0..until).rev() {
            if self.reach[at] <= range.start {
                break;
            }
            let (r, i) = &self.by_start[at];
            if r.end > range.start && !r.is_empty() {
                hits.push(*i);
            }
        }
        hits.sort_unstable();
        hits
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
