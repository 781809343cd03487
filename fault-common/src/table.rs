//! Keys and values of the maps that select sockets.

/// An address as the maps hold it: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, in four
/// words as the kernel hands them out (so a word's bytes in memory are in network order).
pub type Addr = [u32; 4];

/// The second and third word of an IPv4-mapped address, as they read on this byte order.
pub const V4_MAPPED: u32 = 0x0000_ffff_u32.to_be();

/// [`Addr`] of an IPv4 address given as the kernel gives it (network order).
#[inline(always)]
pub const fn v4(be: u32) -> Addr {
    [0, 0, V4_MAPPED, be]
}

/// `app` of a selector that does not care; any number from [`MAX_APPS`] on is taken so.
pub const ANY_APP: u32 = u32::MAX;
/// Selectors that one run may have. The program that picks walks them all, and what the verifier
/// has to walk grows with their square: 32 are over its 1 000 000 instructions.
pub const MAX_SELECTORS: u32 = 16;
/// Apps that one run may have.
pub const MAX_APPS: u32 = 64;

/// Processes that are attached to, with their descendants.
pub const MAX_PROCESSES: u32 = 4096;
/// Beside an app's index in the table of processes: its children belong to the app as well.
pub const WITH_CHILDREN: u32 = 1 << 16;

/// Raw sockets of flowfault that one run may have.
pub const MAX_EXEMPT: u32 = 8;

/// Only the `nth` connection.
pub const SEL_NTH: u32 = 1 << 0;
/// Only the next connect of the process that wrote the marker.
pub const SEL_AFTER_PROCESS: u32 = 1 << 1;
/// Only the next connect of the thread that wrote the marker.
pub const SEL_AFTER_THREAD: u32 = 1 << 2;
/// When its socket is closed, the next one that matches takes the role.
pub const SEL_FOLLOW: u32 = 1 << 3;
/// The controller names the socket afterwards (a regular expression); the kernel only counts, and tells
/// which sockets fit.
pub const SEL_LATE: u32 = 1 << 4;
/// Only a seeded `share` of those that fit.
pub const SEL_SHARE: u32 = 1 << 5;
/// Asked when the first bytes leave, which say what the connection is for.
pub const SEL_HELLO: u32 = 1 << 6;

/// One `[[flow]]`, as the connect hook reads it. What a socket must be like stands in the tables of
/// [`crate::condition`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector {
    /// Conditions of which none may hold.
    pub excluded: u64,
    /// App index, or [`ANY_APP`].
    pub app: u32,
    /// Flow index: what a match is labelled with.
    pub flow: u32,
    /// `SEL_*` bits.
    pub flags: u32,
    /// Which connection, from 1.
    pub nth: u32,
    /// Sockets it may stand for at a time.
    pub max_flows: u32,
    /// IP protocol number.
    pub proto: u32,
    /// Out of [`crate::condition::WHOLE_SHARE`].
    pub share: u32,
    /// Padding, zero.
    pub _pad: u32,
}

/// What a selector has counted so far. All are advanced with fetching atomics.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SelectorState {
    /// Connections opened that match what is counted (see `Condition` of the plan).
    pub opened: u64,
    /// Sockets that now have the role.
    pub active: u64,
    /// Sockets that have ever had it (counted without `follow` only).
    pub taken: u64,
}

/// Key of the table of listeners.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerKey {
    /// Its address; all zero for any.
    pub addr: Addr,
    /// Its port, host order, with [`SOCKET_HOME`] << 8 for the second network namespace.
    pub port: u32,
}

/// A connection as a packet *towards* the socket names it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// The peer.
    pub saddr: Addr,
    /// The socket.
    pub daddr: Addr,
    /// Peer's port, host order.
    pub sport: u16,
    /// Socket's port, host order.
    pub dport: u16,
    /// IP protocol number, with [`SOCKET_HOME`] for the second network namespace.
    pub proto: u32,
}

