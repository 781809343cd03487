use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn deliveries(queue: u64) -> Fault {
    fault(Model::Replay(Replay::Deliveries { table: 0, queue }))
}

fn at(now: u64, wire: u32) -> Packet {
    Packet { now, wire, payload: wire.saturating_sub(52), ..segment(0) }
}

/// Releases in ms after the first packet, at 1000 ms, of packets at (ms, bytes).
fn releases(trace: &[u64], packets: &[(u64, u32)]) -> Vec<u64> {
    let table: Vec<u64> = trace.iter().map(|ms| ms * MS).collect();
    let tables = [table.as_slice()];
    let tables = Tables { deliveries: &tables, ..Tables::default() };
    let mut line = Line::with([deliveries(u64::MAX)], tables);
    let mut judge = |ms, wire| line.judge(&at((1000 + ms) * MS, wire)).release / MS - 1000;
    packets.iter().map(|(ms, wire)| judge(*ms, *wire)).collect()
}

#[test]
fn each_opportunity_carries_a_full_packet() {
    assert_eq!(releases(&[2, 5, 9], &[(0, 1500), (0, 1500), (0, 1500)]), [2, 5, 9]);
}

#[test]
fn an_opportunity_without_a_packet_is_wasted() {
    assert_eq!(releases(&[2, 5, 9], &[(0, 1500), (3, 1500), (4, 1500)]), [2, 5, 9]);
}

#[test]
fn one_of_the_same_instant_is_over() {
    assert_eq!(releases(&[2, 5, 9], &[(0, 1500), (5, 1500)]), [2, 9]);
}

/// 700 and 4 bytes, twice: 1408 of 1504; the third goes on in the next opportunity.
#[test]
fn small_packets_share_an_opportunity_and_large_ones_use_several() {
    assert_eq!(releases(&[2, 5, 9], &[(0, 700), (0, 700), (0, 700)]), [2, 2, 5]);
    assert_eq!(releases(&[2, 5, 9], &[(0, 4000), (0, 500)]), [9, 9]);
}

/// Rounds of 9 ms: 2 5 9 | 11 14 18 | 20 ...; an opportunity at the end and one at 0 ms of the
/// next round are two.
#[test]
fn a_trace_starts_again_after_its_last_timestamp() {
    let full = [(0, 1500); 7];
    assert_eq!(releases(&[2, 5, 9], &full), [2, 5, 9, 11, 14, 18, 20]);
    assert_eq!(releases(&[0, 4], &full[..4]), [4, 4, 8, 8]);
    assert_eq!(releases(&[2, 2, 3], &full[..5]), [2, 2, 3, 5, 5]);
}

#[test]
fn a_trace_without_opportunities_moves_nothing() {
    for table in [&[][..], &[0, 0]] {
        let tables = [table];
        let tables = Tables { deliveries: &tables, ..Tables::default() };
        let fate = Line::with([deliveries(9000)], tables).judge(&at(5, 100));
        assert_eq!(fate.end, Some(End::QueueFull));
    }
}

/// mahimahi's link queue step by step: opportunities come one after the other, a queue is
/// emptied by each as far as it goes.
struct LinkQueue {
    table: Vec<u64>,
    next: usize,
    base: u64,
    limit: u64,
    /// Number of the packet, bytes to go.
    queue: VecDeque<(usize, u64)>,
    released: Vec<Option<u64>>,
}

impl LinkQueue {
    fn advance(&mut self, now: u64) {
        while self.base + self.table[self.next] <= now {
            let time = self.base + self.table[self.next];
            let mut left = 1504;
            while left > 0 && !self.queue.is_empty() {
                let (packet, bytes) = self.queue[0];
                let moved = left.min(bytes);
                left -= moved;
                self.queue[0].1 -= moved;
                if moved == bytes {
                    self.released[packet] = Some(time);
                    self.queue.pop_front();
                }
            }
            self.next = (self.next + 1) % self.table.len();
            if self.next == 0 {
                self.base += self.table.last().unwrap();
            }
        }
    }

