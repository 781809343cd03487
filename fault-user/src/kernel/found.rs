//! Attaching to what runs: whose processes and listeners are whose, and the sockets that are open
//! already.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapError};
use aya::programs::{BtfTracePoint, SchedClassifier, TestRun as _, TestRunOptions};
use fault_common::table::{Found, Listener, ListenerKey, TAKEN_BEFORE, TAKEN_IN};

use super::Kernel;
use super::error::KernelError;
use super::load::typed;
use crate::addr;

/// The kernel runs no classifier on less than an Ethernet header (bpf_prog_test_run_skb).
const NO_PACKET: [u8; 64] = [0; 64];

/// What became of an open socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is known now.
    In,
    /// It was known already: it had opened since the hooks were attached.
    Before,
    /// As many sockets are observed as can be.
    NoRoom,
}

impl Kernel {
    /// Loads what only attached apps need, and watches for the end of sockets that are taken in. Before the
    /// first [`Self::take_in`].
    ///
    /// # Errors
    /// The kernel refuses one of the programs.
    pub fn attach_found(&mut self) -> Result<(), KernelError> {
        let program: &mut SchedClassifier = typed(&mut self.ebpf, "take_in")?;
        program.load().map_err(|e| KernelError::program("take_in", &e))?;
        let btf = self.btf.as_ref().ok_or(KernelError::Missing {
            feature: "BTF",
            since: "5.5 with CONFIG_DEBUG_INFO_BTF",
            remedy: "Use a distribution kernel",
        })?;
        let wrap = |e: aya::programs::ProgramError| KernelError::program("found_state", &e);
        let program: &mut BtfTracePoint = typed(&mut self.ebpf, "found_state")?;
        program.load("inet_sock_set_state", btf).map_err(wrap)?;
        program.attach().map(drop).map_err(wrap)
    }

    /// Says that this process is this app.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_process(&mut self, pid: u32, app: u32) -> Result<(), KernelError> {
        let mut map: HashMap<_, u32, u32> = HashMap::try_from(self.map_mut("PROCESSES")?)
            .map_err(KernelError::map("use the map PROCESSES"))?;
        map.insert(pid, app, 0).map_err(KernelError::map("register a process"))
    }

    /// The process has ended: whoever gets its number is nobody's.
    ///
    /// # Errors
    /// The map update fails.
    pub fn remove_process(&mut self, pid: u32) -> Result<(), KernelError> {
        let mut map: HashMap<_, u32, u32> = HashMap::try_from(self.map_mut("PROCESSES")?)
            .map_err(KernelError::map("use the map PROCESSES"))?;
        match map.remove(&pid) {
            Err(MapError::KeyNotFound) => Ok(()),
            other => other.map_err(KernelError::map("forget a process")),
        }
    }

    /// Says that connections which `ip` (unspecified: any) accepts at this port are this app's; `pid` is the process
    /// that they are told of, and `allowed` the conditions that its user and cgroup do not contradict.
    ///
    /// # Errors
    /// The table is full (1024 listeners).
    pub fn add_listener(
        &mut self,
        ip: IpAddr,
        port: u16,
        (pid, app): (u32, u32),
        allowed: u64,
    ) -> Result<(), KernelError> {
        let addr = if ip.is_unspecified() { [0; 4] } else { addr::words(ip) };
        let mut map: HashMap<_, ListenerKey, Listener> =
            HashMap::try_from(self.map_mut("LISTENERS")?)
                .map_err(KernelError::map("use the map LISTENERS"))?;
        let listener = Listener { whose: u64::from(pid) << 32 | u64::from(app), allowed };
        map.insert(ListenerKey { addr, port: port.into() }, listener, 0)
            .map_err(KernelError::map("register a listener"))
    }

    /// Takes in a socket that is open: from now on its packets are recognised.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn take_in(&mut self, found: &Found) -> Result<Taken, KernelError> {
        let mut map: Array<_, Found> = Array::try_from(self.map_mut("FOUND")?)
            .map_err(KernelError::map("use the map FOUND"))?;
        map.set(0, found, 0).map_err(KernelError::map("hand over an open socket"))?;
        let program: &mut SchedClassifier = typed(&mut self.ebpf, "take_in")?;
        let options =
            TestRunOptions { data_in: Some(&NO_PACKET), repeat: 1, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(|e| KernelError::program("take_in", &e))?;
        Ok(match result.return_value {
            TAKEN_IN => Taken::In,
            TAKEN_BEFORE => Taken::Before,
            _ => Taken::NoRoom,
        })
    }
}