impl Tuple {
    /// The same connection seen from the other end.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
            proto: self.proto,
        }
    }
}

/// The socket is in TCP_CLOSE; its packets (a last RST, replies of the control socket) still
/// belong to it until another socket takes the tuple.
pub const SOCKET_CLOSED: u32 = 1 << 0;
/// A SYN has been seen, so `isn` holds.
pub const SOCKET_ISN: u32 = 1 << 1;
/// A packet of the peer has been seen, so `irs` holds.
pub const SOCKET_IRS: u32 = 1 << 2;
/// The selectors have been asked about it.
pub const SOCKET_PICKED: u32 = 1 << 3;
/// It has given its role back: the app has closed it, though TCP may not be done with it.
pub const SOCKET_LEFT: u32 = 1 << 4;
/// It is a UDP socket, or one of its remotes: see [`DatagramKey`].
pub const SOCKET_DATAGRAM: u32 = 1 << 5;

/// It was open before the run. Its sock_ops hooks are silent: nobody could ask for them.
pub const SOCKET_FOUND: u32 = 1 << 6;
/// The peer opened it.
pub const SOCKET_ACCEPTED: u32 = 1 << 7;
/// Selectors wait for its first bytes.
pub const SOCKET_AWAITED: u32 = 1 << 9;

/// It is in the second network namespace of the run. In keys of tuples the bit stands beside the protocol, in those of
/// listeners 8 bits higher beside the port: two namespaces may have the same addresses.
pub const SOCKET_HOME: u32 = 1 << 8;

/// A UDP socket as a whole: whoever it talks to, and it is one flow.
pub const SOCKET_WHOLE: u32 = 1 << 10;
/// Port in the key of its one row in the table of datagram flows, with an address of zero.
pub const ANY_PORT: u32 = 1 << 16;

/// A UDP socket may talk to many remotes, and each of them is a flow of its own. The first has the
/// socket's cookie for its number in the sockets table; each further one has this bit and its slot.
/// No cookie is so large (the kernel counts them up from 1), and a double holds it exactly, so that
/// JSON does, too.
pub const FURTHER_REMOTE: u64 = 1 << 52;
/// Remotes of one UDP socket that can be selected: as many are walked when it is closed.
pub const MAX_REMOTES: u32 = 64;

/// Key of the table of datagram flows. With an address and port of zero: the first of the list of
/// the socket's remotes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatagramKey {
    /// Cookie of the socket.
    pub cookie: u64,
    /// Remote address.
    pub raddr: Addr,
    /// Remote port, host order.
    pub rport: u32,
    /// Padding, zero.
    pub _pad: u32,
}

/// Value of the table of datagram flows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Datagrams {
    /// Its key in the sockets table. Of the first of the list: how many follow.
    pub id: u64,
    /// Payload bytes that have come to TC egress: the position of the next datagram.
    pub sent: u64,
    /// Datagrams that found it without a name: the first of them gives it one.
    pub named: u64,
    /// Local address of the last datagram.
    pub laddr: Addr,
    /// Local port of the last datagram, host order; 0: there has been none.
    pub lport: u32,
    /// Port of the next remote in the list of the socket; 0: it is the last.
    pub next_port: u32,
    /// Address of the next remote.
    pub next: Addr,
}

