//! Where the streams of an open socket stand, read under its lock (bpf_iter_tcp_seq_show): its numbers fit each other.
//!
//! `bytes_acked` counts what snd_una has moved by, and so the SYN of an active opener (a passive one's socket is made
//! with snd_una behind it, tcp_create_openreq_child); `bytes_received` what rcv_nxt has moved by since the handshake
//! (tcp_rcv_nxt_update). A FIN moves the sequence number and the count by one, so that it does not matter here.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock};
use fault_common::table::SOCKET_ACCEPTED;

use crate::found;
use crate::learn::Place;
use crate::maps::{
    FOUND, OFF_BYTES_ACKED, OFF_BYTES_RECEIVED, OFF_BYTES_RETRANS, OFF_BYTES_SENT, OFF_RCV_NXT,
    OFF_SKC_STATE, OFF_SND_NXT, OFF_SND_UNA, OFF_WRITE_SEQ,
};
use crate::memory::read;

const TCP_ESTABLISHED: u8 = 1;
const TCP_CLOSE_WAIT: u8 = 8;

/// struct bpf_iter__tcp.
#[repr(C)]
pub struct IterTcp {
    meta: *mut c_void,
    sk_common: *mut c_void,
    uid: i32,
}

/// What the socket's numbers say.
#[derive(Clone, Copy)]
pub struct Snapshot {
    /// Sequence number of the first payload byte sent, and received.
    pub isn: u32,
    pub irs: u32,
    /// Bytes that the app has written.
    pub written: u64,
    /// Of those: not acknowledged, never sent.
    pub unacked: u32,
    pub unsent: u32,
    /// Bytes received in order.
    pub received: u64,
}

impl Snapshot {
    #[inline(always)]
    pub fn place(&self) -> Place {
        let sent = self.written.wrapping_sub(self.unsent as u64);
        Place { isn: self.isn, irs: self.irs, reach: [sent, self.received] }
    }
}

#[inline(always)]
pub fn on_socket(ctx: *mut IterTcp) {
    // SAFETY: a readable context field; null at the end of the walk.
    let sk = unsafe { (*ctx).sk_common };
    if sk.is_null() {
        return;
    }
    // SAFETY: the helpers take a sock_common; one that is no full socket (TIME_WAIT, a request) gives null.
    let (tp, cookie) = unsafe { (bpf_skc_to_tcp_sock(sk), bpf_get_socket_cookie(sk)) };
    if tp.is_null() {
        return;
    }
    let Some(found) = FOUND.get_ptr(cookie) else { return };
    // SAFETY: a live map value.
    let accepted = unsafe { (*found).state } & SOCKET_ACCEPTED != 0;
    found::take_in(cookie, Some(take(tp as u64, accepted)));
}

#[inline(always)]
fn take(tp: u64, accepted: bool) -> Snapshot {
    let word = |offset| read::<u32>(tp, offset);
    let wide = |offset| read::<u64>(tp, offset);
    let (una, nxt) = (word(OFF_SND_UNA.load()), word(OFF_SND_NXT.load()));
    let acked = wide(OFF_BYTES_ACKED.load());
    let sent = wide(OFF_BYTES_SENT.load()).wrapping_sub(wide(OFF_BYTES_RETRANS.load()));
    // What has moved the numbers and was no payload is the SYN, before there is a FIN and if the counters of payload
    // tell: packets that this host has lost itself count as sent.
    let surplus = acked.wrapping_add(nxt.wrapping_sub(una) as u64).wrapping_sub(sent);
    let open = matches!(read::<u8>(tp, OFF_SKC_STATE.load()), TCP_ESTABLISHED | TCP_CLOSE_WAIT);
    let syn = if open && surplus <= 1 { surplus } else { !accepted as u64 };
    let (written, received) = (word(OFF_WRITE_SEQ.load()), wide(OFF_BYTES_RECEIVED.load()));
    let unacked = written.wrapping_sub(una);
    let acked = acked.wrapping_sub(syn);
    Snapshot {
        isn: una.wrapping_sub(acked as u32),
        irs: word(OFF_RCV_NXT.load()).wrapping_sub(received as u32),
        written: acked.wrapping_add(unacked as u64),
        unacked,
        unsent: written.wrapping_sub(nxt),
        received,
    }
}
