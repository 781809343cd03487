//! `opened_after`: finds a literal text inside the app's own write(), before it returns.

use core::hint::black_box;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skb_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::SkBuffContext;
use fault_common::event::{KIND_MARKER, NO_FLOW};
use fault_common::table::{
    MARKER_BUFFER, MARKER_MAX, MARKER_WINDOW, MARKERS_PER_STREAM, MarkerEntry, roll,
};

use crate::emit::{self, About};
use crate::maps::MARKERS;
use crate::memory;
use crate::select;

/// [`MARKER_MAX`] zeroes, then the start of the write being looked at. Bytes before the data are
/// never written, and what is left of an earlier, longer write lies behind `len`.
#[repr(C)]
pub struct Window {
    bytes: [u8; MARKER_BUFFER],
}

#[map]
static WINDOW: PerCpuArray<Window> = PerCpuArray::with_max_entries(1, 0);

/// Looks at one write to an output stream. A socket filter runs with the writer as `current`.
#[inline(always)]
pub fn on_write(ctx: &SkBuffContext) {
    // SAFETY: the helper takes the context; during a socket filter skb->sk is the receiving
    // socket (sk_filter_trim_cap), ours, whose cookie the controller knows.
    let stream = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let Some(set) = MARKERS.get_ptr(stream) else { return };
    let Some(window) = WINDOW.get_ptr_mut(0) else { return };
    let Some(last) = ctx.len().min(MARKER_WINDOW as u32).checked_sub(1) else { return };
    // The verifier learns nothing from "not zero" before Linux 6.8 (d028f87517d6), and the helper
    // takes no length of zero. black_box: LLVM knows better and would leave the mask out.
    let len = (black_box(last) & (MARKER_WINDOW as u32 - 1)) + 1;
    // SAFETY: this CPU's value; the filter does not sleep. `len` is 1..=MARKER_WINDOW, which
    // fits behind the zeroes.
    let loaded = unsafe {
        let data = window.cast::<u8>().add(MARKER_MAX);
        bpf_skb_load_bytes(ctx.as_ptr(), 0, data.cast(), len)
    };
    if loaded != 0 {
        return;
    }
    for i in 0..MARKERS_PER_STREAM {
        // SAFETY: a live map value.
        let marker = unsafe { &raw const (*set).markers[i] };
        // SAFETY: as above; one without a text is not used.
        if unsafe { (*marker).len } != 0 && is_in(window, marker, len) != 0 {
            // SAFETY: as above.
            hit(unsafe { (*marker).selector });
        }
    }
}

/// Whether the text of the marker is among the first `len` bytes of the window: a rolling hash.
///
/// Global to the verifier (see `judge::rule_acts`): it walks the window once and not for each marker. There is no branch but
/// the end of the data, and `len` is not used after it: each branch multiplies what the verifier has to walk.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_in(window: *const Window, marker: *const MarkerEntry, len: u32) -> u32 {
    if window.is_null() || marker.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier has held the caller to memory of these sizes.
    let (window, m) = unsafe { (&(*window).bytes, &*marker) };
    let mut hash = 0u64;
    // The top bit stays set until the marker is met.
    let mut missing = u64::MAX;
    let mut i = 0u64;
    while i < MARKER_WINDOW as u64 {
        if i >= len as u64 {
            break;
        }
        let at = i + MARKER_MAX as u64;
        let enters = window[at as usize & (MARKER_BUFFER - 1)];
        let leaves = window[at.wrapping_sub(m.len as u64) as usize & (MARKER_BUFFER - 1)];
        hash = roll(hash, enters, leaves, m.drop);
        let differs = hash ^ m.hash;
        // Top bit clear iff equal. black_box: LLVM knows the idiom and would branch.
        missing &= differs | black_box(differs).wrapping_neg();
        i += 1;
    }
    (1 - (missing >> 63)) as u32
}

#[inline(always)]
fn hit(selector: u32) {
    let pid_tgid = memory::current_pid_tgid();
    if !select::arm(selector, pid_tgid) {
        return;
    }
    emit::event(KIND_MARKER, 0, &About::flow(NO_FLOW, 0), |ev| {
        ev.pid_tgid = pid_tgid;
        ev.aux = selector;
    });
}