    fn arrive(&mut self, now: u64, bytes: u64) {
        self.advance(now);
        let waiting: u64 = self.queue.iter().map(|(_, bytes)| bytes).sum();
        if waiting == 0 || waiting + bytes <= self.limit {
            self.queue.push_back((self.released.len(), bytes));
        }
        self.released.push(None);
    }
}

proptest! {
    #[test]
    fn deliveries_agree_with_a_link_queue_run_step_by_step(
        gaps in prop::collection::vec(0u64..5, 1..20), end in 1u64..5,
        packets in prop::collection::vec((0u64..4, 20u32..3000), 1..80),
        limit in 1000u64..20_000, start in 0u64..1000,
    ) {
        let mut table: Vec<u64> = gaps.iter()
            .scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
        table.push(table.last().unwrap() + end);
        let tables = [table.as_slice()];
        let tables = Tables { deliveries: &tables, ..Tables::default() };
        let mut line = Line::with([deliveries(limit)], tables);
        let mut oracle = LinkQueue {
            table: table.clone(), next: 0, base: start, limit,
            queue: VecDeque::new(), released: vec![],
        };
        let mut now = start;
        let mut found = vec![];
        for (i, (gap, wire)) in packets.iter().enumerate() {
            now += if i == 0 { 0 } else { *gap };
            oracle.arrive(now, u64::from(*wire) + 4);
            let fate = line.judge(&at(now, *wire));
            found.push(fate.end.is_none().then_some(fate.release));
        }
        oracle.advance(now + 1_000_000);
        prop_assert_eq!(found, oracle.released);
    }
}

const SAMPLES: [Sample; 3] = [
    Sample { at: 0, delay: 10 * MS, loss: 0 },
    Sample { at: 100 * MS, delay: 50 * MS, loss: 0 },
    Sample { at: 200 * MS, delay: 5 * MS, loss: P_ALWAYS },
];

fn samples(period: u64) -> Line<'static> {
    let tables = Tables { samples: &[&SAMPLES], ..Tables::default() };
    Line::with([fault(Model::Replay(Replay::Samples { table: 0, period }))], tables)
}

/// What becomes of packets that come so many ms after the first, at 1000 ms: delay in ms; `None`: lost.
fn held(line: &mut Line<'_>, ms: &[u64]) -> Vec<Option<u64>> {
    let mut judge = |ms| {
        let fate = line.judge(&at((1000 + ms) * MS, 1500));
        fate.end.is_none().then(|| fate.release / MS - 1000 - ms)
    };
    ms.iter().map(|ms| judge(*ms)).collect()
}

#[test]
fn a_line_of_a_trace_holds_until_the_next_one() {
    let found = held(&mut samples(300 * MS), &[0, 99, 100, 199, 200, 299]);
    assert_eq!(found, [Some(10), Some(10), Some(50), Some(50), None, None]);
}

#[test]
fn samples_start_again_after_their_period_or_hold_on() {
    let found = held(&mut samples(300 * MS), &[0, 299, 300, 405, 650]);
    assert_eq!(found, [Some(10), None, Some(10), Some(50), Some(10)]);
    assert_eq!(held(&mut samples(0), &[0, 299, 300, 405, 9999])[1..], [None; 4]);
}

/// A shorter delay does not let packets overtake those before them.
#[test]
fn samples_keep_order() {
    let mut line = samples(200 * MS);
    assert_eq!(held(&mut line, &[0, 199, 200, 230, 245]), [10, 50, 49, 19, 10].map(Some));
}

#[test]
fn recorded_loss_has_its_rate() {
    let n = 20_000;
    let table = [Sample { at: 0, delay: 0, loss: p32(0.25) }];
    let tables = [table.as_slice()];
    let tables = Tables { samples: &tables, ..Tables::default() };
    let model = Model::Replay(Replay::Samples { table: 0, period: 0 });
    let losses = Line::with([fault(model)], tables).losses(n);
    assert_binomial(losses.iter().filter(|lost| **lost).count(), n as usize, 0.25);
}
