use proptest::prelude::*;

use super::*;

fn rate(bits_per_s: u64, queue: u64) -> Fault {
    fault(Model::Rate(Rate { bits_per_s, queue }))
}

fn at(now: u64, wire: u32) -> Packet {
    Packet { now, wire, payload: wire.saturating_sub(52), ..segment(0) }
}

#[test]
fn a_packet_leaves_when_its_last_bit_has() {
    // 12 Mbit/s: 1500 bytes take 1 ms.
    let mut line = Line::new([rate(12_000_000, 3000)]);
    let release = |line: &mut Line<'_>, now| line.judge(&at(now, 1500)).release;
    assert_eq!(release(&mut line, 5 * MS), 6 * MS);
    assert_eq!(release(&mut line, 5 * MS), 7 * MS, "behind the first");
    assert_eq!(release(&mut line, 20 * MS), 21 * MS, "no credit for the idle time");
}

#[test]
fn the_queue_drops_at_its_tail_and_an_idle_link_takes_anything() {
    let mut line = Line::new([rate(12_000_000, 3000)]);
    let ends: Vec<_> = (0..3).map(|_| line.judge(&at(0, 1500)).end).collect();
    assert_eq!(ends, [None, None, Some(End::QueueFull)]);
    // A third of the first has left: 2500 bytes wait, and there is room for 500 exactly.
    assert_eq!(line.judge(&at(MS / 3 + 1, 501)).end, Some(End::QueueFull));
    assert_eq!(line.judge(&at(MS / 3 + 1, 500)).end, None);
    // Longer than the whole queue.
    assert_eq!(line.judge(&at(100 * MS, 60_000)).end, None);
}

/// Behind a fault that turns packets round: the second is there at 5 ms, but stands behind one that came
/// at 10 ms. Only that one is in its way, not the time until then.
#[test]
fn a_packet_out_of_order_finds_the_queue_as_it_was_left() {
    let mut line = Line::new([rate(12_000_000, 3000)]);
    assert_eq!(line.judge(&at(10 * MS, 1500)).release, 11 * MS);
    let fate = line.judge(&at(5 * MS, 1500));
    assert_eq!((fate.end, fate.release), (None, 12 * MS));
}

#[test]
fn a_rate_of_nothing_moves_nothing() {
    let fate = Line::new([rate(0, 3000)]).judge(&at(0, 1500));
    assert_eq!(fate.end, Some(End::QueueFull));
}

/// A second way: a list of (end of transmission, bytes) in exact rational time, units of 1/rate ns.
struct Oracle {
    rate: u128,
    queue: u128,
    sent: Vec<(u128, u128)>,
}

impl Oracle {
    fn judge(&mut self, now: u64, wire: u32) -> Option<u64> {
        const BYTE: u128 = 8_000_000_000;
        let now = u128::from(now) * self.rate;
        let wire = u128::from(wire) * BYTE;
        // What is left of each at `now`: it takes as long as it is large.
        let left: u128 =
            self.sent.iter().map(|(end, size)| end.saturating_sub(now).min(*size)).sum();
        if left > 0 && left + wire > self.queue * BYTE {
            return None;
        }
        let start = self.sent.last().map_or(now, |(end, _)| now.max(*end));
        self.sent.push((start + wire, wire));
        Some((start + wire).div_ceil(self.rate) as u64)
    }
}

fn arrivals() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap = prop_oneof![Just(0u64), 0u64..2_000, 0u64..3 * MS];
    prop::collection::vec((gap, 40u32..=1500), 1..120).prop_map(|list| {
        let mut now = 1_000_000;
        let mut arrive = |gap| {
            now += gap;
            now
        };
        list.into_iter().map(|(gap, wire)| (arrive(gap), wire)).collect()
    })
}

proptest! {
    #[test]
    fn it_is_a_work_conserving_drop_tail_server(
        bits in prop_oneof![8_000u64..1_000_000, 1_000_000u64..100_000_000_000],
        queue in 1500u64..100_000, arrivals in arrivals(),
    ) {
        let mut line = Line::new([rate(bits, queue)]);
        let mut oracle = Oracle { rate: u128::from(bits), queue: u128::from(queue), sent: vec![] };
        for (now, wire) in arrivals {
            let fate = line.judge(&at(now, wire));
            match oracle.judge(now, wire) {
                Some(release) => prop_assert_eq!((fate.end, fate.release), (None, release)),
                None => prop_assert_eq!(fate.end, Some(End::QueueFull)),
            }
        }
    }

    /// Whatever the window, no more leaves in it than it carries, and one packet.
    #[test]
    fn no_window_carries_more_than_the_rate(
        bits in 1_000_000u64..10_000_000_000, arrivals in arrivals(),
    ) {
        let mut line = Line::new([rate(bits, u64::MAX)]);
        let out: Vec<(u64, u64)> = arrivals.iter()
            .map(|(now, wire)| (line.judge(&at(*now, *wire)).release, u64::from(*wire)))
            .collect();
        for (i, (from, _)) in out.iter().enumerate() {
            // Those after packet i: packet i itself is the one that may stick out.
            let mut bytes = 0u128;
            for (to, wire) in &out[i + 1..] {
                bytes += u128::from(*wire);
                // Releases are rounded up to a ns.
                let window = u128::from(to - from + 1);
                prop_assert!(bytes * 8_000_000_000 <= window * u128::from(bits));
            }
        }
    }

    /// Behind a delay that turns packets round the queue serves them as they came to the stack.
    #[test]
    fn it_never_goes_back_in_time(times in prop::collection::vec(0u64..10 * MS, 2..50)) {
        let mut line = Line::new([rate(12_000_000, u64::MAX)]);
        let mut last = 0;
        for now in times {
            let release = line.judge(&at(now, 1500)).release;
            prop_assert!(release >= last + MS && release >= now + MS);
            last = release;
        }
    }
}
