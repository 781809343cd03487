//! `opened_after`: finds a literal text inside the app's own write(), before it returns.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skb_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::SkBuffContext;
use fault_common::event::{KIND_MARKER, NO_FLOW};
use fault_common::table::{MARKER_WINDOW, MARKERS_PER_STREAM, MarkerEntry, roll};

use crate::emit::{self, About};
use crate::maps::MARKERS;
use crate::select;

/// Start of the write being looked at.
#[map]
static WINDOW: PerCpuArray<[u8; MARKER_WINDOW]> = PerCpuArray::with_max_entries(1, 0);

/// Looks at one write to an output stream. A socket filter runs with the writer as `current`.
#[inline(always)]
pub fn on_write(ctx: &SkBuffContext) {
    // SAFETY: the helper takes the context; during a socket filter skb->sk is the receiving
    // socket (sk_filter_trim_cap), ours, whose cookie the controller knows.
    let stream = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let Some(set) = MARKERS.get_ptr(stream) else { return };
    let Some(window) = WINDOW.get_ptr_mut(0) else { return };
    let len = ctx.len().min(MARKER_WINDOW as u32);
    if len == 0 {
        return;
    }
    // SAFETY: this CPU's value; the filter does not sleep. `len` is 1..=MARKER_WINDOW.
    let loaded = unsafe { bpf_skb_load_bytes(ctx.as_ptr(), 0, window.cast(), len) };
    if loaded != 0 {
        return;
    }
    for i in 0..MARKERS_PER_STREAM {
        // SAFETY: live map values, read only.
        let (marker, window) = unsafe { (&(*set).markers[i], &*window) };
        if marker.len != 0 && search(window, len, marker) {
            hit(marker.selector);
        }
    }
}

/// Rolling hash over the window. Its only branch is the end of the data, so the verifier
/// walks it once.
#[inline(never)]
fn search(window: &[u8; MARKER_WINDOW], len: u32, marker: &MarkerEntry) -> bool {
    let mut hash = 0u64;
    let mut found = false;
    let mut i = 0u32;
    while i < MARKER_WINDOW as u32 {
        if i >= len {
            break;
        }
        let full = i >= marker.len;
        let left = i.wrapping_sub(marker.len) as usize & (MARKER_WINDOW - 1);
        let leaves = window[left];
        let drop = if full { marker.drop } else { 0 };
        hash = roll(hash, window[i as usize], leaves, drop);
        found |= (i + 1 >= marker.len) & (hash == marker.hash);
        i += 1;
    }
    found
}

#[inline(always)]
fn hit(selector: u32) {
    let pid_tgid = bpf_get_current_pid_tgid();
    if !select::arm(selector, pid_tgid) {
        return;
    }
    emit::event(KIND_MARKER, 0, &About::flow(NO_FLOW, 0), |ev| {
        ev.pid_tgid = pid_tgid;
        ev.aux = selector;
    });
}
