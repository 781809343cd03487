//! How often packets at one place have come.

use std::collections::HashMap;

/// Places that are remembered for certain. A window of the largest size that Linux opens by
/// itself (tcp_rmem, 6 MiB) has half as many segments.
const KEPT: usize = 8192;

/// A place: sequence number, and whether it is one of bytes. Packets without bytes count apart,
/// or they would change the draws of the bytes that come to stand there.
type Place = (u32, bool);

/// Counts of the places that came last. Of places longer ago it is forgotten that they came, so
/// that memory is bounded; a copy of such a one shares the draws of an earlier copy.
#[derive(Debug, Default)]
pub struct Attempts {
    recent: HashMap<Place, u32>,
    older: HashMap<Place, u32>,
}

impl Attempts {
    /// Counts one more; how many there were before.
    pub fn count(&mut self, place: Place) -> u32 {
        if let Some(count) = self.recent.get_mut(&place) {
            *count = count.wrapping_add(1);
            return count.wrapping_sub(1);
        }
        if self.recent.len() >= KEPT {
            self.older = std::mem::take(&mut self.recent);
        }
        let before = self.older.get(&place).copied().unwrap_or(0);
        self.recent.insert(place, before.wrapping_add(1));
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_apart() {
        let mut attempts = Attempts::default();
        let places = [(1, true), (1, false), (2, true), (1, true), (1, false), (1, true)];
        assert_eq!(places.map(|p| attempts.count(p)), [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn what_came_lately_is_remembered_and_memory_is_bounded() {
        let mut attempts = Attempts::default();
        attempts.count((7, true));
        for seq in 0..KEPT as u32 {
            attempts.count((1000 + seq, true));
        }
        assert_eq!(attempts.count((7, true)), 1, "within the last places");
        for seq in 0..10 * KEPT as u32 {
            attempts.count((1_000_000 + seq, true));
        }
        assert!(attempts.recent.len() + attempts.older.len() <= 2 * KEPT);
        assert_eq!(attempts.count((7, true)), 0, "forgotten");
    }
}
