//! What waits, in the order in which it goes on.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Items with a time each. Of two with one time, the one that came first goes first.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Waiting<T>>,
    /// Order of the next item, and of the last one that was to be the first.
    next: i64,
    first: i64,
}

#[derive(Debug)]
struct Waiting<T> {
    at: u64,
    order: i64,
    item: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), next: 0, first: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds an item that goes on at `at` (CLOCK_MONOTONIC, ns).
    pub fn push(&mut self, at: u64, item: T) {
        self.heap.push(Waiting { at, order: self.next, item });
        self.next += 1;
    }

    /// Adds an item that goes on before all others of its time.
    pub fn push_first(&mut self, at: u64, item: T) {
        self.first -= 1;
        self.heap.push(Waiting { at, order: self.first, item });
    }

    /// The next item whose time has come, and its time.
    pub fn pop(&mut self, now: u64) -> Option<(u64, T)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|w| (w.at, w.item))
    }

    /// When the next item goes on.
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|w| w.at)
    }

    /// Changes times; those of equal times keep their old order.
    pub fn hasten(&mut self, mut to: impl FnMut(&T, u64) -> u64) {
        let mut all = std::mem::take(&mut self.heap).into_vec();
        all.sort_by(|a, b| b.cmp(a));
        for (order, w) in (0..).zip(&mut all) {
            w.at = to(&w.item, w.at);
            w.order = order;
        }
        (self.first, self.next) = (0, all.len() as i64);
        self.heap = all.into();
    }
}

// The heap gives its greatest item: the earliest one has to be that.
impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Waiting<T> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(queue: &mut Queue<u32>, now: u64) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| queue.pop(now)).collect()
    }

    #[test]
    fn nothing_goes_before_its_time() {
        let mut queue = Queue::default();
        queue.push(20, 1);
        queue.push(10, 2);
        assert_eq!(queue.next_at(), Some(10));
        assert_eq!(queue.pop(9), None);
        assert_eq!(drain(&mut queue, 19), [(10, 2)]);
        assert_eq!(drain(&mut queue, 20), [(20, 1)]);
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn hastened_items_go_in_the_order_in_which_they_would_have_gone() {
        let mut queue = Queue::default();
        for (at, item) in [(30, 1), (10, 2), (20, 3), (20, 4)] {
            queue.push(at, item);
        }
        queue.hasten(|item, at| if *item == 4 { at } else { 5 });
        assert_eq!(drain(&mut queue, 100), [(5, 2), (5, 3), (5, 1), (20, 4)]);
    }

    #[test]
    fn the_last_to_be_first_is_the_first_of_its_time() {
        let mut queue = Queue::default();
        for (at, item) in [(10, 1), (20, 2)] {
            queue.push(at, item);
        }
        queue.push_first(20, 3);
        queue.push_first(20, 4);
        assert_eq!(drain(&mut queue, 20), [(10, 1), (20, 4), (20, 3), (20, 2)]);
    }

    proptest! {
        /// A stable sort by time is what the queue must agree with.
        #[test]
        fn order_is_by_time_and_then_by_arrival(times in prop::collection::vec(0u64..20, 0..60)) {
            let mut queue = Queue::default();
            let mut sorted: Vec<(u64, u32)> = times.iter().copied().zip(0..).collect();
            for (at, item) in &sorted { queue.push(*at, *item); }
            sorted.sort_by_key(|(at, _)| *at);
            prop_assert_eq!(drain(&mut queue, 20), sorted);
        }
    }
}
