use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const CORRUPT: Corrupt =
    Corrupt { p: P_ALWAYS, bits: 1, valid: true, offset: (0, u32::MAX), headers: false };

fn flip(corrupt: Corrupt, packet: &Packet) -> Option<Corruption> {
    Line::new([fault(Model::Corrupt(corrupt))]).judge(packet).corrupt
}

#[test]
fn payload_is_hit_and_headers_only_when_asked_for() {
    let packet = segment(0);
    assert_eq!(flip(CORRUPT, &packet).unwrap().range, (0, MSS));
    let all = Corrupt { headers: true, ..CORRUPT };
    assert_eq!(flip(all, &packet).unwrap().range, (0, FULL));
    let middle = Corrupt { offset: (100, 200), ..CORRUPT };
    assert_eq!(flip(middle, &packet).unwrap().range, (100, 200));
}

/// Neither judged nor counted: a fault of p = 1 whose every packet is an ACK must not look as
/// if it had failed to act.
#[test]
fn a_packet_without_such_bytes_is_not_judged() {
    let ack = Packet { payload: 0, wire: 52, ..segment(0) };
    let beyond = Corrupt { offset: (MSS, u32::MAX), ..CORRUPT };
    for (model, packet) in [(CORRUPT, ack), (beyond, segment(0))] {
        let mut line = Line::new([fault(Model::Corrupt(model))]);
        let fate = line.judge(&packet);
        assert_eq!((fate.judged, fate.acted, fate.corrupt), (0, 0, None));
        assert_eq!(line.states[0].seen, 0);
    }
}

#[test]
fn more_bits_than_there_are_means_all_of_them() {
    let corruption = flip(Corrupt { bits: 100, offset: (7, 9), ..CORRUPT }, &segment(0)).unwrap();
    assert_eq!(corruption.bits, 16);
    assert_eq!(bits(&corruption).collect::<BTreeSet<_>>(), (56..72).collect());
}

#[test]
fn corruption_has_its_rate() {
    let n = 50_000;
    let fates = Line::new([fault(Model::Corrupt(Corrupt { p: p32(0.1), ..CORRUPT }))]).segments(n);
    let hits = fates.iter().filter(|fate| fate.corrupt.is_some()).count();
    assert_binomial(hits, n as usize, 0.1);
}

/// Two bits of c, n times: each of the d = c (c - 1) ordered pairs equally often. Chi square with
/// d - 1 degrees of freedom has mean d - 1 and sd sqrt(2 (d - 1)).
#[test]
fn bits_are_chosen_evenly_and_in_pairs_too() {
    let n = 200_000;
    for bytes in [1_u32, 2, 3, 10] {
        let model = Corrupt { bits: 2, offset: (10, 10 + bytes), ..CORRUPT };
        let mut line = Line::new([fault(Model::Corrupt(model))]);
        let count = 8 * bytes as usize;
        let mut pairs = vec![0_u32; count * count];
        for i in 0..n {
            let fate = line.judge(&segment(i));
            let mut hit = bits(&fate.corrupt.unwrap()).map(|bit| bit as usize - 80);
            let (a, b) = (hit.next().unwrap(), hit.next().unwrap());
            pairs[a * count + b] += 1;
        }
        let cells = (count * (count - 1)) as f64;
        let expected = n as f64 / cells;
        let chi: f64 = (0..count * count)
            .filter(|i| i / count != i % count)
            .map(|i| (f64::from(pairs[i]) - expected).powi(2) / expected)
            .sum();
        assert_within(chi, cells - 1.0, (2.0 * (cells - 1.0)).sqrt());
    }
}

#[test]
fn a_packet_is_corrupted_once() {
    let mut line = Line::new([fault(Model::Corrupt(CORRUPT)); 2]);
    let fate = line.judge(&segment(0));
    assert_eq!((fate.judged, fate.acted), (0b11, 0b01));
}

proptest! {
    #[test]
    fn bits_are_different_and_within_the_range(
        from in 0u32..2000, len in 1u32..2000, count in 1u32..300, draw: u64,
    ) {
        let range = (from, from + len);
        let corruption = Corruption { bits: count, valid: true, range, headers: false, draw };
        let found: Vec<u64> = bits(&corruption).collect();
        prop_assert_eq!(found.len() as u32, count.min(8 * len));
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
        let inside = 8 * u64::from(from)..8 * u64::from(from + len);
        prop_assert!(found.iter().all(|bit| inside.contains(bit)));
    }

    #[test]
    fn the_same_draw_gives_the_same_bits(draw: u64) {
        let of = |draw| {
            let range = (0, 1448);
            bits(&Corruption { bits: 3, valid: true, range, headers: false, draw })
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(of(draw), of(draw));
        prop_assert_ne!(of(draw), of(draw.wrapping_add(1)));
    }

    /// An empty range, which no fate has, gives nothing rather than running for ever.
    #[test]
    fn an_empty_range_has_no_bits(at: u32, count: u32, draw: u64) {
        let range = (at, at);
        let corruption = Corruption { bits: count, valid: false, range, headers: true, draw };
        prop_assert_eq!(bits(&corruption).count(), 0);
    }
}
