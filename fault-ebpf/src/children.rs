//! Processes whose children belong to the app as well: followed from fork to exit.

use aya_ebpf::programs::BtfTracePointContext;
use fault_common::stats::Global;
use fault_common::table::WITH_CHILDREN;

use crate::emit;
use crate::maps::{OFF_TASK_PID, OFF_TASK_TGID, PROCESSES};
use crate::memory::read;

/// `sched_process_fork(parent, child)`, before the child runs for the first time.
#[inline(always)]
pub fn on_fork(ctx: &BtfTracePointContext) {
    let (parent, child): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let Some(app) = of(parent) else { return };
    // A thread has its process's number already.
    let pid = read::<u32>(child, OFF_TASK_TGID.load());
    if app & WITH_CHILDREN != 0
        && pid == read::<u32>(child, OFF_TASK_PID.load())
        && PROCESSES.insert(pid, app, 0).is_err()
    {
        emit::count(Global::ProcessesFull, 1);
    }
}

/// `sched_process_exit(task)`: whoever gets its number is nobody's. A process ends with its first thread, as nearly all do;
/// what the others of one that outlives its first thread open is not seen.
#[inline(always)]
pub fn on_exit(ctx: &BtfTracePointContext) {
    let task: u64 = ctx.arg(0);
    let Some(app) = of(task) else { return };
    let pid = read::<u32>(task, OFF_TASK_TGID.load());
    if app & WITH_CHILDREN != 0 && pid == read::<u32>(task, OFF_TASK_PID.load()) {
        // It is there; failure would mean that somebody else has removed it.
        let _ = PROCESSES.remove(pid);
    }
}

#[inline(always)]
fn of(task: u64) -> Option<u32> {
    // SAFETY: a live map value.
    PROCESSES.get_ptr(read::<u32>(task, OFF_TASK_TGID.load())).map(|app| unsafe { *app })
}
