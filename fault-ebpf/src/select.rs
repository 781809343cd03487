//! Which flow of the scenario a new connection is, if any.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use fault_common::condition::{LOCAL, REMOTE, counts, fits, in_share};
use fault_common::event::{KIND_OVERFLOW, NO_FLOW};
use fault_common::rule::MAX_FLOWS;
use fault_common::table::{
    Addr, ArmKey, MAX_SELECTORS, SEL_AFTER_PROCESS, SEL_AFTER_THREAD, SEL_FOLLOW, SEL_HELLO,
    SEL_LATE, SEL_NTH, SEL_SHARE, Selector, SelectorState, SocketEntry,
};

use crate::atomic;
use crate::condition;
use crate::emit::{self, About};
use crate::maps::{
    ARMED, CONTROL, EPOCH, LATE_FLOWS, SEED, SELECTOR_STATE, SELECTORS, SELECTORS_LEN,
    UDP_CONDITIONS,
};

/// A connection that is about to send its SYN, or a UDP flow its first datagram.
pub struct Connect {
    pub app: u32,
    pub proto: u32,
    pub laddr: Addr,
    pub lport: u32,
    pub raddr: Addr,
    pub rport: u32,
    pub pid_tgid: u64,
    /// Conditions that its caller does not contradict.
    pub allowed: u64,
    /// The peer opened it.
    pub accepted: bool,
}

/// The label for it.
pub struct Picked {
    pub flow: u32,
    /// Number among the connections of its selector, 0 without one.
    pub nth: u32,
    /// Selector plus 1, or 0.
    pub role: u32,
    /// Conditions of selectors that the controller will ask, or the first bytes.
    pub later: u64,
    /// Selectors wait for its first bytes.
    pub awaited: bool,
}

/// Finds the first selector that takes the connection. All selectors count it, taken or not.
#[inline(always)]
pub fn pick(connect: &Connect) -> Picked {
    pick_among(connect, 0)
}

/// The same once its first bytes have left, among those that wait for them; `allowed` is what these do not contradict either.
#[inline(always)]
pub fn pick_by_hello(connect: &Connect) -> Picked {
    pick_among(connect, SEL_HELLO)
}

#[inline(always)]
fn pick_among(connect: &Connect, moment: u32) -> Picked {
    let mut asked = Asked {
        fulfilled: fulfilled(connect),
        pid_tgid: connect.pid_tgid,
        later: 0,
        moment,
        flow: NO_FLOW,
        nth: 0,
        role: 0,
        awaited: 0,
        _pad: 0,
    };
    let n = SELECTORS_LEN.load();
    for i in 0..MAX_SELECTORS {
        if i >= n || ask(i, &mut asked) == 0 {
            break;
        }
    }
    let Asked { flow, nth, role, later, awaited, .. } = asked;
    Picked { flow, nth, role, later, awaited: awaited != 0 }
}

/// A connection on its way past the selectors, and what they have made of it. Without padding: to a global function
/// each byte of it has to be written.
#[repr(C)]
pub struct Asked {
    fulfilled: u64,
    pid_tgid: u64,
    later: u64,
    moment: u32,
    flow: u32,
    nth: u32,
    role: u32,
    awaited: u32,
    _pad: u32,
}

/// Asks one selector; 0 if there is none at `i`. Global to the verifier (see `judge::rule_acts`), which would walk it once
/// for each of them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ask(i: u32, asked: *mut Asked) -> u32 {
    if asked.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier has held the caller to memory of this size.
    let asked = unsafe { &mut *asked };
    let (Some(selector), Some(state)) = (SELECTORS.get(i), SELECTOR_STATE.get_ptr_mut(i)) else {
        return 0;
    };
    let fulfilled = asked.fulfilled;
    if (fulfilled >> (i & 15)) & 1 == 0 {
        return 1;
    }
    if field(&selector.flags) & SEL_HELLO != asked.moment {
        asked.awaited = 1;
        return 1;
    }
    if fulfilled & wide(&selector.excluded) != 0 {
        return 1;
    }
    if field(&selector.flags) & SEL_LATE != 0 {
        asked.later |= fulfilled & (counts(i & 15) | fits(i & 15));
    }
    // SAFETY: a live map value; `opened` is its first field.
    let nth = (unsafe { atomic::fetch_add(&raw mut (*state).opened, 1) }) as u32 + 1;
    if asked.role == 0
        && (fulfilled >> ((i & 15) + 16)) & 1 != 0
        && takes(i, selector, nth, asked.pid_tgid)
        && enter(i, selector, state)
    {
        (asked.flow, asked.nth, asked.role) = (selector.flow, nth, i + 1);
    }
    1
}

/// The conditions that hold for it.
#[inline(always)]
fn fulfilled(connect: &Connect) -> u64 {
    condition::by_kind(connect.app, connect.proto, connect.accepted)
        & connect.allowed
        & condition::by_end(REMOTE, connect.raddr, connect.rport)
        & condition::by_end(LOCAL, connect.laddr, connect.lport)
}

