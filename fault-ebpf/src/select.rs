//! Which flow of the scenario a new connection is, if any.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use fault_common::event::{KIND_OVERFLOW, NO_FLOW};
use fault_common::table::{
    ANY_APP, Addr, ArmKey, MAX_SELECTORS, RemoteKey, SEL_AFTER_PROCESS, SEL_AFTER_THREAD,
    SEL_FOLLOW, SEL_LADDR, SEL_LATE, SEL_LPORT, SEL_NTH, SEL_REMOTE, Selector, SelectorState,
    SocketEntry,
};

use crate::atomic;
use crate::emit::{self, About};
use crate::maps::{ARMED, REMOTES, SELECTOR_STATE, SELECTORS, SELECTORS_LEN};

/// What a connect() says.
pub struct Connect {
    pub app: u32,
    pub proto: u32,
    pub raddr: Addr,
    pub port: u32,
    pub pid_tgid: u64,
}

/// The label for it.
pub struct Picked {
    pub flow: u32,
    /// Number among the connections of its selector, 0 without one.
    pub nth: u32,
    /// Selector plus 1, or 0.
    pub role: u32,
    /// Selector plus 1 that still waits for the local address, or 0.
    pub pending: u32,
}

/// Finds the first selector that takes the connection. All selectors count it, taken or not.
#[inline(always)]
pub fn pick(connect: &Connect) -> Picked {
    let remotes = remotes_of(connect);
    let mut picked = Picked { flow: NO_FLOW, nth: 0, role: 0, pending: 0 };
    let n = SELECTORS_LEN.load();
    for i in 0..MAX_SELECTORS {
        if i >= n {
            break;
        }
        let (Some(selector), Some(state)) = (SELECTORS.get(i), SELECTOR_STATE.get_ptr_mut(i))
        else {
            break;
        };
        if !concerns(selector, connect, remotes) {
            continue;
        }
        // SAFETY: a live map value; `opened` is its first field.
        let nth = (unsafe { atomic::fetch_add(&raw mut (*state).opened, 1) }) as u32 + 1;
        if picked.role == 0 && picked.pending == 0 && takes(i, selector, nth, connect.pid_tgid) {
            picked.nth = nth;
            offer(&mut picked, i, selector, state);
        }
    }
    picked
}

/// The bits of the remotes that an address belongs to, by name or as "any host".
#[inline(always)]
fn remotes_of(connect: &Connect) -> u64 {
    let bits = |addr| {
        // SAFETY: a live map value.
        REMOTES.get_ptr(RemoteKey { addr, port: connect.port }).map_or(0, |p| unsafe { *p })
    };
    bits(connect.raddr) | bits([0; 4])
}

#[inline(always)]
fn concerns(selector: &Selector, connect: &Connect, remotes: u64) -> bool {
    let app = selector.app == ANY_APP || selector.app == connect.app;
    let remote = selector.flags & SEL_REMOTE == 0 || (remotes >> (selector.remote & 63)) & 1 != 0;
    app && remote && selector.proto == connect.proto
}

/// Whether it wants this very connection, as far as connect() can know.
#[inline(always)]
fn takes(i: u32, selector: &Selector, nth: u32, pid_tgid: u64) -> bool {
    if selector.flags & SEL_LATE != 0 {
        return false;
    }
    if selector.flags & SEL_NTH != 0 {
        let later = selector.flags & SEL_FOLLOW != 0 && nth > selector.nth;
        if nth != selector.nth && !later {
            return false;
        }
    }
    let id = match selector.flags & (SEL_AFTER_PROCESS | SEL_AFTER_THREAD) {
        0 => return true,
        SEL_AFTER_THREAD => pid_tgid as u32,
        _ => (pid_tgid >> 32) as u32,
    };
    // Taking the mark is one operation: of two racing connects only one succeeds.
    ARMED.remove(ArmKey { selector: i, id }).is_ok()
}

/// Gives it the role, unless all places are taken or its local address has to be seen first.
#[inline(always)]
fn offer(picked: &mut Picked, i: u32, selector: &Selector, state: *mut SelectorState) {
    if selector.flags & (SEL_LADDR | SEL_LPORT) != 0 {
        picked.pending = i + 1;
    } else if enter(i, selector, state) {
        picked.flow = selector.flow;
        picked.role = i + 1;
    }
}

/// Takes one of the selector's places.
#[inline(always)]
fn enter(i: u32, selector: &Selector, state: *mut SelectorState) -> bool {
    // SAFETY: a live map value, both here and below.
    let before = unsafe { atomic::fetch_add(&raw mut (*state).active, 1) };
    if before < selector.max_flows as u64 {
        return true;
    }
    // SAFETY: as above.
    unsafe { atomic::fetch_add(&raw mut (*state).active, u64::MAX) };
    // With `nth` and `follow` a later connection just waits for its turn.
    if selector.flags & SEL_NTH == 0 {
        let about = About::flow(selector.flow, selector.app);
        emit::event(KIND_OVERFLOW, 0, &about, |ev| ev.aux = i);
    }
    false
}

/// The local address is known now: decides about a connection that waited for it.
#[inline(always)]
pub fn settle(socket: &mut SocketEntry, laddr: Addr, lport: u32) {
    let i = socket.pending - 1;
    socket.pending = 0;
    let (Some(selector), Some(state)) = (SELECTORS.get(i), SELECTOR_STATE.get_ptr_mut(i)) else {
        return;
    };
    let flags = selector.flags;
    let addr = flags & SEL_LADDR == 0 || selector.laddr == laddr;
    let port = flags & SEL_LPORT == 0 || selector.lport == lport;
    if addr && port && enter(i, selector, state) {
        socket.flow = selector.flow;
        socket.role = i + 1;
    }
}

/// A socket with this role (selector plus 1, 0 for none) is gone.
#[inline(always)]
pub fn leave(role: u32) {
    if role == 0 {
        return;
    }
    if let Some(state) = SELECTOR_STATE.get_ptr_mut(role - 1) {
        // SAFETY: a live map value.
        unsafe { atomic::fetch_add(&raw mut (*state).active, u64::MAX) };
    }
}

/// Arms a selector: the next connect of that thread or process is the one.
#[inline(always)]
pub fn arm(selector: u32, pid_tgid: u64) -> bool {
    let Some(s) = SELECTORS.get(selector) else { return false };
    let id =
        if s.flags & SEL_AFTER_THREAD != 0 { pid_tgid as u32 } else { (pid_tgid >> 32) as u32 };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    ARMED.insert(ArmKey { selector, id }, now, 0).is_ok()
}
