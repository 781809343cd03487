//! What the verifier walks. It gives up at 1 000 000 instructions; a quarter of that leaves room for
//! kernels that prune less than this one.

use fault_common::table::{MAX_SELECTORS, SEL_AFTER_PROCESS, SEL_HELLO};
use fault_user::kernel::{Kernel, Setup};

use crate::rig::{selector, setup};

const BOUND: u32 = 250_000;

#[test]
fn each_program_is_verified_within_a_quarter_of_the_limit() {
    // The number of selectors is a constant to the verifier: it walks the loop that often.
    let mut selectors = vec![selector(); MAX_SELECTORS as usize];
    // With one, the programs for UDP are loaded.
    selectors[0].proto = 17;
    // With this one, the program for what is said first.
    selectors[1].flags = SEL_HELLO;
    // With this one, the program for what apps write.
    selectors[2].flags = SEL_AFTER_PROCESS;
    // Each line has its part of the code, and hides the other's.
    for fq in [false, true] {
        // With the log level on, so that its code is walked too.
        let selectors = selectors.clone();
        let setup = Setup { selectors, udp_conditions: u64::MAX, log_level: 5, fq, ..setup(1) };
        within_the_limit(&mut Kernel::load(&setup).unwrap());
    }
    // As guards have them.
    let whole = Setup { selectors: Vec::new(), whole: true, ..setup(1) };
    let counts = Kernel::load(&whole).unwrap().verified_instructions().unwrap();
    assert!(counts.iter().all(|(_, count)| *count < BOUND), "{counts:?}");
}

fn within_the_limit(kernel: &mut Kernel) {
    let counts = kernel.verified_instructions().unwrap();
    let names: Vec<&str> = counts.iter().map(|(name, _)| name.as_str()).collect();
    for needed in [
        "egress_l2",
        "ingress_l2",
        "egress_l3",
        "ingress_l3",
        "egress_l2_home",
        "ingress_l3_home",
        "connect4",
        "connect6",
        "sendmsg4",
        "sendmsg6",
        "datagram_out",
        "hello_heard",
        "hello_known",
        "output_marker",
        "sock_release",
        "take_in",
        "take_in_all",
    ] {
        assert!(names.contains(&needed), "{needed} is not among {names:?}");
    }
    for (name, count) in counts {
        println!("{name}: {count} instructions verified");
        assert!(count < BOUND, "{name}: {count} instructions verified, the bound is {BOUND}");
    }
}
