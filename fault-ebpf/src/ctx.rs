//! The only raw access to `__sk_buff`. The verifier checks every context offset and bounds the
//! loads; what these functions add is that nobody else needs `unsafe` for it.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, bpf_sock, bpf_tcp_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_sk_fullsock, bpf_skb_load_bytes, bpf_tcp_sock as tcp_sock,
};
use aya_ebpf::programs::TcContext;

/// `sk->sk_type` of TCP sockets (bits/socket_type.h).
const SOCK_STREAM: u32 = 1;

/// A packet at TC.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

impl Skb {
    #[inline(always)]
    pub fn new(ctx: &TcContext) -> Self {
        Self(ctx.as_ptr().cast())
    }

    /// Bytes, link layer header included.
    #[inline(always)]
    pub fn len(self) -> u32 {
        // SAFETY: a readable context field.
        unsafe { (*self.0).len }
    }

    /// Ethertype in host order, as the stack has it (after a hardware VLAN tag).
    #[inline(always)]
    pub fn protocol(self) -> u16 {
        // SAFETY: a readable context field.
        u16::from_be(unsafe { (*self.0).protocol } as u16)
    }

    /// Wire packets that it stands for, at least 1.
    #[inline(always)]
    pub fn segs(self) -> u32 {
        // SAFETY: a readable context field (since 5.1).
        let segs = unsafe { (*self.0).gso_segs };
        if segs == 0 { 1 } else { segs }
    }

    #[inline(always)]
    pub fn ifindex(self) -> u32 {
        // SAFETY: a readable context field.
        unsafe { (*self.0).ifindex }
    }

    #[inline(always)]
    pub fn tc_index(self) -> u32 {
        // SAFETY: a readable context field.
        unsafe { (*self.0).tc_index }
    }

    #[inline(always)]
    pub fn set_tc_index(self, v: u32) {
        // SAFETY: a context field that TC programs may write.
        unsafe { (*self.0).tc_index = v }
    }

    /// Local and remote port of its socket (host order), without a helper call. `None`: no socket.
    #[inline(always)]
    pub fn sock_ports(self) -> Option<(u32, u32)> {
        // SAFETY: a readable context pointer, null-checked; src_port is in host order, dst_port
        // in network order (bpf(7), struct bpf_sock).
        unsafe {
            let sk: *mut bpf_sock = (*self.0).__bindgen_anon_2.sk;
            if sk.is_null() {
                return None;
            }
            Some(((*sk).src_port, u16::from_be((*sk).dst_port) as u32))
        }
    }

    /// Cookie of its socket, 0 if it has none.
    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: the helper takes the context and tolerates a packet without socket.
        unsafe { bpf_get_socket_cookie(self.0.cast()) }
    }

    /// TCP's own count of retransmissions of its socket; 0 for other sockets.
    #[inline(always)]
    pub fn total_retrans(self) -> u32 {
        // SAFETY: each pointer is null-checked before the next step, as the verifier demands.
        unsafe {
            let sk = (*self.0).__bindgen_anon_2.sk;
            if sk.is_null() {
                return 0;
            }
            let sk = bpf_sk_fullsock(sk);
            // The kernel's own socket for resets claims to be TCP, but is a raw one without any
            // of TCP's fields: what lies there is not a count.
            if sk.is_null() || (*sk).type_ != SOCK_STREAM {
                return 0;
            }
            let tp: *mut bpf_tcp_sock = tcp_sock(sk);
            if tp.is_null() { 0 } else { (*tp).total_retrans }
        }
    }

    /// Copies `N` bytes at `off`, wherever in the packet they are. About 47 ns: not for the
    /// path of an unmatched packet.
    #[inline(always)]
    pub fn load<const N: usize>(self, off: u32) -> Option<[u8; N]> {
        let mut buf = [0u8; N];
        // SAFETY: the helper writes exactly N bytes into a buffer of that size, or fails.
        let r = unsafe {
            bpf_skb_load_bytes(self.0.cast::<c_void>(), off, buf.as_mut_ptr().cast(), N as u32)
        };
        if r == 0 { Some(buf) } else { None }
    }

    /// A byte of the linear part at `off`, by direct packet access.
    #[inline(always)]
    pub fn direct<T: Copy>(self, off: u32) -> Option<T> {
        // SAFETY: context fields; the comparison is what proves the bounds to the verifier.
        unsafe {
            let start = (*self.0).data as usize + off as usize;
            if start + size_of::<T>() > (*self.0).data_end as usize {
                return None;
            }
            Some((start as *const T).read_unaligned())
        }
    }
}
