//! What the packet programs keep of sockets on which no fault is armed: told when nothing else makes them tell it.

use aya::Ebpf;
use aya::maps::Map;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use fault_common::quiet::Quiet;

use super::Kernel;
use super::error::KernelError;
use super::load::typed;
use super::mapped::Mapped;

pub(super) const PROGRAM: &str = "tell_rest";
/// Where the program looks for the slot, in a packet as long as the kernel wants one at least.
const SLOT_AT: usize = 32;
const PACKET: usize = 64;

/// The memory of the map, for a look that costs no system call.
pub(super) fn share(ebpf: &Ebpf, slots: u32) -> Result<Mapped<Quiet>, KernelError> {
    let Some(Map::Array(map)) = ebpf.map("QUIET") else {
        return Err(KernelError::Object { what: "without the map QUIET" });
    };
    Mapped::new(map.fd(), slots, "QUIET")
}

impl Kernel {
    /// Has the programs tell what they have kept: of a flow that has fallen silent nothing else would. The events come
    /// through the ring like all others.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn tell_rest(&mut self) -> Result<(), KernelError> {
        for slot in 0..self.slots {
            let kept = |quiet: Quiet| quiet.has_run() || quiet.has_ack();
            if self.quiet.get(slot).is_some_and(kept) {
                self.tell_slot(slot)?;
            }
        }
        Ok(())
    }

    fn tell_slot(&mut self, slot: u32) -> Result<(), KernelError> {
        let mut packet = [0; PACKET];
        packet[SLOT_AT..SLOT_AT + 4].copy_from_slice(&slot.to_ne_bytes());
        let options = TestRunOptions { data_in: Some(&packet), repeat: 1, ..TestRunOptions::new() };
        let program: &mut SchedClassifier = typed(&mut self.ebpf, PROGRAM)?;
        program.test_run(options).map(drop).map_err(|e| KernelError::program(PROGRAM, &e))
    }
}
