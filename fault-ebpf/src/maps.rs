//! All maps and load-time values: who writes and who reads them.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use fault_common::condition::{AddressKey, CONDITIONS, HelloKey, KINDS, MAX_ADDRESSES, PortKey};
use fault_common::hello::Hello;
use fault_common::line::{Back, Handed, TAGS, Transit, Waiting, wait};
use fault_common::quiet::Quiet;
use fault_common::rule::{CHAINS, Chain};
use fault_common::stats::{GLOBALS, RuleCounters, SlotCounters};
use fault_common::table::{
    ArmKey, AttemptKey, DatagramKey, Datagrams, Found, Listener, ListenerKey, Listens, MAX_APPS,
    MAX_EXEMPT, MAX_FOUND, MAX_LISTENERS, MAX_PROCESSES, MAX_SELECTORS, MarkerSet, SeenKey,
    Selector, SelectorState, SocketEntry, Tuple,
};

use crate::chunk::Sending;

// Load-time values. Each has an initial value of its own: equal constants are merged in
// .rodata, so overriding one would change the other (measured; a test overrides each).

/// Layout version, read by the loader.
#[unsafe(no_mangle)]
pub static ABI: Global<u32> = Global::new(fault_common::layout::ABI_VERSION | 0xabab_0000);
/// Seed of every random decision.
#[unsafe(no_mangle)]
pub static SEED: Global<u64> = Global::new(0xfa01_0001_fa01_0001);
/// Used entries of `SELECTORS`.
#[unsafe(no_mangle)]
pub static SELECTORS_LEN: Global<u32> = Global::new(0xfa01_0002);
/// Entries of `SLOTS` divided by two.
#[unsafe(no_mangle)]
pub static SLOTS_LEN: Global<u32> = Global::new(0xfa01_0003);
/// Level of kernel-side log messages (0 off .. 5 trace).
#[unsafe(no_mangle)]
pub static LOG_LEVEL: Global<u32> = Global::new(0xfa01_0004);
/// 1: the controller's lease is checked (0 only in packet tests, which have no controller).
#[unsafe(no_mangle)]
pub static LEASED: Global<u32> = Global::new(0xfa01_0005);
/// Conditions of UDP flows: what goes where none of them holds is not noted.
#[unsafe(no_mangle)]
pub static UDP_CONDITIONS: Global<u64> = Global::new(0xfa01_0006_fa01_0006);

/// 1: the delay line is the qdisc fq. A load-time value, so that kernels do not see the helpers
/// that only one of the lines needs.
#[unsafe(no_mangle)]
pub static FQ: Global<u32> = Global::new(0xfa01_0008);
/// Bytes of each faulted packet that are kept, at most [`fault_common::capture::SNAPLEN_MAX`]; 0: none.
#[unsafe(no_mangle)]
pub static SNAPLEN: Global<u32> = Global::new(0xfa01_0009);
/// How many of them: of those that were lost, and again of the others.
#[unsafe(no_mangle)]
pub static CAPTURE_MAX: Global<u32> = Global::new(0xfa01_000a);

/// 1: each packet is told by itself, also where no fault is armed.
#[unsafe(no_mangle)]
pub static EVERY_PACKET: Global<u32> = Global::new(0xfa01_000c);

/// Cookie of the network namespace whose sockets are observed; 0: of any. The packet programs hang on its
/// interfaces (and those of `HOME`) only, and another one may have the same tuples.
#[unsafe(no_mangle)]
pub static NETNS: Global<u64> = Global::new(0xfa01_000a_fa01_000a);
/// Cookie of a second network namespace, that of the apps that the run starts; 0: there is none.
#[unsafe(no_mangle)]
pub static HOME: Global<u64> = Global::new(0xfa01_000b_fa01_000b);
/// A bit for each app of which accepted connections are selected.
#[unsafe(no_mangle)]
pub static ACCEPTING: Global<u64> = Global::new(0xfa01_0009_fa01_0009);

/// 1: there may be UDP sockets that are flows as a whole. A load-time value: nobody else pays for them, nor does the verifier.
#[unsafe(no_mangle)]
pub static WHOLE: Global<u32> = Global::new(0xfa01_000d);

// Offsets of kernel struct fields, resolved from the kernel's BTF by userspace.

