//! The only raw access to `__sk_buff`. The verifier checks every context offset and bounds the
//! loads; what these functions add is that nobody else needs `unsafe` for it.

use core::ffi::c_void;
use core::hint::black_box;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, bpf_sock, bpf_tcp_sock};
use aya_ebpf::helpers::generated::{
    bpf_check_mtu, bpf_clone_redirect, bpf_get_socket_cookie, bpf_l4_csum_replace, bpf_sk_fullsock,
    bpf_skb_change_head, bpf_skb_change_type, bpf_skb_load_bytes, bpf_skb_set_tstamp,
    bpf_skb_store_bytes, bpf_skb_vlan_pop, bpf_skb_vlan_push, bpf_tcp_sock as tcp_sock,
};
use aya_ebpf::programs::{SkBuffContext, TcContext};

/// `sk->sk_type` of TCP sockets (bits/socket_type.h).
const SOCK_STREAM: u32 = 1;
/// ETH_P_8021Q in network order, as the helper wants it.
const ETH_P_8021Q_BE: u16 = 0x8100_u16.to_be();
/// Length of an Ethernet header, and where its type stands.
const ETHERNET: u32 = 14;
const ETHERTYPE: u32 = 12;
/// linux/if_packet.h.
const PACKET_HOST: u32 = 0;
const ENODEV: i64 = -19;
/// bpf.h: BPF_SKB_TSTAMP_UNSPEC (BPF_SKB_CLOCK_REALTIME) and BPF_SKB_TSTAMP_DELIVERY_MONO.
const TSTAMP_NONE: u32 = 0;
const TSTAMP_DELIVERY: u32 = 1;

/// A packet at TC, or at the cgroup's egress hook.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

impl Skb {
    #[inline(always)]
    pub fn new(ctx: &TcContext) -> Self {
        Self(ctx.as_ptr().cast())
    }

    /// At the cgroup's hook: begins with the IP header.
    #[inline(always)]
    pub fn of_cgroup(ctx: &SkBuffContext) -> Self {
        Self(ctx.as_ptr().cast())
    }

    /// For global functions, whose arguments are C's.
    #[inline(always)]
    pub fn raw(self) -> *mut __sk_buff {
        self.0
    }

