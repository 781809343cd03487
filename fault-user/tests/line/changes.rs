//! Packets that are changed, and packets that cannot be taken apart.

use fault_common::event::{VERDICT_DISCARDED, VERDICT_DROP, VERDICT_PASS};
use fault_common::fate::{Corrupt, Fault, Model};
use fault_common::line::Handed;
use fault_common::rule::P_ALWAYS;
use proptest::prelude::*;

use crate::rig::{A, MS, MSS, Rig, delay, fault, lossy, stream, within};
use crate::spec::{Spec, State};

const IP: usize = 28;

fn corrupt(bits: u32, valid: bool) -> Fault {
    let (p, offset) = (P_ALWAYS, (0, u32::MAX));
    fault(9, Model::Corrupt(Corrupt { p, bits, valid, offset, headers: false }))
}

proptest! {
    #[test]
    fn so_many_bits_of_the_one_packet_are_flipped(
        seed in any::<u64>(), bits in 1..60u32, valid in any::<bool>(),
    ) {
        let mut rig = Rig::with(seed, u64::MAX);
        let mss = MSS as u64;
        rig.arm(&[(A, &[within(mss, mss + 1, corrupt(bits, valid))])]);
        rig.bytes(A, 0, 3 * MSS);
        let wire: Vec<_> = rig.out.written.iter().flat_map(|w| &w.wire).collect();
        let wrong: Vec<u32> = wire.iter().enumerate().map(|(i, w)| {
            let right = stream(i as u64 * mss, MSS);
            w.payload.iter().zip(right).map(|(a, b)| (a ^ b).count_ones()).sum()
        }).collect();
        prop_assert_eq!(wrong, [0, bits, 0]);
        let good: Vec<_> = wire.iter().map(|w| w.good()).collect();
        prop_assert_eq!(good, [true, valid, true]);
        let spoilt = if valid { VERDICT_PASS } else { VERDICT_DISCARDED };
        let told: Vec<_> = rig.out.events.iter().map(|e| e.verdict).collect();
        prop_assert_eq!(told, [VERDICT_PASS, spoilt, VERDICT_PASS]);
        prop_assert_eq!(rig.tally(A).corrupted, 1);
        prop_assert_eq!(rig.tally(A).dropped, 0);
    }

    /// A checksum's own bits cannot be hit and the checksum be valid: others are hit instead.
    #[test]
    fn of_the_whole_packet_as_many(seed in any::<u64>(), valid in any::<bool>()) {
        let mut rig = Rig::with(seed, u64::MAX);
        // Flags, window and checksum of TCP: 24 bits that can be hit, and 16 that cannot.
        let model = Corrupt { p: P_ALWAYS, bits: 24, valid, offset: (33, 38), headers: true };
        rig.arm(&[(A, &[fault(9, Model::Corrupt(model))])]);
        let sent = crate::wire::packet(&rig.spec(0, 100).frame().whole(0));
        rig.bytes(A, 0, 100);
        let went = &rig.out.written[0].wire[0];
        prop_assert_eq!(went.good(), valid);
        let all = (went.flags ^ sent.flags, went.window ^ sent.window) == (0xff, 0xffff);
        prop_assert!(all || !valid);
        prop_assert_eq!(&went.payload, &sent.payload);
        prop_assert_eq!(rig.tally(A).corrupted, 1);
    }
}

#[test]
fn what_is_ecn_capable_is_marked() {
    for (class, marked, unmarkable, ecn) in [(2, 3, 0, 3), (1, 3, 0, 3), (0, 0, 3, 0), (3, 0, 0, 3)]
    {
        let mut rig = Rig::under(&[fault(9, Model::MarkCe(P_ALWAYS))]);
        rig.like.class = class;
        rig.bytes(A, 0, 3 * MSS);
        assert!(rig.out.written[0].wire.iter().all(|w| w.ecn == ecn && w.good()));
        assert_eq!(rig.out.written.len(), 1, "marked alike, they stay together");
        let tally = rig.tally(A);
        assert_eq!((tally.marked, tally.unmarkable), (marked, unmarkable));
    }
}

/// The first fragment of a datagram: the programs know whose it is.
fn fragment() -> Spec {
    Spec { state: State::Full, ..Spec::udp(false, 64, None) }
}

fn accept_fragment(rig: &mut Rig) {
    let mut bytes = fragment().bytes();
    bytes[IP + 6] = 0x20;
    let handed = Handed { wire_bytes: 92, payload: 64, segs: 1, ..rig.handed(A) };
    let frame = fault_user::line::frame::Frame::parse(bytes.into()).unwrap();
    assert!(frame.only_whole().is_some());
    rig.engine.accept(&handed, &frame, &mut rig.out);
}

struct Raw(Vec<u64>);

impl fault_user::line::Outlet for Raw {
    fn write(
        &mut self,
        piece: &mut fault_user::line::frame::Piece,
        _: &fault_common::line::Back,
    ) -> bool {
        self.0.push(piece.len() as u64);
        true
    }
    fn tell(&mut self, _: fault_common::event::Event) {}
    fn answer(&mut self, _: fault_user::line::Answer) {}
    fn done(&mut self, _: fault_user::line::engine::ConnKey, _: u64) {}
    fn now(&self) -> u64 {
        0
    }
}

#[test]
fn what_cannot_be_taken_apart_is_judged_as_one_packet() {
    let mut rig = Rig::under(&[lossy(9, 1.0)]);
    accept_fragment(&mut rig);
    let told: Vec<_> = rig.out.events.iter().map(|e| (e.verdict, e.rule, e.len, e.proto)).collect();
    assert_eq!(told, [(VERDICT_DROP, 9, 64, 17)]);
    assert_eq!(rig.tally(A).dropped, 1);

    rig.arm(&[(A, &[delay(8, 5 * MS), corrupt(1, false)])]);
    accept_fragment(&mut rig);
    let due = rig.engine.next_at().unwrap();
    assert_eq!(due, rig.now + 5 * MS);
    let mut raw = Raw(Vec::new());
    rig.engine.due(due, &mut raw);
    assert_eq!(raw.0, [fragment().bytes().len() as u64]);
    assert_eq!(rig.tally(A).corrupted, 0, "its checksum is about more than this fragment");
}
