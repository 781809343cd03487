//! Which packets a fault means, and when it is on.

use proptest::prelude::*;

use super::*;
use crate::decide::UNPLACED;

const SYN_ACK: u8 = tcp::SYN | tcp::ACK;

fn flags(flags: u8) -> Packet {
    Packet { pos: UNPLACED, payload: 0, wire: 52, flags, ..segment(0) }
}

#[test]
fn each_kind_of_segment_means_its_own() {
    let packets = [
        flags(tcp::SYN),
        flags(SYN_ACK),
        segment(0),
        flags(tcp::ACK),
        flags(tcp::FIN | tcp::ACK),
        flags(tcp::RST | tcp::ACK),
        datagram(0, 100),
    ];
    let meant = |kind| {
        let when = When { segment: Some(kind), ..When::default() };
        let meant: Vec<usize> = (0..packets.len()).filter(|i| when.means(&packets[*i])).collect();
        meant
    };
    assert_eq!(meant(Segment::Syn), [0, 1]);
    assert_eq!(meant(Segment::SynAck), [1]);
    assert_eq!(meant(Segment::Data), [2]);
    assert_eq!(meant(Segment::AckOnly), [3]);
    assert_eq!(meant(Segment::Fin), [4]);
    assert_eq!(meant(Segment::Rst), [5]);
}

#[test]
fn size_is_inclusive_and_counts_ip_bytes() {
    let when = When { size: Some((100, 200)), ..When::default() };
    let meant = |wire| when.means(&Packet { wire, ..segment(0) });
    assert_eq!([99, 100, 200, 201].map(meant), [false, true, true, false]);
}

#[test]
fn a_range_of_the_stream_means_packets_with_a_byte_of_it() {
    let when = When { stream: Some((1000, 2000)), ..When::default() };
    let meant = |pos, payload| when.means(&Packet { pos, payload, ..segment(0) });
    assert!(!meant(0, 1000) && meant(0, 1001) && meant(1999, 1) && !meant(2000, 1));
    assert!(!meant(1500, 0), "an ACK carries nothing");
    assert!(!when.means(&Packet { pos: UNPLACED | 1500, ..datagram(0, 100) }));
}

#[test]
fn all_conditions_must_hold_and_what_is_not_meant_is_not_counted() {
    let when = When { retransmission: true, size: Some((0, 99)), ..When::default() };
    let mut line = Line::new([Fault { when, ..loss(Loss::First(1)) }]);
    let fate = line.judge(&segment(0));
    assert_eq!((fate.end, fate.judged, line.states[0].seen), (None, 0, 0));
    let fate = line.judge(&Packet { wire: 99, retransmission: true, ..segment(0) });
    assert_eq!((fate.end, fate.judged), (Some(End::Lost), 1));
}

fn pulse(on: u64, off: u64, armed: u64) -> Fault {
    Fault { pulse: Some(Pulse { on, off, armed }), ..loss(Loss::Random(P_ALWAYS)) }
}

#[test]
fn a_pulse_is_on_first_then_off_then_on_again() {
    let mut line = Line::new([pulse(100 * MS, 400 * MS, 1000 * MS)]);
    let mut lost = |ms| line.judge(&Packet { now: ms * MS, ..segment(0) }).end.is_some();
    let found = [1000, 1099, 1100, 1499, 1500, 1599, 1600].map(&mut lost);
    assert_eq!(found, [true, true, false, false, true, true, false]);
}

#[test]
fn a_pulse_without_an_off_time_is_always_on() {
    assert!(Pulse { on: 0, off: 0, armed: 5 }.is_on(7));
}

/// A pulse looks at the time at which the packet reaches the fault.
#[test]
fn a_pulse_behind_a_delay_sees_the_packet_later() {
    let delay = Delay {
        mean: 150 * MS,
        jitter: 0,
        distribution: Distribution::Constant,
        correlation: 0,
        keep_order: false,
    };
    let stack = [fault(Model::Delay(delay)), pulse(100 * MS, 400 * MS, 0)];
    assert_eq!(Line::new(stack).judge(&segment(0)).judged, 0b01);
}

/// When a pulse of delay ends, what it holds still comes before what follows.
#[test]
fn what_a_pulse_has_held_is_not_overtaken_after_it() {
    let released = |keep_order| {
        let delay = Delay {
            mean: 150 * MS,
            jitter: 0,
            distribution: Distribution::Constant,
            correlation: 0,
            keep_order,
        };
        let pulse = Some(Pulse { on: 50 * MS, off: 450 * MS, armed: 0 });
        let mut line = Line::new([Fault { pulse, ..fault(Model::Delay(delay)) }]);
        [49, 60, 200].map(|ms| line.judge(&Packet { now: ms * MS, ..segment(0) }).release / MS)
    };
    assert_eq!(released(true), [199, 199, 200]);
    assert_eq!(released(false), [199, 60, 200]);
}

proptest! {
    #[test]
    fn a_pulse_has_its_duty_cycle(on in 1u64..1000, off in 0u64..1000, armed in 0u64..1000) {
        let pulse = Pulse { on, off, armed };
        let on_time = (armed..armed + on + off).filter(|now| pulse.is_on(*now)).count() as u64;
        prop_assert_eq!(on_time, on);
        for now in armed..armed + 50 {
            prop_assert_eq!(pulse.is_on(now), pulse.is_on(now + on + off));
        }
    }

    #[test]
    fn a_pulse_has_no_time_that_fails(on: u64, off: u64, armed: u64, now: u64) {
        let pulse = Pulse { on, off, armed };
        prop_assert!(off != 0 || pulse.is_on(now));
    }
}