    /// What [`Skb::raw`] gave.
    #[inline(always)]
    pub fn of_raw(skb: *mut __sk_buff) -> Self {
        Self(skb)
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

    #[inline(always)]
    pub fn mark(self) -> u32 {
        // SAFETY: a readable context field.
        unsafe { (*self.0).mark }
    }

    #[inline(always)]
    pub fn priority(self) -> u32 {
        // SAFETY: a readable context field.
        unsafe { (*self.0).priority }
    }

    /// For a qdisc that goes by it.
    #[inline(always)]
    pub fn set_priority(self, v: u32) {
        // SAFETY: a context field that TC programs may write.
        unsafe { (*self.0).priority = v }
    }

    /// Whether it still belongs to a socket: who holds it holds the socket's send buffer.
    #[inline(always)]
    pub fn has_socket(self) -> bool {
        // SAFETY: a readable context pointer.
        unsafe { !(*self.0).__bindgen_anon_2.sk.is_null() }
    }

    /// Sets the time at which fq lets it go (CLOCK_MONOTONIC, ns). The helper (5.18) also marks it
    /// as such a time, which a redirect keeps; a plain write to the field it clears.
    #[inline(always)]
    pub fn deliver_at(self, ns: u64) -> bool {
        // SAFETY: the helper takes the context and refuses what is not IP.
        unsafe { bpf_skb_set_tstamp(self.0, ns, TSTAMP_DELIVERY) == 0 }
    }

    /// Takes that time off again.
    #[inline(always)]
    pub fn deliver_now(self) -> bool {
        // SAFETY: as above.
        unsafe { bpf_skb_set_tstamp(self.0, 0, TSTAMP_NONE) == 0 }
    }

    /// Sends a copy, which belongs to no socket (__skb_clone), out of an interface. The bytes are
    /// shared, not copied.
    #[inline(always)]
    pub fn send_copy(self, ifindex: u32) -> bool {
        // SAFETY: the helper takes the context; it invalidates packet pointers, and none is kept.
        unsafe { bpf_clone_redirect(self.0, ifindex, 0) == 0 }
    }

    /// The VLAN tag that stands beside the packet, if one does.
    #[inline(always)]
    pub fn vlan_tag(self) -> Option<u16> {
        // SAFETY: readable context fields.
        unsafe { if (*self.0).vlan_present == 0 { None } else { Some((*self.0).vlan_tci as u16) } }
    }

    /// Puts a tag on the packet. It goes into the packet itself only where it is written out.
    #[inline(always)]
    pub fn push_tag(self, tag: u16) -> bool {
        // SAFETY: the helper takes the context; it invalidates packet pointers, and none is kept.
        unsafe { bpf_skb_vlan_push(self.0, ETH_P_8021Q_BE, tag) == 0 }
    }

    /// Takes the tag off again.
    #[inline(always)]
    pub fn pop_tag(self) -> bool {
        // SAFETY: as above.
        unsafe { bpf_skb_vlan_pop(self.0) == 0 }
    }

    /// Puts an Ethernet header of zeros before a packet that has none.
    #[inline(always)]
    pub fn make_room_for_ethernet(self) -> bool {
        // SAFETY: the helper takes the context; it invalidates packet pointers, and none is kept.
        unsafe { bpf_skb_change_head(self.0, ETHERNET, 0) == 0 }
    }

    /// Writes into that header what follows it.
    #[inline(always)]
    pub fn write_ethertype(self) -> bool {
        // SAFETY: a readable context field.
        self.store(ETHERTYPE, &(unsafe { (*self.0).protocol } as u16).to_ne_bytes())
    }

    /// Makes it a packet for this host again: from the TAP it comes as somebody else's.
    #[inline(always)]
    pub fn for_this_host(self) -> bool {
        // SAFETY: the helper takes the context.
        unsafe { bpf_skb_change_type(self.0, PACKET_HOST) == 0 }
    }

    /// Restores what the stack had written on it.
    #[inline(always)]
    pub fn restore(self, mark: u32, tc_index: u32, priority: u32) {
        // SAFETY: context fields that TC programs may write.
        unsafe {
            (*self.0).mark = mark;
            (*self.0).tc_index = tc_index;
            (*self.0).priority = priority;
        }
    }

    /// Mends the checksum of a transport header for a 16-bit word (as it stands in the packet)
    /// that becomes another.
    #[inline(always)]
    pub fn replace_checksum(self, check: u32, old: u16, new: u16) -> bool {
        // SAFETY: the helper takes the context; it invalidates packet pointers, and none is kept.
        unsafe { bpf_l4_csum_replace(self.0, check, old as u64, new as u64, 2) == 0 }
    }

    /// Writes into the packet.
    #[inline(always)]
    pub fn store(self, off: u32, bytes: &[u8; 2]) -> bool {
        // SAFETY: as above; the helper reads exactly two bytes.
        unsafe { bpf_skb_store_bytes(self.0, off, bytes.as_ptr().cast(), 2, 0) == 0 }
    }

    /// Whether the interface exists. bpf_check_mtu (5.12) looks it up and does nothing else.
    #[inline(always)]
    pub fn reaches(self, ifindex: u32) -> bool {
        let mut mtu = 0u32;
        // SAFETY: the helper takes the context and writes 4 bytes.
        let r = unsafe { bpf_check_mtu(self.0.cast(), ifindex, &raw mut mtu, 0, 0) };
        r != ENODEV
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

    /// Copies the first `len` bytes; how many it were, 0 if that is more than fit or there are none. N is a power of two.
    #[inline(always)]
    pub fn copy<const N: usize>(self, to: &mut [u8; N], len: u32) -> u32 {
        if len == 0 || len > N as u32 {
            return 0;
        }
        // Linux 6.1 learns nothing from a comparison with zero. black_box: LLVM knows better and would leave the
        // mask out.
        let len = (black_box(len - 1) & (N as u32 - 1)) + 1;
        // SAFETY: the helper writes exactly `len` bytes, of which there is room for N, or fails.
        let r =
            unsafe { bpf_skb_load_bytes(self.0.cast::<c_void>(), 0, to.as_mut_ptr().cast(), len) };
        if r == 0 { len } else { 0 }
    }

    /// Copies `len` bytes, 1 to 4096, at `off` to `to` + `at`.
    ///
    /// The caller has a buffer of 8192 bytes at `to`; `at` is below 4096. The verifier checks both.
    #[inline(always)]
    pub fn load_some(self, off: u32, to: *mut u8, at: u32, len: u32) -> bool {
        // Masked last of all: the verifier forgets what a comparison says of a copy of the number. black_box as in
        // `copy`.
        let (at, len) = (black_box(at) & 4095, (black_box(len.wrapping_sub(1)) & 4095) + 1);
        // SAFETY: within the buffer, as the caller promises.
        let r = unsafe {
            bpf_skb_load_bytes(self.0.cast::<c_void>(), off, to.add(at as usize).cast(), len)
        };
        r == 0
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
