//! Programs -> hooks: interfaces, cgroups, output streams, the tier of evidence.

use std::os::fd::AsFd;

use aya::programs::tc::{TcAttachOptions, TcAttachType};
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSockAddr, FExit, LinkOrder, SchedClassifier, SockOps,
    SocketFilter,
};
use fault_common::table::MarkerSet;

use super::error::KernelError;
use super::load::typed;
use super::{Kernel, Tier};

impl Kernel {
    /// Attaches the packet programs to an interface of this network namespace. Attaching twice
    /// is the same as once. `ethernet` says whether its packets have a link layer header.
    ///
    /// # Errors
    /// The kernel has no TCX (before 6.6), or the interface is gone.
    pub fn attach_interface(
        &mut self,
        name: &str,
        ifindex: u32,
        ethernet: bool,
    ) -> Result<(), KernelError> {
        if self.tc_links.contains_key(&ifindex) {
            return Ok(());
        }
        let programs = if ethernet {
            [("egress_l2", TcAttachType::Egress), ("ingress_l2", TcAttachType::Ingress)]
        } else {
            [("egress_l3", TcAttachType::Egress), ("ingress_l3", TcAttachType::Ingress)]
        };
        let mut links = Vec::with_capacity(programs.len());
        for (program, hook) in programs {
            let p: &mut SchedClassifier = typed(&mut self.ebpf, program)?;
            let id = p
                .attach_with_options(name, hook, TcAttachOptions::TcxOrder(LinkOrder::first()))
                .map_err(|e| no_tcx(program, &e))?;
            links.push(p.take_link(id).map_err(|e| KernelError::program(program, &e))?);
        }
        self.tc_links.insert(ifindex, links);
        Ok(())
    }

    /// Forgets an interface that is gone; the kernel has detached the programs with it.
    pub fn forget_interface(&mut self, ifindex: u32) {
        self.tc_links.remove(&ifindex);
    }

    /// Interfaces that have the packet programs.
    pub fn interfaces(&self) -> impl Iterator<Item = u32> + '_ {
        self.tc_links.keys().copied()
    }

    /// Takes the packet programs off all interfaces.
    pub fn detach_interfaces(&mut self) {
        self.tc_links.clear();
    }

    /// Watches every connect in a cgroup and below it.
    ///
    /// # Errors
    /// Missing privileges, or not a cgroup2 directory.
    pub fn attach_cgroup(&mut self, cgroup: impl AsFd) -> Result<(), KernelError> {
        // A bpf_link is always one of many; the flag for that is refused with EINVAL.
        let mode = CgroupAttachMode::Single;
        for name in ["connect4", "connect6"] {
            let p: &mut CgroupSockAddr = typed(&mut self.ebpf, name)?;
            p.attach(&cgroup, mode).map_err(|e| KernelError::program(name, &e))?;
        }
        let p: &mut SockOps = typed(&mut self.ebpf, "socket_state")?;
        p.attach(&cgroup, mode).map_err(|e| KernelError::program("socket_state", &e))?;
        Ok(())
    }

    /// Looks for markers in what is written to the peer of `stream`, a SOCK_SEQPACKET socket of
    /// ours with this cookie.
    ///
    /// # Errors
    /// The filter cannot be attached or the table is full.
    pub fn watch_output(
        &mut self,
        stream: impl AsFd,
        cookie: u64,
        markers: &MarkerSet,
    ) -> Result<(), KernelError> {
        self.write_markers(cookie, markers)?;
        let p: &mut SocketFilter = typed(&mut self.ebpf, "output_marker")?;
        p.attach(stream).map_err(|e| KernelError::program("output_marker", &e))
    }

    /// Attaches the evidence of sends: `forced`, or the best tier that this kernel takes.
    ///
    /// # Errors
    /// No tier works; the message has the reason of each.
    pub fn attach_evidence(&mut self, forced: Option<Tier>) -> Result<Tier, KernelError> {
        let candidates = forced.map_or(Tier::ALL.to_vec(), |t| vec![t]);
        let mut reasons = Vec::new();
        for tier in candidates {
            match self.try_evidence(tier) {
                Ok(()) => {
                    self.tier = Some(tier);
                    return Ok(tier);
                }
                // Not even EPERM ends the search: some kernels refuse function tracing alone.
                Err(e) => reasons.push(format!("{}: {e}", tier.name())),
            }
        }
        Err(KernelError::Program { program: "send evidence".into(), reason: reasons.join("; ") })
    }

    fn try_evidence(&mut self, tier: Tier) -> Result<(), KernelError> {
        let btf = self.btf.as_ref().ok_or(KernelError::Missing {
            feature: "BTF",
            since: "5.5 with CONFIG_DEBUG_INFO_BTF",
            remedy: "Use a distribution kernel",
        })?;
        let (name, target) = match tier {
            Tier::SockSendLength => ("send_length", "sock_send_length"),
            Tier::Fexit => ("send_fexit", "tcp_sendmsg_locked"),
            Tier::SysExit => ("send_sys_exit", "sys_exit"),
        };
        let wrap = |e: aya::programs::ProgramError| KernelError::program(name, &e);
        if tier == Tier::Fexit {
            let p: &mut FExit = typed(&mut self.ebpf, name)?;
            p.load(target, btf).map_err(no_tracing)?;
            p.attach().map_err(no_tracing)?;
        } else {
            let p: &mut BtfTracePoint = typed(&mut self.ebpf, name)?;
            p.load(target, btf).map_err(wrap)?;
            p.attach().map_err(wrap)?;
        }
        Ok(())
    }
}

/// Programs like this one have loaded by now, so a refusal is not for want of privileges.
fn no_tracing(e: aya::programs::ProgramError) -> KernelError {
    match KernelError::program("send_fexit", &e) {
        KernelError::Privilege { .. } => KernelError::Missing {
            feature: "function tracing for BPF",
            since: "5.5 with CONFIG_FUNCTION_TRACER, and allowed on this machine",
            remedy: "Another tier of evidence does as well",
        },
        other => other,
    }
}

/// EINVAL from bpf_link_create on an interface is a kernel that does not know TCX.
fn no_tcx(program: &str, e: &aya::programs::ProgramError) -> KernelError {
    use aya::programs::ProgramError;
    match e {
        ProgramError::SyscallError(s) if s.io_error.raw_os_error() == Some(libc::EINVAL) => {
            KernelError::Missing {
                feature: "TCX (BPF links on interfaces)",
                since: "Linux 6.6",
                remedy: "Run on a kernel of 6.6 or later; older ones are not supported yet",
            }
        }
        _ => KernelError::program(program, e),
    }
}