#[unsafe(no_mangle)]
pub static OFF_WRITE_SEQ: Global<u32> = Global::new(0xfa02_0001);
#[unsafe(no_mangle)]
pub static OFF_SKC_NUM: Global<u32> = Global::new(0xfa02_0002);
#[unsafe(no_mangle)]
pub static OFF_SKC_COOKIE: Global<u32> = Global::new(0xfa02_0003);
#[unsafe(no_mangle)]
pub static OFF_TASK_FILES: Global<u32> = Global::new(0xfa02_0004);
#[unsafe(no_mangle)]
pub static OFF_FILES_FDT: Global<u32> = Global::new(0xfa02_0005);
#[unsafe(no_mangle)]
pub static OFF_FDT_FD: Global<u32> = Global::new(0xfa02_0006);
#[unsafe(no_mangle)]
pub static OFF_FILE_PRIVATE: Global<u32> = Global::new(0xfa02_0007);
#[unsafe(no_mangle)]
pub static OFF_SOCKET_SK: Global<u32> = Global::new(0xfa02_0008);
#[unsafe(no_mangle)]
pub static OFF_SOCKET_FILE: Global<u32> = Global::new(0xfa02_0009);
#[unsafe(no_mangle)]
pub static OFF_REGS_NR: Global<u32> = Global::new(0xfa02_000a);
#[unsafe(no_mangle)]
pub static OFF_REGS_FD: Global<u32> = Global::new(0xfa02_000b);
#[unsafe(no_mangle)]
pub static OFF_TASK_PID: Global<u32> = Global::new(0xfa02_000c);
#[unsafe(no_mangle)]
pub static OFF_TASK_TGID: Global<u32> = Global::new(0xfa02_000d);
#[unsafe(no_mangle)]
pub static OFF_SND_NXT: Global<u32> = Global::new(0xfa02_000e);
#[unsafe(no_mangle)]
pub static OFF_SND_UNA: Global<u32> = Global::new(0xfa02_000f);
#[unsafe(no_mangle)]
pub static OFF_TOTAL_RETRANS: Global<u32> = Global::new(0xfa02_0010);
#[unsafe(no_mangle)]
pub static OFF_BYTES_ACKED: Global<u32> = Global::new(0xfa02_0011);
#[unsafe(no_mangle)]
pub static OFF_BYTES_SENT: Global<u32> = Global::new(0xfa02_0012);
#[unsafe(no_mangle)]
pub static OFF_BYTES_RETRANS: Global<u32> = Global::new(0xfa02_0013);
#[unsafe(no_mangle)]
pub static OFF_BYTES_RECEIVED: Global<u32> = Global::new(0xfa02_0014);
#[unsafe(no_mangle)]
pub static OFF_RCV_NXT: Global<u32> = Global::new(0xfa02_0015);
#[unsafe(no_mangle)]
pub static OFF_SKC_STATE: Global<u32> = Global::new(0xfa02_0016);
#[unsafe(no_mangle)]
pub static OFF_MSG_ITER: Global<u32> = Global::new(0xfa02_0017);
#[unsafe(no_mangle)]
pub static OFF_ITER_COUNT: Global<u32> = Global::new(0xfa02_0018);
#[unsafe(no_mangle)]
pub static OFF_REGS_FD_OUT: Global<u32> = Global::new(0xfa02_0019);
#[unsafe(no_mangle)]
pub static OFF_SK_PROTOCOL: Global<u32> = Global::new(0xfa02_001a);
#[unsafe(no_mangle)]
pub static OFF_ULP_OPS: Global<u32> = Global::new(0xfa02_001b);

/// [0] epoch (0: nothing armed), [1] lease: until when (CLOCK_MONOTONIC ns) faults act,
/// [2] interface of the delay line (0: there is none), [3] bytes that it may hold (fq).
/// Written by the controller, one word at a time; read on matched packets.
#[map]
pub static CONTROL: Array<u64> = Array::with_max_entries(4, 0);
/// Index of the epoch in `CONTROL`.
pub const EPOCH: u32 = 0;
/// Index of the lease in `CONTROL`.
pub const LEASE: u32 = 1;
/// Index of the delay line's interface in `CONTROL`.
pub const LINE: u32 = 2;
/// Index of what it may hold in `CONTROL`.
pub const HOLD: u32 = 3;

