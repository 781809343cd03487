//! What the programs hand over of packets that a rule lost: their bytes, whosesoever else's not, and what
//! finds no room is counted.

use fault_common::rule::Direction;
use fault_common::stats::Global;
use fault_user::capture::{Did, Packet, decode};
use fault_user::kernel::testing::TestContext;
use fault_user::kernel::{Kernel, Setup};

use crate::rig::{certain, chain, data, entry, setup, sockets, towards};

/// Two flows, of which the first loses everything that comes in.
fn kernel(snaplen: u32, captures: u32) -> Kernel {
    let mut kernel = Kernel::load(&Setup { snaplen, captures, ..setup(1) }).unwrap();
    for socket in &sockets()[..2] {
        kernel.add_socket(socket.cookie, entry(socket), towards(socket)).unwrap();
    }
    kernel.arm(&[((0, Direction::Ingress), chain(&[certain(5)]))].into()).unwrap();
    kernel
}

fn run(kernel: &mut Kernel, bytes: &[u8], ethernet: bool, times: u32) {
    // Not `repeat`: the second time a packet is judged already.
    for _ in 0..times {
        let context = TestContext::default();
        kernel.test_run(Direction::Ingress, ethernet, bytes, &context).unwrap();
    }
}

fn drain(kernel: &mut Kernel) -> Vec<Packet> {
    let records = kernel.captures().unwrap().finish().unwrap();
    records.iter().map(|r| decode(r).unwrap()).collect()
}

#[test]
fn lost_packets_are_handed_over_with_their_bytes() {
    let [lossy, other] = [sockets()[0], sockets()[1]];
    for snaplen in [64, 1000] {
        let mut kernel = kernel(snaplen, 10);
        for ethernet in [true, false] {
            let bytes = data(&lossy, 4711).bytes(ethernet);
            run(&mut kernel, &bytes, ethernet, 1);
            run(&mut kernel, &data(&other, 1).bytes(ethernet), ethernet, 1);
        }
        let packets = drain(&mut kernel);
        assert_eq!(packets.len(), 2, "{packets:?}");
        for (packet, ethernet) in packets.iter().zip([true, false]) {
            let bytes = data(&lossy, 4711).bytes(ethernet);
            let kept = bytes.len().min(snaplen as usize);
            assert_eq!((&packet.bytes[..], packet.len as usize), (&bytes[..kept], bytes.len()));
            assert_eq!((packet.bare, packet.did), (!ethernet, Did::Lost));
            assert_eq!((packet.cookie, packet.seq, &packet.rules), (lossy.cookie, 4711, &vec![5]));
        }
    }
}

#[test]
fn nothing_is_handed_over_that_nobody_asked_for() {
    let mut kernel = kernel(0, 0);
    run(&mut kernel, &data(&sockets()[0], 1).bytes(true), true, 5);
    assert_eq!(drain(&mut kernel), []);
    let totals = kernel.totals().unwrap();
    assert_eq!((totals.get(Global::CaptureLost), totals.get(Global::CaptureBeyond)), (0, 0));
}

#[test]
fn what_is_beyond_the_limit_or_finds_no_room_is_counted() {
    // With 64 bytes each the ring has 1 MiB; a record takes 136.
    const MANY: u32 = 12_000;
    for max in [100, MANY] {
        let mut kernel = kernel(64, max);
        run(&mut kernel, &data(&sockets()[0], 1).bytes(true), true, MANY);
        let read = drain(&mut kernel).len() as u64;
        let totals = kernel.totals().unwrap();
        let (lost, beyond) = (totals.get(Global::CaptureLost), totals.get(Global::CaptureBeyond));
        assert_eq!(read + lost + beyond, u64::from(MANY));
        assert_eq!(beyond, u64::from(MANY - max));
        assert_eq!(lost > 0, max == MANY, "{lost}");
        // Events have a ring of their own.
        assert_eq!(totals.get(Global::EventsLost), 0);
    }
}
