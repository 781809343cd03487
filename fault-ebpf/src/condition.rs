//! Which conditions of the scenario a socket fulfils; see `fault_common::condition`.

use aya_ebpf::helpers::generated::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id};
use aya_ebpf::maps::lpm_trie::Key;
use fault_common::condition::{
    ANY_CGROUP, ANY_USER, AddressKey, CGROUP_DEPTH, END_BITS, PortKey, kind,
};
use fault_common::table::Addr;

use crate::maps::{BY_ADDRESS, BY_CGROUP, BY_KIND, BY_PORT, BY_USER};
use crate::parse::IPPROTO_UDP;

/// Those that an end of a connection does not contradict.
#[inline(always)]
pub fn by_end(end: u8, addr: Addr, port: u32) -> u64 {
    let address = Key::new(END_BITS + 128, AddressKey::new(end, addr));
    let port = Key::new(END_BITS + 16, PortKey::new(end, port as u16));
    match (BY_ADDRESS.get(&address), BY_PORT.get(&port)) {
        (Some(address), Some(port)) => *address & *port,
        _ => 0,
    }
}

/// Those that app, protocol and opener do not contradict.
#[inline(always)]
pub fn by_kind(app: u32, proto: u32, accepted: bool) -> u64 {
    BY_KIND.get(kind(app, proto == IPPROTO_UDP as u32, accepted)).map_or(0, |set| *set)
}

/// Those that the user and the cgroup of the current process do not contradict.
///
/// The ids of the cgroups above it and not bpf_current_task_under_cgroup, which the hooks of sockets do not have
/// (cgroup_base_func_proto); nor the cgroup of the socket, which is where it was made, not whose it is.
#[inline(always)]
pub fn by_caller(uid: u32) -> u64 {
    let users = user(uid).or_else(|| user(ANY_USER)).unwrap_or(0);
    // SAFETY: helpers without pointer arguments.
    let mut cgroups = cgroup(ANY_CGROUP) | cgroup(unsafe { bpf_get_current_cgroup_id() });
    for level in 0..CGROUP_DEPTH {
        // SAFETY: as above.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
        if id == 0 {
            break;
        }
        cgroups |= cgroup(id);
    }
    users & cgroups
}

#[inline(always)]
fn user(uid: u32) -> Option<u64> {
    // SAFETY: a live map value.
    BY_USER.get_ptr(uid).map(|set| unsafe { *set })
}

#[inline(always)]
fn cgroup(id: u64) -> u64 {
    // SAFETY: a live map value.
    BY_CGROUP.get_ptr(id).map_or(0, |set| unsafe { *set })
}