/// Two banks of rule chains; see `fault_common::rule::chain_index`.
#[map]
pub static CHAIN_TABLE: Array<Chain> = Array::with_max_entries(CHAINS, 0);

/// cgroup id -> app index. Written by the controller.
#[map]
pub static APPS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_APPS, 0);
/// Process id -> app index, of processes that are attached to, with `WITH_CHILDREN` if their children are the app's
/// too. Written by the controller, which takes a process out when it ends, and by `children`.
#[map]
pub static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(MAX_PROCESSES, 0);
/// Listening address (all zero: any) and port -> whose. A handshake ends in no process's context: only the address
/// tells whose it is. Written by listen() and, for what listens already, by the controller.
#[map]
pub static LISTENERS: HashMap<ListenerKey, Listener> = HashMap::with_max_entries(MAX_LISTENERS, 0);
/// Cookie of a socket that begins to listen -> whose it is, until its address is known.
#[map]
pub static LISTENS: LruHashMap<u64, Listens> = LruHashMap::with_max_entries(MAX_LISTENERS, 0);
/// Cookie of a listening socket -> its key above.
#[map]
pub static LISTENING: HashMap<u64, ListenerKey> = HashMap::with_max_entries(MAX_LISTENERS, 0);
/// Cookie -> an open socket that is to be taken in. Written by the controller, which finds here what became of it.
#[map]
pub static FOUND: HashMap<u64, Found> = HashMap::with_max_entries(MAX_FOUND, NO_PREALLOC);
/// bpf.h: BPF_F_NO_PREALLOC. Most runs need none of its entries.
const NO_PREALLOC: u32 = 1;
/// Connections opened per app.
#[map]
pub static APP_OPENED: Array<u64> = Array::with_max_entries(MAX_APPS, 0);
/// The flows' selectors. Written by the controller.
#[map]
pub static SELECTORS: Array<Selector> = Array::with_max_entries(MAX_SELECTORS, 0);
/// What they have counted. Written by the connect hooks.
#[map]
pub static SELECTOR_STATE: Array<SelectorState> = Array::with_max_entries(MAX_SELECTORS, 0);
/// Address of an end of a connection -> conditions that it does not contradict. This table and its neighbours are
/// written by the controller; the addresses of a name may come while they are read.
#[map]
pub static BY_ADDRESS: LpmTrie<AddressKey, u64> = LpmTrie::with_max_entries(MAX_ADDRESSES, 0);
/// The same for a port. A range is at most 30 prefixes.
#[map]
pub static BY_PORT: LpmTrie<PortKey, u64> = LpmTrie::with_max_entries(4096, 0);
/// The same for the user id of the caller.
#[map]
pub static BY_USER: HashMap<u32, u64> = HashMap::with_max_entries(CONDITIONS + 1, 0);
/// Cgroup of the caller, or one above it -> conditions that hold in it.
#[map]
pub static BY_CGROUP: HashMap<u64, u64> = HashMap::with_max_entries(CONDITIONS + 1, 0);
/// What a client says first -> conditions that it does not contradict.
#[map]
pub static BY_HELLO: LpmTrie<HelloKey, u64> = LpmTrie::with_max_entries(CONDITIONS + 1, 0);
/// Cookie -> the first bytes of a socket that selectors wait for, until they suffice. Sized by the loader; the oldest
/// give way, for a socket may be closed in the middle.
#[map]
pub static HELLOS: LruHashMap<u64, Hello> = LruHashMap::with_max_entries(1, 0);
/// What a new one begins as. Never written.
#[map]
pub static NO_HELLO: Array<Hello> = Array::with_max_entries(1, 0);
/// App, protocol and opener -> conditions that they do not contradict.
#[map]
pub static BY_KIND: Array<u64> = Array::with_max_entries(KINDS, 0);
/// Markers seen whose connect has not come yet. Written by the output filter, taken by connect.
#[map]
pub static ARMED: HashMap<ArmKey, u64> = HashMap::with_max_entries(1024, 0);
/// Cookie of our end of an output stream -> its markers. Written by the controller.
#[map]
pub static MARKERS: HashMap<u64, MarkerSet> = HashMap::with_max_entries(256, 0);