/// Value of the sockets table; the key is the cookie.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketEntry {
    /// Its counters are entries `slot * 2 + direction`.
    pub slot: u32,
    /// Flow index or [`crate::event::NO_FLOW`].
    pub flow: u32,
    /// App index.
    pub app: u32,
    /// Which connection of its selector (or of its app, without one), from 1.
    pub nth: u32,
    /// connect() calls on this socket to the same remote.
    pub attempt: u32,
    /// `SOCKET_*` bits.
    pub state: u32,
    /// Real user id of the caller of connect(); 0 if it was not seen.
    pub uid: u32,
    /// Selector whose role it has, plus 1; 0 for none.
    pub role: u32,
    /// Sequence number of the first payload byte sent.
    pub isn: u32,
    /// Sequence number of the first payload byte received.
    pub irs: u32,
    /// Acknowledgement number of the last Rx event.
    pub last_ack: u32,
    /// Remote port it was labelled for, host order.
    pub rport: u32,
    /// Remote address it was labelled for.
    pub raddr: Addr,
    /// tgid << 32 | tid of the caller of the last connect().
    pub pid_tgid: u64,
    /// Conditions that its caller's user and cgroup do not contradict.
    pub allowed: u64,
    /// The highest stream position that a packet of each direction has begun at.
    pub reach: [u64; 2],
    /// The last TCP segment of each direction.
    pub last: [LastSegment; 2],
}

/// A socket that was open before the run, as the controller hands it to the program that takes it in.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its cookie.
    pub cookie: u64,
    /// Process that holds it << 32; 0 for none.
    pub pid_tgid: u64,
    /// Conditions that its user and its process's cgroup do not contradict.
    pub allowed: u64,
    /// Local address.
    pub laddr: Addr,
    /// Remote address.
    pub raddr: Addr,
    /// Local port, host order.
    pub lport: u32,
    /// Remote port, host order.
    pub rport: u32,
    /// App index.
    pub app: u32,
    /// Flow index or [`crate::event::NO_FLOW`].
    pub flow: u32,
    /// Selector whose role it has, plus 1; 0 for none.
    pub role: u32,
    /// [`SOCKET_ACCEPTED`] or 0.
    pub state: u32,
    /// IP protocol number. A UDP socket gets its flow with its next datagram.
    pub proto: u32,
    /// Owner of its file.
    pub uid: u32,
    /// One of `TAKEN_*`, once a program has met it.
    pub taken: u32,
    /// Padding, zero.
    pub _pad: u32,
}

/// Sockets that are taken in at a time.
pub const MAX_FOUND: u32 = 4096;

/// What became of a [`Found`]: nothing yet.
pub const TAKEN_NOT: u32 = 0;
/// It is known now.
pub const TAKEN_IN: u32 = 1;
/// It was known already, from its own connect.
pub const TAKEN_BEFORE: u32 = 2;
/// There is no room for it.
pub const TAKEN_NONE: u32 = 3;

/// Listening addresses of apps.
pub const MAX_LISTENERS: u32 = 1024;

/// Who listens at an address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// App index.
    pub app: u32,
    /// The process that connections are told of.
    pub pid: u32,
    /// Listening sockets there (SO_REUSEPORT). Advanced with fetching atomics.
    pub sockets: u64,
    /// Conditions that its user and cgroup do not contradict.
    pub allowed: u64,
}

/// Whose socket begins to listen.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listens {
    /// App index.
    pub app: u32,
    /// The process.
    pub pid: u32,
    /// As in [`Listener`].
    pub allowed: u64,
}

/// [`LastSegment::flags`]: there has been one.
pub const LAST_SEEN: u16 = 1 << 0;
/// [`LastSegment::flags`]: it had the ACK flag.
pub const LAST_ACK: u16 = 1 << 1;
/// [`LastSegment::flags`]: it had a timestamp option.
pub const LAST_TIMESTAMPS: u16 = 1 << 2;

/// What the last TCP segment of a direction said: from it follows which segment the connection
/// would accept from outside (a reset, a window update).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastSegment {
    /// Sequence number after its payload, SYN and FIN.
    pub end_seq: u32,
    /// Its acknowledgement number.
    pub ack: u32,
    /// TSval of its timestamp option (RFC 7323).
    pub tsval: u32,
    /// TSecr of its timestamp option.
    pub tsecr: u32,
    /// Its window as it stands in the header, before a stall rewrote it.
    pub window: u16,
    /// `LAST_*` bits.
    pub flags: u16,
}

