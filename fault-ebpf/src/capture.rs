//! The first bytes of what a fault touched, for `dropped.pcapng`: as they came to the fault, before it
//! changed them. Only packets that a rule acted on come here.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use fault_common::capture::{DID_DROP, Head, SNAPLEN_MAX};
use fault_common::stats::Global;

use crate::atomic;
use crate::classify::Owned;
use crate::ctx::Skb;
use crate::emit::count;
use crate::line::BARE;
use crate::maps::{CAPTURE_MAX, CAPTURED, CAPTURES, SNAPLEN};

/// bpf.h: BPF_RB_NO_WAKEUP. The reader looks every 20 ms.
const NO_WAKEUP: u64 = 1;

/// A record before it is known how long it gets. TC programs run with softirqs off, so one packet a CPU
/// has it at a time.
#[repr(C)]
#[derive(Clone, Copy)]
struct Record {
    head: Head,
    bytes: [u8; SNAPLEN_MAX as usize],
}

#[map]
static RECORD: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

/// Keeps the packet for the controller. `way` as in [`crate::line::way`]; `did` is one of the `DID_*`
/// numbers.
///
/// A function of its own for its stack frame.
#[inline(never)]
pub fn keep(skb: Skb, owned: &Owned, way: u8, rule: u32, did: u32) {
    let snaplen = SNAPLEN.load();
    // Losses are counted apart: a delay must not leave no room for them.
    let (Some(so_far), Some(record)) =
        (CAPTURED.get_ptr_mut((did != DID_DROP) as u32), RECORD.get_ptr_mut(0))
    else {
        return;
    };
    // SAFETY: a live map value of 8 bytes.
    if snaplen == 0 || unsafe { atomic::fetch_add(so_far, 1) } >= CAPTURE_MAX.load() as u64 {
        count(Global::CaptureBeyond, (snaplen != 0) as u64);
        return;
    }
    // SAFETY: this CPU's value, and this packet's alone.
    let record = unsafe { &mut *record };
    fill(&mut record.head, skb, owned, way);
    (record.head.rule, record.head.did) = (rule, did);
    let len = skb.len();
    let kept = skb.copy(&mut record.bytes, if len < snaplen { len } else { snaplen });
    if kept == 0 || !output(record, kept) {
        count(Global::CaptureLost, 1);
    }
}

#[inline(always)]
fn output(record: &Record, kept: u32) -> bool {
    let len = size_of::<Head>() + kept as usize;
    // SAFETY: a Record is its head and then its bytes, of which `kept` were just written; no padding.
    let bytes = unsafe { core::slice::from_raw_parts((record as *const Record).cast::<u8>(), len) };
    CAPTURES.output::<[u8]>(bytes, NO_WAKEUP).is_ok()
}

#[inline(always)]
fn fill(head: &mut Head, skb: Skb, owned: &Owned, way: u8) {
    let facts = &owned.facts;
    // SAFETY: a helper without arguments.
    head.ts = unsafe { bpf_ktime_get_ns() };
    head.cookie = owned.cookie;
    // SAFETY: a live map value.
    head.slot = unsafe { (*owned.socket).slot };
    head.len = skb.len();
    head.segs = facts.segs;
    head.seq = facts.seq;
    head.payload = facts.payload;
    head.ack = facts.ack;
    head.ifindex = skb.ifindex();
    head.dir = way & !BARE;
    head.bare = (way & BARE != 0) as u8;
    head.flags = facts.flags;
    head.proto = facts.tuple.proto as u8;
    head._pad = 0;
}
