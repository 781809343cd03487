//! Events and global counters. An event that finds the ring full is counted: for its socket,
//! with the time, so that userspace knows which verdicts it may not give.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use fault_common::event::{Event, KIND_RX, KIND_SEND, KIND_TX, NO_RULE, SocketEvent};
use fault_common::stats::Global;
use fault_common::table::{Addr, SocketEntry};

use crate::atomic;
use crate::maps::{EVENTS, SLOTS, TOTALS};

// bpf.h: BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP.
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;

/// Whether the reader is woken. Packets and sends are many and nobody waits for them: the reader
/// looks every 20 ms, and waking it for each doubles a busy connection's round trips. Everything
/// else may be what a step waits for. It has to be forced: left to itself the kernel wakes only a
/// reader that had read everything (bpf_ringbuf_commit), which one that sleeps on packets has not.
#[inline(always)]
const fn wake_up(kind: u8) -> u64 {
    if matches!(kind, KIND_TX | KIND_RX | KIND_SEND) { NO_WAKEUP } else { FORCE_WAKEUP }
}

/// What every event about a socket says of it.
pub struct About {
    pub cookie: u64,
    pub slot: u32,
    pub flow: u32,
    pub app: u32,
    pub rport: u16,
}

impl About {
    #[inline(always)]
    pub fn socket(cookie: u64, socket: &SocketEntry) -> Self {
        Self {
            cookie,
            slot: socket.slot,
            flow: socket.flow,
            app: socket.app,
            rport: socket.rport as u16,
        }
    }

    /// About a flow, not one of its sockets.
    #[inline(always)]
    pub fn flow(flow: u32, app: u32) -> Self {
        Self { cookie: 0, slot: NO_SLOT, flow, app, rport: 0 }
    }
}

/// `slot` of an event that is not about a socket.
const NO_SLOT: u32 = u32::MAX;

/// Submits an event; `fill` sets what the kind needs. It is built in the ring itself: on the
/// stack it would not fit beside the rest.
#[inline(always)]
pub fn event(kind: u8, dir: u8, about: &About, fill: impl FnOnce(&mut Event)) {
    match EVENTS.reserve::<Event>(0) {
        Some(mut entry) => {
            // SAFETY: the reservation has the size of an Event, zeroed before it is used as one.
            let ev = unsafe { zeroed(entry.as_mut_ptr()) };
            begin(ev, kind, dir, about);
            fill(ev);
            entry.submit(wake_up(kind));
            count(Global::EventsRecorded, 1);
        }
        None => lost(about.slot, dir),
    }
}

/// Submits an event with addresses.
#[inline(always)]
pub fn socket_event(
    kind: u8,
    about: &About,
    laddr: Addr,
    raddr: Addr,
    fill: impl FnOnce(&mut Event),
) {
    match EVENTS.reserve::<SocketEvent>(0) {
        Some(mut entry) => {
            // SAFETY: as in `event`.
            let record = unsafe { zeroed(entry.as_mut_ptr()) };
            begin(&mut record.ev, kind, 0, about);
            fill(&mut record.ev);
            record.laddr = laddr;
            record.raddr = raddr;
            entry.submit(wake_up(kind));
            count(Global::EventsRecorded, 1);
        }
        None => lost(about.slot, 0),
    }
}

/// # Safety
/// `p` must point to writable memory of a T for which all zeroes is a value.
#[inline(always)]
unsafe fn zeroed<'a, T>(p: *mut T) -> &'a mut T {
    // SAFETY: the caller's promise.
    unsafe {
        p.write_bytes(0, 1);
        &mut *p
    }
}

/// Submits an event that was written elsewhere.
#[inline(always)]
pub fn written(ev: &Event) {
    match EVENTS.output::<Event>(ev, wake_up(ev.kind)) {
        Ok(()) => count(Global::EventsRecorded, 1),
        Err(_) => lost(ev.slot, ev.dir),
    }
}

/// What every event says. The other fields are for the caller to set; in the ring they are zero.
#[inline(always)]
pub fn begin(ev: &mut Event, kind: u8, dir: u8, about: &About) {
    // SAFETY: a helper without arguments.
    ev.ts = unsafe { bpf_ktime_get_ns() };
    ev.kind = kind;
    ev.dir = dir;
    ev.cookie = about.cookie;
    ev.slot = about.slot;
    ev.flow = about.flow;
    ev.app = about.app;
    ev.rport = about.rport;
    ev.rule = NO_RULE;
}

#[inline(always)]
fn lost(slot: u32, dir: u8) {
    count(Global::EventsLost, 1);
    if slot == NO_SLOT {
        return;
    }
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    if let Some(c) = SLOTS.get_ptr_mut(slot * 2 + dir as u32) {
        // SAFETY: this CPU's value.
        unsafe {
            if (*c).lost_events == 0 {
                (*c).lost_first = now;
            }
            (*c).lost_events += 1;
            (*c).lost_last = now;
        }
    }
}

/// Adds to a global counter.
#[inline(always)]
pub fn count(what: Global, n: u64) {
    if let Some(p) = TOTALS.get_ptr_mut(what as u32) {
        // A send is told of in its thread, which a packet's softirq interrupts on the same CPU: a plain addition loses
        // one of the two now and then (seen once in some 40 000 events), and the run fails for it.
        // SAFETY: this CPU's value, 8 aligned bytes.
        unsafe { atomic::fetch_add(p, n) };
    }
}
