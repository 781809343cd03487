//! A socket that gets its flow afterwards, from userspace.

use fault_common::event::NO_FLOW;
use fault_common::rule::Direction;
use fault_user::kernel::Kernel;
use fault_user::kernel::testing::TestContext;

use crate::model::{PASSES, SHOT};
use crate::rig::{certain, data, entry, only, setup, sockets, towards};

#[test]
fn it_is_faulted_from_then_on_and_nothing_else_of_it_is_written() {
    let mut kernel = Kernel::load(&setup(1)).unwrap();
    let [named, bystander] = [sockets()[0], sockets()[3]];
    for socket in [named, bystander] {
        kernel.add_socket(socket.cookie, entry(&socket), towards(&socket)).unwrap();
    }
    kernel.arm(&only(1, &[certain(0)])).unwrap();
    let receive = |kernel: &mut Kernel| {
        let packet = data(&bystander, 1).bytes(true);
        kernel.test_run(Direction::Ingress, true, &packet, &TestContext::default()).unwrap().code
    };
    assert_eq!(receive(&mut kernel), PASSES, "it has no flow yet");
    let before = kernel.socket(bystander.cookie).unwrap().expect("it is known");
    assert_eq!(before.flow, NO_FLOW);

    assert!(kernel.assign(bystander.cookie, 1).unwrap());
    // The programs may be changing the entry at this moment.
    assert_eq!(kernel.socket(bystander.cookie).unwrap(), Some(before), "the entry was written");

    assert_eq!(receive(&mut kernel), SHOT, "it has");
    assert_eq!(kernel.socket(bystander.cookie).unwrap().map(|s| s.flow), Some(1));

    assert!(!kernel.assign(bystander.cookie, 0).unwrap(), "it has a flow already");
    assert!(!kernel.assign(named.cookie, 1).unwrap(), "so has this one, from its connect");
    assert!(!kernel.assign(1, 1).unwrap(), "nobody knows it");
}