/// cookie -> socket. Written by the connect hooks; never shrinks while the object lives, so
/// that a closed socket's last packets still find it.
#[map]
pub static SOCKETS: HashMap<u64, SocketEntry> = HashMap::with_max_entries(65_536, 0);
/// Slot -> flow + 1 that the controller has given its socket afterwards, 0 for none. Not in
/// `SOCKETS`: userspace can write a value there only as a whole, over what the programs change
/// meanwhile. Written by the controller; sized by the loader.
#[map]
pub static LATE_FLOWS: Array<u32> = Array::with_max_entries(1, 0);
/// (cookie, remote) -> flow of a UDP socket. Written by the hooks of `datagram`; the socket's close
/// takes it out again.
#[map]
pub static DATAGRAMS: HashMap<DatagramKey, Datagrams> = HashMap::with_max_entries(8192, 0);
/// Tuple of a packet towards the socket -> cookie. Written before the first packet: by sock_ops,
/// for UDP by the cgroup's egress hook.
#[map]
pub static TUPLES: HashMap<Tuple, u64> = HashMap::with_max_entries(65_536, 0);
/// Cookies of flowfault's own raw sockets, whose packets are nobody's. Written by the controller.
#[map]
pub static EXEMPT: HashMap<u64, u32> = HashMap::with_max_entries(MAX_EXEMPT, 0);
/// Thread (tgid << 32 | tid) -> its send call that is under way, if one is. The oldest give way.
#[map]
pub static SENDING: LruHashMap<u64, Sending> = LruHashMap::with_max_entries(8192, 0);
/// Next free slot.
#[map]
pub static SLOT_NEXT: Array<u64> = Array::with_max_entries(1, 0);
/// Counters per slot and direction; sized by the loader.
#[map]
pub static SLOTS: PerCpuArray<SlotCounters> = PerCpuArray::with_max_entries(2, 0);
/// What has not been told of a socket, by slot; sized by the loader, which looks into it.
#[map]
pub static QUIET: Array<Quiet> = Array::with_max_entries(1, MMAPABLE);
/// Counters per rule; sized by the loader.
#[map]
pub static RULES: PerCpuArray<RuleCounters> = PerCpuArray::with_max_entries(1, 0);
/// Counters of the whole run; `fault_common::stats::Global` names them.
#[map]
pub static TOTALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(GLOBALS, 0);
/// Wire packets that a counting rule has judged on a socket.
#[map]
pub static SEEN: HashMap<SeenKey, u64> = HashMap::with_max_entries(65_536, 0);
/// How often a packet at a position has been lost by chance.
#[map]
pub static ATTEMPTS: LruHashMap<AttemptKey, u32> = LruHashMap::with_max_entries(65_536, 0);

/// Memory that the delay line maps, too (bpf.h: BPF_F_MMAPABLE).
const MMAPABLE: u32 = 1 << 10;
/// Tag -> what is known of a packet on its way into the line. Written here, read by the line.
#[map]
pub static HANDED: Array<Handed> = Array::with_max_entries(TAGS, MMAPABLE);
/// Tag -> where a packet goes that the line gives back. Written by the line, read here.
#[map]
pub static BACK: Array<Back> = Array::with_max_entries(TAGS, MMAPABLE);
/// Slot * 2 + direction -> packets in the line. Sized by the loader.
#[map]
pub static TRANSIT: Array<Transit> = Array::with_max_entries(2, MMAPABLE);
/// Tag -> a packet in fq. Sized by the loader.
#[map]
pub static WAITING: Array<Waiting> = Array::with_max_entries(1, MMAPABLE);
/// What fq's line counts; `fault_common::line::wait` names the words.
#[map]
pub static WAITS: Array<u64> = Array::with_max_entries(wait::WORDS, MMAPABLE);
/// Next tag.
#[map]
pub static TAG_NEXT: Array<u64> = Array::with_max_entries(1, 0);

/// Events to the controller; sized by the loader.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// Faulted packets so far: those that were lost, the others.
#[map]
pub static CAPTURED: Array<u64> = Array::with_max_entries(2, 0);
/// Bytes of faulted packets to the controller; sized by the loader.
#[map]
pub static CAPTURES: RingBuf = RingBuf::with_byte_size(4096, 0);

/// One bit per port that a known socket uses on its ephemeral side. In .bss: the gate of every
/// packet on the machine is one load, no map call. Bits are only ever set.
#[unsafe(no_mangle)]
pub static mut PORTS: [u64; 1024] = [0; 1024];
