//! Programs -> hooks: interfaces, cgroups, output streams, the tier of evidence.

use std::os::fd::AsFd;

use aya::programs::tc::TcAttachType;
use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr,
    FExit, SockOps, SocketFilter,
};
use fault_common::table::MarkerSet;

use super::btf::{has_function, has_tracepoint};
use super::error::KernelError;
use super::hooks::Network;
use super::load::{
    HELLO_PROGRAMS, load_output_filter, load_packet_programs, packet_programs, typed,
};
use super::{Kernel, Tier};
use crate::netns::Netns;

impl Kernel {
    /// Attaches the packet programs to an interface of this network namespace. Attaching twice
    /// is the same as once. `ethernet` says whether its packets have a link layer header.
    ///
    /// # Errors
    /// The interface is gone, or what it has leaves no place for filters.
    pub fn attach_interface(
        &mut self,
        name: &str,
        ifindex: u32,
        ethernet: bool,
    ) -> Result<(), KernelError> {
        self.attach_in(Network::Run, name, ifindex, ethernet)
    }

    /// The same for an interface of the run's second network namespace. By links only: filters would have to be taken
    /// off in there.
    ///
    /// # Errors
    /// Also if `home` cannot be entered, or the kernel has no TCX.
    pub fn attach_at_home(
        &mut self,
        home: &Netns,
        name: &str,
        ifindex: u32,
        ethernet: bool,
    ) -> Result<(), KernelError> {
        let attached = home.within(|| self.attach_in(Network::Home, name, ifindex, ethernet));
        attached.map_err(|e| KernelError::filters(name, e))?
    }

    fn attach_in(
        &mut self,
        network: Network,
        name: &str,
        ifindex: u32,
        ethernet: bool,
    ) -> Result<(), KernelError> {
        // What comes out of the delay line has been judged on its way in.
        let is_line = self.line.as_ref().is_some_and(|(line, _)| *line == ifindex);
        let at = (network, ifindex);
        if (is_line && network == Network::Run) || self.hooks.has(at) {
            return Ok(());
        }
        load_packet_programs(&mut self.ebpf, network, ethernet)?;
        let hooks = [TcAttachType::Egress, TcAttachType::Ingress];
        let programs = packet_programs(network, ethernet).into_iter().zip(hooks);
        let mut links = Vec::with_capacity(hooks.len());
        for (program, hook) in programs {
            let attached = match network {
                Network::Run => self.attach_to(program, name, ifindex, hook),
                Network::Home => self.attach_link(program, name, hook),
            };
            match attached {
                Ok(link) => links.push(link),
                Err(e) => {
                    self.hooks.insert(at, links);
                    self.hooks.release(at);
                    return Err(e);
                }
            }
        }
        self.hooks.insert(at, links);
        Ok(())
    }

    /// Forgets an interface that is gone; the kernel has detached the programs with it.
    pub fn forget_interface(&mut self, network: Network, ifindex: u32) {
        self.hooks.release((network, ifindex));
    }

    /// Interfaces that have the packet programs.
    pub fn interfaces(&self) -> impl Iterator<Item = (Network, u32)> + '_ {
        self.hooks.interfaces()
    }

    /// Takes the packet programs off all interfaces.
    pub fn detach_interfaces(&mut self) {
        self.hooks.clear();
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
        if self.hellos {
            for name in HELLO_PROGRAMS {
                let p: &mut CgroupSkb = typed(&mut self.ebpf, name)?;
                p.attach(&cgroup, CgroupSkbAttachType::Egress, mode)
                    .map_err(|e| KernelError::program(name, &e))?;
            }
        }
        if self.datagrams { self.attach_datagrams(&cgroup, mode) } else { Ok(()) }
    }

    fn attach_datagrams(
        &mut self,
        cgroup: &impl AsFd,
        mode: CgroupAttachMode,
    ) -> Result<(), KernelError> {
        for name in ["sendmsg4", "sendmsg6"] {
            let p: &mut CgroupSockAddr = typed(&mut self.ebpf, name)?;
            p.attach(cgroup, mode).map_err(|e| KernelError::program(name, &e))?;
        }
        let p: &mut CgroupSkb = typed(&mut self.ebpf, "datagram_out")?;
        p.attach(cgroup, CgroupSkbAttachType::Egress, mode)
            .map_err(|e| KernelError::program("datagram_out", &e))?;
        let p: &mut CgroupSock = typed(&mut self.ebpf, "sock_release")?;
        p.attach(cgroup, mode).map_err(|e| KernelError::program("sock_release", &e))?;
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
        load_output_filter(&mut self.ebpf)?;
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
                    self.place_sends(tier)?;
                    // sendfile and splice had a way of their own to TCP until Linux 6.5 (dc97391e6610).
                    self.sendpage = tier != Tier::SysExit && has_function("tcp_sendpage")?;
                    return Ok(tier);
                }
                // Not even EPERM ends the search: some kernels refuse function tracing alone.
                Err(e) => reasons.push(format!("{}: {e}", tier.name())),
            }
        }
        Err(KernelError::Program { program: "send evidence".into(), reason: reasons.join("; ") })
    }

    /// Attaches what tells where the bytes of each call stand, to the tiers that see every call return: a call
    /// that is never seen to return would leave its beginning to the thread's next one.
    fn place_sends(&mut self, tier: Tier) -> Result<(), KernelError> {
        const TRACEPOINT: &str = "tcp_sendmsg_locked";
        let (Some(btf), false) = (&self.btf, tier == Tier::SysExit) else { return Ok(()) };
        if !has_tracepoint(TRACEPOINT)? {
            return Ok(());
        }
        let name = "send_chunk";
        let program: &mut BtfTracePoint = typed(&mut self.ebpf, name)?;
        program.load(TRACEPOINT, btf).map_err(|e| KernelError::program(name, &e))?;
        program.attach().map_err(|e| KernelError::program(name, &e))?;
        self.placed = true;
        Ok(())
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
