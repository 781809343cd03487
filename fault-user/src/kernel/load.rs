//! The object of this binary -> maps and programs in the kernel, not yet attached.

use std::collections::HashMap;

use aya::maps::Array;
use aya::programs::{CgroupSockAddr, SchedClassifier, SockOps, SocketFilter};
use aya::{Btf, Ebpf, EbpfLoader};
use fault_common::layout::ABI_VERSION;
use fault_common::table::Selector;

use super::error::KernelError;
use super::{Kernel, btf};

pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fault-ebpf"));

/// Values that are fixed for a run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Seed of every random decision.
    pub seed: u64,
    /// One per flow.
    pub selectors: Vec<Selector>,
    /// How many rules have counters.
    pub rules: u32,
    /// How many sockets can be observed; each takes 96 bytes a CPU.
    pub slots: u32,
    /// Size of the event ring in bytes, a power of two.
    pub ring_bytes: u32,
    /// Kernel-side log messages: 0 off to 5 trace.
    pub log_level: u32,
    /// Whether faults need a lease that the controller renews. False only in packet tests.
    pub leased: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 0,
            selectors: Vec::new(),
            rules: 1,
            slots: 4096,
            ring_bytes: 16 << 20,
            log_level: 0,
            leased: true,
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
        let control = ebpf
            .take_map("CONTROL")
            .ok_or(KernelError::Object { what: "without the map CONTROL" })?;
        let control = Array::try_from(control).map_err(KernelError::map("use the map CONTROL"))?;
        let mut kernel = Self {
            ebpf,
            btf: Btf::from_sys_fs().ok(),
            control,
            epoch: 0,
            banks: [Vec::new(), Vec::new()],
            slots: setup.slots,
            rules: setup.rules.max(1),
            tc_links: HashMap::new(),
            tier: None,
        };
        kernel.write_selectors(&setup.selectors)?;
        Ok(kernel)
    }
}

fn load_object(setup: &Setup, offsets: &btf::Offsets) -> Result<Ebpf, KernelError> {
    let abi = ABI_VERSION | 0xabab_0000;
    let selectors = setup.selectors.len() as u32;
    let leased = u32::from(setup.leased);
    let mut loader = EbpfLoader::new();
    loader
        .override_global("ABI", &abi, true)
        .override_global("SEED", &setup.seed, true)
        .override_global("SELECTORS_LEN", &selectors, true)
        .override_global("SLOTS_LEN", &setup.slots, true)
        .override_global("LOG_LEVEL", &setup.log_level, true)
        .override_global("LEASED", &leased, true)
        .map_max_entries("SLOTS", setup.slots * 2)
        .map_max_entries("RULES", setup.rules.max(1))
        .map_max_entries("EVENTS", setup.ring_bytes);
    for (name, offset) in &offsets.0 {
        loader.override_global(name, offset, true);
    }
    loader.load(OBJECT).map_err(|e| KernelError::program("fault-ebpf", &e))
}

/// Loads the programs that are not tied to an evidence tier.
fn load_programs(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    for name in ["egress_l2", "ingress_l2", "egress_l3", "ingress_l3"] {
        let program: &mut SchedClassifier = typed(ebpf, name)?;
        program.load().map_err(|e| KernelError::program(name, &e))?;
    }
    for name in ["connect4", "connect6"] {
        let program: &mut CgroupSockAddr = typed(ebpf, name)?;
        program.load().map_err(|e| KernelError::program(name, &e))?;
    }
    let program: &mut SockOps = typed(ebpf, "socket_state")?;
    program.load().map_err(|e| KernelError::program("socket_state", &e))?;
    let program: &mut SocketFilter = typed(ebpf, "output_marker")?;
    program.load().map_err(|e| KernelError::program("output_marker", &e))
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
