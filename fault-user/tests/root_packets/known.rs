//! The socket of known content at the start of a run: right offsets pass, every wrong one is found out.

use std::time::Instant;

use fault_common::stats::Global;
use fault_common::table::{SEL_AFTER_PROCESS, Selector};
use fault_user::kernel::{Kernel, KernelError, Setup, Tier};

use crate::rig::{selector, setup};

fn loaded(tier: Tier, offsets: &[(&'static str, u32)], found: bool) -> Kernel {
    // One that waits for a text, or the program that reads who the current thread is has no use.
    let selector = Selector { flags: SEL_AFTER_PROCESS, ..selector() };
    let setup = Setup { offsets: offsets.to_vec(), selectors: vec![selector], ..setup(1) };
    let mut kernel = Kernel::load(&setup).unwrap();
    kernel.attach_evidence(Some(tier)).unwrap();
    if found {
        kernel.watch_states().unwrap();
    }
    kernel
}

/// The best tier that this kernel has: sock_send_length comes with Linux 6.3.
fn best() -> Tier {
    Kernel::load(&setup(1)).unwrap().attach_evidence(None).unwrap()
}

#[test]
fn the_kernels_own_offsets_pass_and_leave_no_trace() {
    let best = best();
    for (tier, found) in [(best, false), (best, true), (Tier::SysExit, true)] {
        let mut kernel = loaded(tier, &[], found);
        let began = Instant::now();
        kernel.check_known_socket().unwrap();
        println!("{tier:?}: {:?}", began.elapsed());
        let totals = kernel.totals().unwrap();
        assert_eq!((totals.get(Global::EventsRecorded), totals.get(Global::EventsLost)), (0, 0));
        let (reader, mut batches) = kernel.events().unwrap();
        reader.finish();
        assert!(batches.try_recv().is_err(), "its events are not the run's");
    }
}

/// Each offset that the programs use, made wrong.
#[test]
fn a_wrong_offset_is_refused() {
    let evidence = ["OFF_WRITE_SEQ", "OFF_TASK_PID", "OFF_TASK_TGID"];
    let best = best();
    let of_tracepoint: &[&str] = if best == Tier::SockSendLength { &["OFF_SKC_NUM"] } else { &[] };
    let of_sys_exit = [
        "OFF_SKC_COOKIE",
        "OFF_TASK_FILES",
        "OFF_FILES_FDT",
        "OFF_FDT_FD",
        "OFF_FILE_PRIVATE",
        "OFF_SOCKET_SK",
        "OFF_SOCKET_FILE",
        "OFF_REGS_NR",
        "OFF_REGS_FD",
    ];
    let found = ["OFF_SND_NXT", "OFF_SND_UNA", "OFF_TOTAL_RETRANS"];
    let tracepoint = || evidence.iter().chain(of_tracepoint).chain(&found);
    for name in tracepoint() {
        refused(best, name);
    }
    for name in evidence.iter().chain(&of_sys_exit) {
        refused(Tier::SysExit, name);
    }
}

fn refused(tier: Tier, name: &'static str) {
    // Near the beginning every struct has something else.
    let mut kernel = loaded(tier, &[(name, 4)], true);
    match kernel.check_known_socket() {
        Err(KernelError::Layout { what }) => println!("{name}: {what}"),
        other => panic!("{name} with {tier:?}: {other:?}"),
    }
}
