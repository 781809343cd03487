//! The object of this binary -> maps and programs in the kernel, not yet attached.

use aya::maps::Array;
use aya::programs::{
    CgroupSkb, CgroupSock, CgroupSockAddr, Program, ProgramError, SchedClassifier, SockOps,
    SocketFilter,
};
use aya::{Btf, Ebpf, EbpfLoader};
use fault_common::layout::ABI_VERSION;
use fault_common::line::TAGS;
use fault_common::table::{SEL_AFTER_PROCESS, SEL_AFTER_THREAD, SEL_HELLO, Selector};

use super::error::KernelError;
use super::hooks::{Hook, Hooks, Network};
use super::{Kernel, btf, rest};

pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fault-ebpf"));

/// What reads the first bytes of sockets: each packet passes them in this order, the one in which they are attached
/// (bpf_prog_array).
pub(super) const HELLO_PROGRAMS: [&str; 2] = ["hello_heard", "hello_known"];
/// Sockets that may be in the middle of their first bytes at a time.
const HELLOS: u32 = 1024;

/// Values that are fixed for a run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Seed of every random decision.
    pub seed: u64,
    /// One per flow.
    pub selectors: Vec<Selector>,
    /// Conditions that a UDP socket may fulfil; with none of them, sends to it are not noted.
    pub udp_conditions: u64,
    /// How many rules have counters.
    pub rules: u32,
    /// How many sockets can be observed; each takes 128 bytes a CPU and 172 besides.
    pub slots: u32,
    /// Size of the event ring in bytes, a power of two.
    pub ring_bytes: u32,
    /// Kernel-side log messages: 0 off to 5 trace.
    pub log_level: u32,
    /// Whether faults need a lease that the controller renews. False only in packet tests.
    pub leased: bool,
    /// The delay line is fq ([`Kernel::open_fq`]), not a TAP.
    pub fq: bool,
    /// Bytes of each faulted packet that are kept, at most
    /// [`SNAPLEN_MAX`](fault_common::capture::SNAPLEN_MAX); 0: none.
    pub snaplen: u32,
    /// How many faulted packets are kept: of those that were lost, and again of the others.
    pub captures: u32,
    /// Offsets of kernel fields that replace those of the kernel's BTF, by the name of the programs' value: for
    /// the test that wrong ones are found out.
    pub offsets: Vec<(&'static str, u32)>,
    /// Cookie of the network namespace whose sockets are observed; 0: of any.
    pub netns: u64,
    /// Cookie of a second one; 0: there is none.
    pub home: u64,
    /// UDP sockets are flows as a whole ([`fault_common::table::SOCKET_WHOLE`]), and not by remotes.
    pub whole: bool,
    /// A bit for each app of which accepted connections are meant.
    pub accepting: u64,
    /// How to attach to interfaces; `None`: the better way that this kernel has.
    pub hook: Option<Hook>,
    /// Whether each packet is told by itself, also where no fault is armed.
    pub every_packet: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 0,
            selectors: Vec::new(),
            udp_conditions: 0,
            rules: 1,
            slots: 4096,
            ring_bytes: 16 << 20,
            log_level: 0,
            leased: true,
            fq: false,
            snaplen: 0,
            captures: 0,
            offsets: Vec::new(),
            netns: 0,
            home: 0,
            whole: false,
            accepting: 0,
            hook: None,
            every_packet: false,
        }
    }
}

