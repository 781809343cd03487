use proptest::prelude::*;

use super::*;

fn send(tid: u32, end: i64, written: i64) -> SendCall {
    let range = end - written..end;
    SendCall {
        ts: 0,
        tid,
        range,
        written: written as u64,
        exact: true,
        loose: true,
        sender: None,
        error: None,
    }
}

fn settled(mut sends: Vec<SendCall>) -> Vec<(Range<i64>, bool)> {
    settle(&mut sends);
    sends.into_iter().map(|s| (s.range, s.exact)).collect()
}

#[test]
fn ranges_that_do_not_overlap_stay_as_they_are_in_whatever_order_they_came() {
    let sends = vec![send(1, 300, 100), send(2, 200, 200), send(1, 350, 50)];
    assert_eq!(settled(sends), [(200..300, true), (0..200, true), (300..350, true)]);
}

#[test]
fn sends_that_overlap_share_what_they_wrote_together() {
    // The first was written before the second, and looked after it.
    let sends = vec![send(1, 50, 50), send(2, 250, 100), send(3, 250, 100), send(1, 260, 10)];
    assert_eq!(
        settled(sends),
        [(0..50, true), (50..250, false), (50..250, false), (250..260, true)]
    );
}

#[test]
fn what_is_pushed_back_pushes_back_what_stood_there() {
    // Three of 100: the last two looked late, and need the room of the first.
    let sends = vec![send(1, 200, 100), send(2, 300, 100), send(3, 300, 100)];
    assert!(settled(sends).iter().all(|s| *s == (0..300, false)));
}

/// Lengths in order of writing, and how many later writes each call missed before it looked.
fn writes() -> impl Strategy<Value = Vec<(i64, usize)>> {
    prop::collection::vec((1i64..500, prop_oneof![4 => Just(0usize), 1 => 1usize..4]), 1..40)
}

proptest! {
    /// Whoever looks late, and whenever: what is called exact is, and every send is within its range.
    #[test]
    fn every_send_is_where_it_is_said_to_be(writes in writes()) {
        let mut ends = Vec::new();
        let mut at = 0;
        for (len, _) in &writes {
            at += len;
            ends.push(at);
        }
        let looked = |(i, (len, late)): (usize, &(i64, usize))| {
            send(0, ends[(i + late).min(ends.len() - 1)], *len)
        };
        let sends: Vec<_> = writes.iter().enumerate().map(looked).collect();
        let found = settled(sends);
        for (i, (range, exact)) in found.iter().enumerate() {
            let truth = ends[i] - writes[i].0..ends[i];
            prop_assert!(range.start <= truth.start && truth.end <= range.end, "{i}: {truth:?} {range:?}");
            prop_assert!(!exact || *range == truth, "{i}: {truth:?} {range:?}");
        }
    }
}
