//! On stacked devices the same packet passes several hooks; it is judged once per direction.
//!
//! The kernel refuses a context with a mark (`tc_index`), so the same packet is shown to the
//! program again instead: BPF_PROG_TEST_RUN keeps the packet, and so its mark, over repetitions.
//! Not reachable this way: a mark set in one direction and read in the other (one program, one
//! run), and a foreign value in `tc_index`; both need real devices.

use fault_common::rule::Direction;
use fault_common::stats::Global;
use fault_user::kernel::testing::TestContext;

use crate::model::{PASSES, SHOT};
use crate::rig::{Rig, certain, data, drain, only, setup, sockets};

#[test]
fn a_packet_is_judged_once_however_often_it_passes() {
    let socket = sockets()[0];
    let packet = data(&socket, 1).bytes(true);
    let mut rig = Rig::new(&setup(1));
    rig.arm(only(0, &[certain(0)]));
    let mut see = |repeat| {
        let context = TestContext { repeat, ..TestContext::default() };
        rig.kernel.test_run(Direction::Ingress, true, &packet, &context).unwrap().code
    };
    assert_eq!(see(1), SHOT);
    // The verdict is the last look's: the first one lost it, to the others it is known.
    assert_eq!(see(2), PASSES);
    assert_eq!(see(5), PASSES);
    // Three packets, eight looks.
    assert_eq!(rig.kernel.slot(socket.slot, Direction::Ingress).unwrap().packets, 3);
    assert_eq!(rig.kernel.rule(0).unwrap().acted, 3);
    assert_eq!(rig.kernel.totals().unwrap().get(Global::Matched), 3);
    assert_eq!(drain(&mut rig.kernel).len(), 3);
}

/// What the module's first paragraph rests on; should a kernel take it, test it directly.
#[test]
fn the_kernel_takes_no_mark_in_the_context() {
    let mut rig = Rig::new(&setup(1));
    let packet = data(&sockets()[0], 1).bytes(true);
    let context = TestContext { tc_index: 0xf1a2, ..TestContext::default() };
    let refused = rig.kernel.test_run(Direction::Ingress, true, &packet, &context);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("Invalid argument"), "{message}");
}
