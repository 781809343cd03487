//! Where a send call's bytes stand, as TCP itself takes them. A hook after the call finds write_seq where others may
//! have moved it meanwhile; the tracepoint tcp_sendmsg_locked (6.16+, 0f08335ade71) runs under the socket lock, before
//! each chunk that a call copies.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::BtfTracePointContext;

use crate::classify;
use crate::maps::{OFF_ITER_COUNT, OFF_MSG_ITER, OFF_SKC_NUM, OFF_WRITE_SEQ, SENDING};
use crate::memory::read;

/// The send call of a thread that is under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sending {
    /// 0: none is.
    sk: u64,
    /// What the call had to send at its first chunk, and at its latest.
    size: u64,
    left: u64,
    /// write_seq at the first chunk, and at the latest.
    start: u32,
    seq: u32,
    /// Not 0: more than one message of TCP's in one call of the app's, as under kTLS.
    several: u32,
    _pad: u32,
}

/// `tcp_sendmsg_locked(sk, msg, skb, size_goal)`.
#[inline(always)]
pub fn on_chunk(ctx: &BtfTracePointContext) {
    let sk: u64 = ctx.arg(0);
    let msg: u64 = ctx.arg(1);
    if !classify::gate_open(read::<u16>(sk, OFF_SKC_NUM.load()) as u32) {
        return;
    }
    let seq = read::<u32>(sk, OFF_WRITE_SEQ.load());
    let left = read::<u64>(msg, OFF_MSG_ITER.load() + OFF_ITER_COUNT.load());
    let thread = bpf_get_current_pid_tgid();
    if let Some(p) = SENDING.get_ptr_mut(thread) {
        // SAFETY: a live map value, and only its own thread's calls touch it.
        let call = unsafe { &mut *p };
        if call.sk == sk {
            call.several |= (left > call.left) as u32;
            (call.seq, call.left) = (seq, left);
        } else {
            *call = Sending { sk, size: left, left, start: seq, seq, several: 0, _pad: 0 };
        }
        return;
    }
    let call = Sending { sk, size: left, left, start: seq, seq, several: 0, _pad: 0 };
    // Without an entry the call is placed by write_seq alone, as on older kernels.
    let _ = SENDING.insert(thread, call, 0);
}

/// Takes the call of this thread that returns `ret`: where its bytes begin, and where they end. Others' may lie
/// between; `None`: no chunk of it was seen.
#[inline(always)]
pub fn returned(sk: u64, ret: i32) -> Option<(u32, u32)> {
    let thread = bpf_get_current_pid_tgid();
    let p = SENDING.get_ptr_mut(thread)?;
    // SAFETY: a live map value, and only its own thread's calls touch it. It stays for the thread's next call: to take
    // it out and put it in again would cost more than all the rest.
    let call = unsafe {
        let call = *p;
        (*p).sk = 0;
        call
    };
    if call.sk != sk || ret <= 0 {
        return None;
    }
    // A call that wrote all it had to has put what was left into its last chunk. Of any other, and of one whose
    // bytes are encrypted on the way, only TCP knows how much that was.
    let whole = call.several == 0 && ret as u64 == call.size;
    let end = if whole {
        call.seq.wrapping_add(call.left as u32)
    } else {
        read::<u32>(sk, OFF_WRITE_SEQ.load())
    };
    Some((call.start, end))
}
