use proptest::prelude::*;

use super::*;

#[test]
fn an_empty_range_changes_nothing() {
    let mut set = RangeSet::new();
    set.insert(5..5);
    assert!(set.ranges().is_empty());
    assert!(set.covers(&(3..3)));
    assert!(!set.covers(&(3..4)));
}

#[test]
fn touching_ranges_become_one() {
    let mut set = RangeSet::new();
    set.insert(0..10);
    set.insert(20..30);
    set.insert(10..20);
    assert_eq!(set.ranges(), std::slice::from_ref(&(0..30)));
}

#[test]
fn a_number_just_before_the_base_is_negative() {
    assert_eq!(Unwrapper::new(0).offset(u32::MAX), -1);
    assert_eq!(Unwrapper::new(u32::MAX).offset(4), 5);
}

/// What a range set means, byte by byte.
fn bitmap(ranges: &[(i64, i64)]) -> Vec<bool> {
    (0..64).map(|b| ranges.iter().any(|&(s, l)| b >= s && b < s + l)).collect()
}

proptest! {
    #[test]
    fn offsets_survive_every_wrap(base: u32, start in 0i64..(1 << 36), steps in prop::collection::vec(-(1i64 << 30)..(1i64 << 30), 1..50)) {
        let mut u = Unwrapper::new(base);
        // Up to the start in steps that TCP could take.
        let mut at = 0i64;
        while at < start {
            at = (at + (1 << 30)).min(start);
            let seq = base.wrapping_add(at as u32);
            prop_assert_eq!(u.offset(seq), at);
            u.advance(at);
        }
        for step in steps {
            let offset = at + step;
            prop_assert_eq!(u.offset(base.wrapping_add(offset as u32)), offset);
            u.advance(offset);
            at = at.max(offset);
        }
    }

    #[test]
    fn a_set_is_its_bytes(
        ranges in prop::collection::vec((0i64..60, 0i64..12), 0..20),
        (from, len) in (0i64..50, 0i64..14),
    ) {
        let mut set = RangeSet::new();
        let mut halves = (RangeSet::new(), RangeSet::new());
        for (i, &(s, l)) in ranges.iter().enumerate() {
            set.insert(s..s + l);
            if i % 2 == 0 { halves.0.insert(s..s + l) } else { halves.1.insert(s..s + l) }
        }
        halves.0.union(&halves.1);
        prop_assert_eq!(&halves.0, &set);
        for pair in set.ranges().windows(2) {
            prop_assert!(pair[0].end < pair[1].start, "{:?} is not normalised", set);
        }
        let bits = bitmap(&ranges);
        let asked = from..from + len;
        let is_in = |list: &[Range<i64>], b: i64| list.iter().any(|r| r.contains(&b));
        let (gaps, within) = (set.gaps(&asked), set.within(&asked));
        for b in 0..64 {
            let held = bits[b as usize];
            prop_assert_eq!(is_in(set.ranges(), b), held);
            prop_assert_eq!(is_in(&gaps, b), asked.contains(&b) && !held);
            prop_assert_eq!(is_in(&within, b), asked.contains(&b) && held);
        }
        prop_assert_eq!(set.covers(&asked), asked.clone().all(|b| bits[b as usize]));
    }

    #[test]
    fn the_index_finds_what_a_scan_finds(
        ranges in prop::collection::vec((0i64..60, 0i64..30), 0..30),
        (from, len) in (0i64..60, 0i64..20),
    ) {
        let ranges: Vec<_> = ranges.into_iter().map(|(s, l)| s..s + l).collect();
        let asked = from..from + len;
        let index = RangeIndex::new(ranges.iter().cloned());
        let meets = |r: &Range<i64>| r.start.max(asked.start) < r.end.min(asked.end);
        let scan: Vec<_> = (0..ranges.len()).filter(|&i| meets(&ranges[i])).collect();
        prop_assert_eq!(index.meeting(&asked), scan);
    }
}
