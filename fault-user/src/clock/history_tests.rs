use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;
/// The machine started at this moment.
const BOOT: i64 = 1_700_000_000 * 1_000_000_000;
/// Between two readings.
const TICK: u64 = S / 50;

/// A wall clock that is set in mid-run.
struct Fake {
    /// (from when, by how much), in order of time; ns.
    steps: Vec<(u64, i64)>,
}

impl Fake {
    fn offset(&self, at: u64) -> i64 {
        BOOT + self.steps.iter().filter(|(from, _)| *from <= at).map(|(_, by)| by).sum::<i64>()
    }

    fn shows(&self, at: u64) -> i128 {
        i128::from(at) + i128::from(self.offset(at))
    }

    /// Read with each tick until `end`; with what the history noticed.
    fn watched(&self, end: u64) -> (History, Vec<i64>) {
        let reading = |monotonic| Reading { monotonic, offset: self.offset(monotonic) };
        let mut history = History::new(reading(S));
        let ticks = (1..).map(|n| S + n * TICK).take_while(|at| *at <= end);
        let noticed = ticks.filter_map(|at| history.read(reading(at))).collect();
        (history, noticed)
    }
}

#[test]
fn a_clock_that_nobody_sets_has_one_offset() {
    let clock = Fake { steps: vec![] };
    let (history, noticed) = clock.watched(10 * S);
    assert_eq!((noticed, history.readings.len()), (vec![], 1));
    for at in [1, S / 2, 3 * S, 12 * S] {
        assert_eq!(history.monotonic(clock.shows(at), at), Some(at));
    }
    assert_eq!(history.monotonic(5, S), None, "1970");
}

#[test]
fn stamps_before_and_after_a_step_are_mapped_by_the_offset_of_their_time() {
    for by in [3600 * S as i64, -3600 * S as i64, 2 * S as i64, -2 * S as i64] {
        let clock = Fake { steps: vec![(5 * S + 7_000, by)] };
        let (history, noticed) = clock.watched(10 * S);
        assert_eq!(noticed, [by]);
        for at in [2 * S, 4 * S, 5 * S - TICK, 5 * S + TICK, 6 * S, 9 * S] {
            let (stamp, written) = (clock.shows(at), at + 1_000);
            assert_eq!(history.monotonic(stamp, written), Some(at), "{by} at {at}");
        }
    }
}

#[test]
fn a_line_that_is_written_after_the_step_tells_of_a_time_before_it() {
    let clock = Fake { steps: vec![(5 * S, 3600 * S as i64)] };
    let (history, _) = clock.watched(6 * S);
    assert_eq!(history.monotonic(clock.shows(4 * S), 6 * S), Some(4 * S));
}

#[test]
fn a_time_that_the_clock_showed_twice_is_the_later_one_that_had_come() {
    let clock = Fake { steps: vec![(5 * S, -(2 * S as i64))] };
    let (history, _) = clock.watched(9 * S);
    // At 4 s and at 6 s it showed the same.
    assert_eq!(clock.shows(4 * S), clock.shows(6 * S));
    assert_eq!(history.monotonic(clock.shows(4 * S), 4 * S + 1_000), Some(4 * S));
    assert_eq!(history.monotonic(clock.shows(6 * S), 6 * S + 1_000), Some(6 * S));
}

#[test]
fn a_correction_of_its_speed_is_followed_and_is_no_step() {
    let slewed = |at: u64| BOOT + (at / 2_000) as i64;
    let mut history = History::new(Reading { monotonic: S, offset: slewed(S) });
    for n in 1..5_000 {
        let monotonic = S + n * TICK;
        assert_eq!(history.read(Reading { monotonic, offset: slewed(monotonic) }), None);
    }
    let at = 70 * S;
    let found = history.monotonic(i128::from(at) + i128::from(slewed(at)), at + 1_000).unwrap();
    assert!(found.abs_diff(at) < 3 * SLIGHT, "{found}");
}

proptest! {
    /// However often it is set by a second or more: a stamp that is written down at once is of its moment, but for the time
    /// between two readings, in which nobody knows which clock it was.
    #[test]
    fn each_stamp_is_of_its_moment(
        mut steps in prop::collection::vec((2 * S..60 * S, prop_oneof![-100_000i64..-1_000, 1_000i64..100_000]), 0..6),
        at in S..60 * S,
    ) {
        steps.sort_unstable();
        for step in &mut steps {
            step.1 *= 1_000_000;
        }
        let clock = Fake { steps };
        prop_assume!(clock.steps.iter().all(|(from, _)| from.abs_diff(at) > SLACK + TICK));
        let (history, _) = clock.watched(62 * S);
        prop_assert_eq!(history.monotonic(clock.shows(at), at + 1_000), Some(at));
    }
}