impl Kernel {
    /// Loads all programs that every run needs.
    ///
    /// # Errors
    /// Missing privileges, a kernel without BTF, or a program that its verifier refuses.
    pub fn load(setup: &Setup) -> Result<Self, KernelError> {
        if OBJECT.is_empty() {
            return Err(KernelError::Object { what: "empty (built with AYA_BUILD_SKIP)" });
        }
        let offsets = btf::offsets()?;
        let mut ebpf = load_object(setup, &offsets)?;
        load_programs(&mut ebpf)?;
        if setup.fq {
            load_classifier(&mut ebpf, "line_bounce")?;
        }
        let datagrams = setup.selectors.iter().any(wants_datagrams);
        if datagrams {
            load_datagram_programs(&mut ebpf)?;
        }
        let hellos = setup.selectors.iter().any(waits_for_hello);
        if hellos {
            for name in HELLO_PROGRAMS {
                let program: &mut CgroupSkb = typed(&mut ebpf, name)?;
                program.load().map_err(|e| KernelError::program(name, &e))?;
            }
        }
        let markers = setup.selectors.iter().any(waits_for_marker);
        if markers {
            load_output_filter(&mut ebpf)?;
        }
        let quiet = rest::share(&ebpf, setup.slots)?;
        let control = ebpf
            .take_map("CONTROL")
            .ok_or(KernelError::Object { what: "without the map CONTROL" })?;
        let control = Array::try_from(control).map_err(KernelError::map("use the map CONTROL"))?;
        let mut kernel = Self {
            ebpf,
            btf: Btf::from_sys_fs().ok(),
            quiet,
            control,
            epoch: 0,
            banks: [Vec::new(), Vec::new()],
            slots: setup.slots,
            rules: setup.rules.max(1),
            datagrams,
            hellos,
            markers,
            hooks: Hooks::new(setup.hook),
            tier: None,
            placed: false,
            sendpage: false,
            line: None,
            ring: None,
            bounce: None,
        };
        kernel.write_selectors(&setup.selectors)?;
        // Raw sockets have their protocol for a port; see `Kernel::exempt`.
        kernel.open_gate(libc::IPPROTO_RAW as u16)?;
        Ok(kernel)
    }
}

impl Kernel {
    /// Detaches and unloads all programs; counters stay. Before it, [`Kernel::detach_interfaces`].
    ///
    /// # Errors
    /// One of them cannot be unloaded.
    pub fn unload(&mut self) -> Result<(), KernelError> {
        for (name, program) in self.ebpf.programs_mut() {
            let done = match program {
                Program::SchedClassifier(p) => p.unload(),
                Program::CgroupSockAddr(p) => p.unload(),
                Program::CgroupSkb(p) => p.unload(),
                Program::CgroupSock(p) => p.unload(),
                Program::SockOps(p) => p.unload(),
                Program::SocketFilter(p) => p.unload(),
                Program::BtfTracePoint(p) => p.unload(),
                Program::FExit(p) => p.unload(),
                Program::Iter(p) => p.unload(),
                // There are no others in the object.
                _ => Ok(()),
            };
            match done {
                Ok(()) | Err(ProgramError::NotLoaded) => {}
                Err(e) => return Err(KernelError::program(name, &e)),
            }
        }
        Ok(())
    }
}

fn load_object(setup: &Setup, offsets: &btf::Offsets) -> Result<Ebpf, KernelError> {
    let abi = ABI_VERSION | 0xabab_0000;
    let selectors = setup.selectors.len() as u32;
    let (leased, whole) = (u32::from(setup.leased), u32::from(setup.whole));
    let every_packet = u32::from(setup.every_packet);
    let (fq, tags) = if setup.fq { (1u32, TAGS) } else { (0, 1) };
    let hellos = if setup.selectors.iter().any(waits_for_hello) { HELLOS } else { 1 };
    let mut loader = EbpfLoader::new();
    loader
        .override_global("ABI", &abi, true)
        .override_global("SEED", &setup.seed, true)
        .override_global("SELECTORS_LEN", &selectors, true)
        .override_global("SLOTS_LEN", &setup.slots, true)
        .override_global("LOG_LEVEL", &setup.log_level, true)
        .override_global("LEASED", &leased, true)
        .override_global("FQ", &fq, true)
        .override_global("EVERY_PACKET", &every_packet, true)
        .override_global("SNAPLEN", &setup.snaplen, true)
        .override_global("CAPTURE_MAX", &setup.captures, true)
        .override_global("UDP_CONDITIONS", &setup.udp_conditions, true)
        .override_global("NETNS", &setup.netns, true)
        .override_global("HOME", &setup.home, true)
        .override_global("WHOLE", &whole, true)
        .override_global("ACCEPTING", &setup.accepting, true)
        .map_max_entries("SLOTS", setup.slots * 2)
        .map_max_entries("QUIET", setup.slots)
        .map_max_entries("TRANSIT", setup.slots * 2)
        .map_max_entries("WAITING", tags)
        .map_max_entries("HELLOS", hellos)
        .map_max_entries("LATE_FLOWS", setup.slots)
        .map_max_entries("RULES", setup.rules.max(1))
        .map_max_entries("CAPTURES", capture_ring(setup.snaplen))
        .map_max_entries("EVENTS", setup.ring_bytes);
    for (name, offset) in &offsets.0 {
        let replaced = setup.offsets.iter().find(|(other, _)| other == name);
        loader.override_global(name, replaced.map_or(offset, |(_, other)| other), true);
    }
    loader.load(OBJECT).map_err(|e| KernelError::program("fault-ebpf", &e))
}

