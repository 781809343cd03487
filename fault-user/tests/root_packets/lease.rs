//! Fail open: without a controller that renews its lease, no fault acts.

use fault_common::rule::Direction;
use fault_common::stats::Global;
use fault_user::clock::monotonic_ns;
use fault_user::kernel::testing::TestContext;
use fault_user::kernel::{Kernel, Setup};

use crate::model::{PASSES, SHOT};
use crate::rig::{certain, data, entry, only, setup, sockets, towards};

const MINUTE: u64 = 60_000_000_000;

fn leased(leased: bool) -> Kernel {
    let mut kernel = Kernel::load(&Setup { leased, ..setup(1) }).unwrap();
    let socket = sockets()[0];
    kernel.add_socket(socket.cookie, entry(&socket), towards(&socket)).unwrap();
    kernel.arm(&only(0, &[certain(0)])).unwrap();
    kernel
}

fn receive(kernel: &mut Kernel) -> i32 {
    let packet = data(&sockets()[0], 1).bytes(true);
    let context = TestContext::default();
    kernel.test_run(Direction::Ingress, true, &packet, &context).unwrap().code
}

fn expired(kernel: &Kernel) -> u64 {
    kernel.totals().unwrap().get(Global::LeaseExpired)
}

#[test]
fn faults_act_while_the_lease_lasts_and_no_longer() {
    let mut kernel = leased(true);
    assert_eq!(receive(&mut kernel), PASSES, "never renewed");
    assert_eq!(expired(&kernel), 1);

    kernel.renew_lease(monotonic_ns() + MINUTE).unwrap();
    assert_eq!(receive(&mut kernel), SHOT, "live");
    assert_eq!(expired(&kernel), 1);

    kernel.renew_lease(monotonic_ns() - 1).unwrap();
    assert_eq!(receive(&mut kernel), PASSES, "run out");
    assert_eq!(expired(&kernel), 2);

    kernel.renew_lease(monotonic_ns() + MINUTE).unwrap();
    assert_eq!(receive(&mut kernel), SHOT, "live again");

    // Whatever became of them, all four are counted.
    let counters = kernel.slot(0, Direction::Ingress).unwrap();
    assert_eq!((counters.packets, counters.dropped), (4, 2));
    let rule = kernel.rule(0).unwrap();
    assert_eq!((rule.matched, rule.acted), (2, 2));
}

#[test]
fn without_a_chain_for_the_flow_no_lease_is_missed() {
    let mut kernel = leased(true);
    kernel.arm(&only(1, &[certain(0)])).unwrap();
    assert_eq!(receive(&mut kernel), PASSES);
    assert_eq!(expired(&kernel), 0);
}

#[test]
fn packet_tests_need_no_lease() {
    let mut kernel = leased(false);
    assert_eq!(receive(&mut kernel), SHOT);
    assert_eq!(expired(&kernel), 0);
}