/// Key of the table of armed markers.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmKey {
    /// Selector index.
    pub selector: u32,
    /// Thread or process id, as the selector says.
    pub id: u32,
}

/// Key of the counts of packets that a rule has judged.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenKey {
    /// Slot of the socket.
    pub slot: u32,
    /// Rule id.
    pub rule: u32,
}

/// Key of the counts of lost attempts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptKey {
    /// Slot of the socket times 2 plus direction; top bit: packets without a place in the stream.
    pub slot_dir: u32,
    /// Sequence number of the first byte.
    pub seq: u32,
}

/// Markers that one output stream may carry.
pub const MARKERS_PER_STREAM: usize = 4;
/// Bytes at the start of one write in which a marker is looked for.
pub const MARKER_WINDOW: usize = 1024;
/// Longest marker.
pub const MARKER_MAX: usize = 256;
/// Size of the buffer that is searched: zeroes before the data (so that a window that is not
/// full yet needs no case of its own), and a power of two (so that an index can be masked).
pub const MARKER_BUFFER: usize = 2048;
/// Base of the rolling hash (odd, so that it has an inverse mod 2^64).
pub const MARKER_BASE: u64 = 0x0000_0100_0000_01b3;

/// One text to look for: its length and rolling hash.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerEntry {
    /// Sum of byte * MARKER_BASE^(len-1-i), mod 2^64.
    pub hash: u64,
    /// MARKER_BASE^len, what leaves the window is multiplied by.
    pub drop: u64,
    /// Bytes.
    pub len: u32,
    /// Selector that it arms.
    pub selector: u32,
}

impl MarkerEntry {
    /// An entry that matches nothing.
    pub const UNUSED: Self = Self { hash: u64::MAX, drop: 0, len: 0, selector: u32::MAX };

    /// The entry for a text of 1 to [`MARKER_MAX`] bytes without NUL.
    pub fn new(text: &[u8], selector: u32) -> Self {
        let mut entry = Self { hash: 0, drop: 1, len: text.len() as u32, selector };
        for b in text {
            entry.hash = roll(entry.hash, *b, 0, 0);
            entry.drop = entry.drop.wrapping_mul(MARKER_BASE);
        }
        entry
    }
}

/// Moves the window of a rolling hash by one byte.
#[inline(always)]
pub const fn roll(hash: u64, enters: u8, leaves: u8, drop: u64) -> u64 {
    hash.wrapping_mul(MARKER_BASE)
        .wrapping_add(enters as u64)
        .wrapping_sub((leaves as u64).wrapping_mul(drop))
}

/// The markers of one output stream.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerSet {
    /// The rest is [`MarkerEntry::UNUSED`].
    pub markers: [MarkerEntry; MARKERS_PER_STREAM],
}

impl MarkerSet {
    /// No marker at all.
    pub const EMPTY: Self = Self { markers: [MarkerEntry::UNUSED; MARKERS_PER_STREAM] };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(text: &[u8], line: &[u8]) -> bool {
        let m = MarkerEntry::new(text, 0);
        let (mut h, n) = (0, m.len as usize);
        line.iter().enumerate().any(|(i, b)| {
            h = if i < n { roll(h, *b, 0, 0) } else { roll(h, *b, line[i - n], m.drop) };
            i + 1 >= n && h == m.hash
        })
    }

    #[test]
    fn a_mapped_address_reads_as_one() {
        let bytes: Vec<u8> =
            v4(u32::from_ne_bytes([127, 0, 0, 1])).iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn rolling_search_agrees_with_a_plain_one(
            text in prop::collection::vec(1u8..4, 1..6),
            line in prop::collection::vec(1u8..4, 0..40),
        ) {
            let plain = line.windows(text.len()).any(|w| w == text);
            prop_assert_eq!(find(&text, &line), plain);
        }
    }
}
