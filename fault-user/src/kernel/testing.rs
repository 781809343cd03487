//! What packet tests need of the kernel side: BPF_PROG_TEST_RUN on the real programs, and a look
//! at what was loaded. Benchmarks flood the ring with it; nothing else uses this.

use aya::maps::Map;
use aya::programs::{ProgramError, SchedClassifier, TestRun, TestRunOptions};
use fault_common::rule::Direction;

use super::Kernel;
use super::error::KernelError;
use super::hooks::Network;
use super::load::{OBJECT, load_packet_programs, packet_programs, typed};

/// Size of `struct __sk_buff` (uapi/linux/bpf.h), `hwtstamp` of Linux 5.16 included.
const SK_BUFF_LEN: usize = 192;

/// What the kernel lets a test say about a packet beside its bytes. It refuses (EINVAL) any other
/// field of `struct __sk_buff`, the socket and the attachment among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestContext {
    /// How often the program sees the same packet, at least 1; the last verdict counts.
    pub repeat: u32,
    /// Wire packets that it stands for; 0 is what a plain packet has.
    pub gso_segs: u32,
    /// Bytes of payload per wire packet; 0 is what a plain packet has.
    pub gso_size: u32,
    /// The mark of a judged packet. The kernel takes only 0.
    pub tc_index: u32,
}

impl Default for TestContext {
    fn default() -> Self {
        Self { repeat: 1, gso_segs: 0, gso_size: 0, tc_index: 0 }
    }
}

impl TestContext {
    /// The fields where `struct __sk_buff` has them (uapi/linux/bpf.h; the layout is ABI).
    fn sk_buff(&self) -> [u8; SK_BUFF_LEN] {
        let mut bytes = [0; SK_BUFF_LEN];
        for (offset, value) in [(44, self.tc_index), (164, self.gso_segs), (176, self.gso_size)] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }
}

/// What a program said to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestVerdict {
    /// Its return code, a `TC_ACT_*` number.
    pub code: i32,
    /// The packet afterwards.
    pub output: Vec<u8>,
}

/// The object of this binary, an ELF file.
pub fn object() -> &'static [u8] {
    OBJECT
}

impl Kernel {
    /// Runs the packet program of a direction on a packet that begins with an Ethernet header;
    /// `ethernet` chooses between the program for devices that have one and the one for those
    /// that have none.
    ///
    /// # Errors
    /// The kernel refuses the packet (shorter than an Ethernet header, longer than a page, no
    /// room for its IP header) or the context.
    pub fn test_run(
        &mut self,
        dir: Direction,
        ethernet: bool,
        packet: &[u8],
        context: &TestContext,
    ) -> Result<TestVerdict, KernelError> {
        load_packet_programs(&mut self.ebpf, Network::Run, ethernet)?;
        let name = packet_programs(Network::Run, ethernet)[dir as usize];
        let program: &mut SchedClassifier = typed(&mut self.ebpf, name)?;
        let mut output = vec![0; packet.len()];
        let ctx = context.sk_buff();
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(packet),
                data_out: Some(&mut output),
                ctx_in: Some(&ctx),
                repeat: context.repeat,
                ..TestRunOptions::new()
            })
            .map_err(|e| KernelError::program(name, &e))?;
        output.truncate(result.data_size_out as usize);
        Ok(TestVerdict { code: result.return_value.cast_signed(), output })
    }

    /// Shows the same packet to the ingress program, so often. It judges it each time; the time that it took for one, ns, as
    /// the kernel measures it.
    ///
    /// # Errors
    /// As [`Kernel::test_run`].
    pub fn flood(&mut self, packet: &[u8], times: u32) -> Result<u64, KernelError> {
        const AGAIN: &str = "ingress_again";
        let program: &mut SchedClassifier = typed(&mut self.ebpf, AGAIN)?;
        let failed = |e| KernelError::program(AGAIN, &e);
        if program.fd().is_err() {
            program.load().map_err(failed)?;
        }
        let options =
            TestRunOptions { data_in: Some(packet), repeat: times, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(failed)?;
        Ok(result.duration.as_nanos() as u64)
    }

    /// Name and number of instructions that the verifier walked, of each program of this run. Needs
    /// Linux 5.16.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn verified_instructions(&mut self) -> Result<Vec<(String, u32)>, KernelError> {
        for network in [Network::Run, Network::Home] {
            load_packet_programs(&mut self.ebpf, network, true)?;
            load_packet_programs(&mut self.ebpf, network, false)?;
        }
        if let Some(why) = self.load_take_in()? {
            return Err(why);
        }
        let mut counts = Vec::new();
        for (name, program) in self.ebpf.programs() {
            // Those of the evidence tiers are loaded when a tier is chosen.
            let info = match program.info() {
                Err(ProgramError::NotLoaded) => continue,
                other => other.map_err(|e| KernelError::program(name, &e))?,
            };
            let count = info.verified_instruction_count().ok_or(KernelError::Missing {
                feature: "count of verified instructions",
                since: "Linux 5.16",
                remedy: "Run this test on a newer kernel",
            })?;
            counts.push((name.to_owned(), count));
        }
        Ok(counts)
    }

    /// Id of the map that holds the load-time values, for a second pair of eyes (libbpf).
    ///
    /// # Errors
    /// The object has none, or the kernel does not tell.
    pub fn globals_map_id(&self) -> Result<u32, KernelError> {
        let Some(Map::Array(map)) = self.ebpf.map(".rodata") else {
            return Err(KernelError::Object { what: "without the map .rodata" });
        };
        let info = map.info().map_err(KernelError::map("ask for the id of the map .rodata"))?;
        Ok(info.id())
    }
}