/// Bytes of the ring of captures: what half a million small packets a second need in the 20 ms until the
/// reader looks again, within reason; it is a power of two.
fn capture_ring(snaplen: u32) -> u32 {
    const PACKETS: u32 = 10_000;
    const LEAST: u32 = 4096;
    const MOST: u32 = 32 << 20;
    if snaplen == 0 { LEAST } else { (snaplen * PACKETS).next_power_of_two().min(MOST) }
}

/// Loads the programs that are not tied to an evidence tier.
fn load_programs(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    load_packet_programs(ebpf, Network::Run, true)?;
    load_classifier(ebpf, "line_return")?;
    load_classifier(ebpf, rest::PROGRAM)?;
    for name in ["connect4", "connect6"] {
        let program: &mut CgroupSockAddr = typed(ebpf, name)?;
        program.load().map_err(|e| KernelError::program(name, &e))?;
    }
    let program: &mut SockOps = typed(ebpf, "socket_state")?;
    program.load().map_err(|e| KernelError::program("socket_state", &e))
}

/// The packet programs, egress first: those for interfaces with an Ethernet header, or without.
pub(super) const fn packet_programs(network: Network, ethernet: bool) -> [&'static str; 2] {
    match (network, ethernet) {
        (Network::Run, true) => ["egress_l2", "ingress_l2"],
        (Network::Run, false) => ["egress_l3", "ingress_l3"],
        (Network::Home, true) => ["egress_l2_home", "ingress_l2_home"],
        (Network::Home, false) => ["egress_l3_home", "ingress_l3_home"],
    }
}

/// Loads them unless that has been done. The verifier takes a second for the four of them on a slow
/// machine, and interfaces without an Ethernet header are rare, as are runs in two network namespaces: theirs are
/// loaded with the first.
///
/// # Errors
/// The verifier refuses one.
pub(super) fn load_packet_programs(
    ebpf: &mut Ebpf,
    network: Network,
    ethernet: bool,
) -> Result<(), KernelError> {
    for name in packet_programs(network, ethernet) {
        let program: &mut SchedClassifier = typed(ebpf, name)?;
        if program.fd().is_err() {
            program.load().map_err(|e| KernelError::program(name, &e))?;
        }
    }
    Ok(())
}

/// The program that looks for texts in what apps write. The verifier walks each byte that it may look at, so it is
/// loaded, once, where a flow waits for a text.
pub(super) fn load_output_filter(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let program: &mut SocketFilter = typed(ebpf, "output_marker")?;
    if program.fd().is_err() {
        program.load().map_err(|e| KernelError::program("output_marker", &e))?;
    }
    Ok(())
}

fn load_classifier(ebpf: &mut Ebpf, name: &str) -> Result<(), KernelError> {
    let program: &mut SchedClassifier = typed(ebpf, name)?;
    program.load().map_err(|e| KernelError::program(name, &e))
}

fn waits_for_hello(selector: &Selector) -> bool {
    selector.flags & SEL_HELLO != 0
}

fn waits_for_marker(selector: &Selector) -> bool {
    selector.flags & (SEL_AFTER_PROCESS | SEL_AFTER_THREAD) != 0
}

fn wants_datagrams(selector: &Selector) -> bool {
    selector.proto == libc::IPPROTO_UDP as u32
}

/// Loads the programs that only UDP flows need: without one, no packet and no send of the apps
/// meets them.
fn load_datagram_programs(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    for name in ["sendmsg4", "sendmsg6"] {
        let program: &mut CgroupSockAddr = typed(ebpf, name)?;
        program.load().map_err(|e| KernelError::program(name, &e))?;
    }
    let program: &mut CgroupSkb = typed(ebpf, "datagram_out")?;
    program.load().map_err(|e| KernelError::program("datagram_out", &e))?;
    let program: &mut CgroupSock = typed(ebpf, "sock_release")?;
    program.load().map_err(|e| KernelError::program("sock_release", &e))
}

/// The program of that name and type.
pub(super) fn typed<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, KernelError>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(KernelError::Object { what: "without one of its programs" })?
        .try_into()
        .map_err(|e: aya::programs::ProgramError| KernelError::program(name, &e))
}