/// Whether any selector may want datagrams to that remote.
#[inline(always)]
pub fn wants_datagrams(raddr: Addr, rport: u32) -> bool {
    condition::by_end(REMOTE, raddr, rport) & UDP_CONDITIONS.load() != 0
}

/// A selector that does not want a connection is left at the first field that says so. The reads are volatile so
/// that they stay in this order, each behind the branch on the one before: what LLVM computes ahead the
/// verifier has to remember, and it walks the loop again for each combination.
#[inline(always)]
fn field(value: &u32) -> u32 {
    // SAFETY: a live reference.
    unsafe { (value as *const u32).read_volatile() }
}

#[inline(always)]
fn wide(value: &u64) -> u64 {
    // SAFETY: a live reference.
    unsafe { (value as *const u64).read_volatile() }
}

/// Whether it wants this very connection.
#[inline(always)]
fn takes(i: u32, selector: &Selector, nth: u32, pid_tgid: u64) -> bool {
    let flags = field(&selector.flags);
    if flags & SEL_LATE != 0 {
        return false;
    }
    if flags & SEL_NTH != 0 {
        let wanted = field(&selector.nth);
        let later = flags & SEL_FOLLOW != 0 && nth > wanted;
        if nth != wanted && !later {
            return false;
        }
    }
    if flags & SEL_SHARE != 0 && !in_share(SEED.load(), i, nth, field(&selector.share)) {
        return false;
    }
    let id = match selector.flags & (SEL_AFTER_PROCESS | SEL_AFTER_THREAD) {
        0 => return true,
        SEL_AFTER_THREAD => pid_tgid as u32,
        _ => (pid_tgid >> 32) as u32,
    };
    // Taking the mark is one operation: of two racing connects only one succeeds.
    ARMED.remove(ArmKey { selector: i, id }).is_ok()
}

/// Takes one of the selector's places.
#[inline(always)]
fn enter(i: u32, selector: &Selector, state: *mut SelectorState) -> bool {
    // SAFETY: a live map value, both here and below.
    let before = unsafe { atomic::fetch_add(&raw mut (*state).active, 1) };
    if before < selector.max_flows as u64 {
        // Without `follow` a role that has been given is not given again.
        // SAFETY: as above.
        let taken = unsafe { atomic::fetch_add(&raw mut (*state).taken, 1) };
        if selector.flags & SEL_FOLLOW != 0 || taken < selector.max_flows as u64 {
            return true;
        }
        leave(i + 1);
        return false;
    }
    // SAFETY: as above.
    unsafe { atomic::fetch_add(&raw mut (*state).active, u64::MAX) };
    // With `nth` and `follow` a later connection just waits for its turn.
    if selector.flags & SEL_NTH == 0 {
        disarm();
        let about = About::flow(selector.flow, selector.app);
        emit::event(KIND_OVERFLOW, 0, &about, |ev| ev.aux = i);
    }
    false
}

/// Lifts all faults: which socket was meant nobody knows now. The controller ends the run when it hears of it; until
/// then no packet is to pay for it.
#[inline(always)]
fn disarm() {
    if let Some(epoch) = CONTROL.get_ptr_mut(EPOCH) {
        // SAFETY: a live map value of 8 bytes.
        unsafe { epoch.write_volatile(0) };
    }
}

/// The same socket connects again after it was closed: it has its place back.
#[inline(always)]
pub fn come_back(role: u32) {
    change_active(role, 1);
}

/// A socket that was open before has been given this role: it counts like one that was picked here.
#[inline(always)]
pub fn found(role: u32) {
    if role == 0 {
        return;
    }
    if let Some(state) = SELECTOR_STATE.get_ptr_mut(role - 1) {
        // SAFETY: a live map value.
        unsafe {
            atomic::fetch_add(&raw mut (*state).active, 1);
            atomic::fetch_add(&raw mut (*state).taken, 1);
        }
    }
}

/// A socket with this role (selector plus 1, 0 for none) is gone.
#[inline(always)]
pub fn leave(role: u32) {
    change_active(role, u64::MAX);
}

#[inline(always)]
fn change_active(role: u32, by: u64) {
    if role == 0 {
        return;
    }
    if let Some(state) = SELECTOR_STATE.get_ptr_mut(role - 1) {
        // SAFETY: a live map value.
        unsafe { atomic::fetch_add(&raw mut (*state).active, by) };
    }
}

/// Gives a socket without a flow the one that the controller has found for it, if any.
#[inline(always)]
pub fn adopt(socket: *mut SocketEntry) {
    // SAFETY: a live map value; two CPUs that adopt at once write the same.
    unsafe {
        // Not `!= NO_FLOW`: without 32-bit jumps LLVM (22, alu32) compares a zero-extended register with a
        // sign-extended -1, which never is equal.
        if (*socket).flow < MAX_FLOWS {
            return;
        }
        let Some(late) = LATE_FLOWS.get_ptr((*socket).slot) else { return };
        // Volatile: the controller may write it now.
        let flow = late.read_volatile();
        if flow != 0 {
            (*socket).flow = flow - 1;
        }
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
