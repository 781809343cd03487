//! Packet programs as filters of the clsact qdisc (tc-bpf(8)), for kernels without TCX (before
//! 6.6). Unlike links they outlive this process: the lease ends their faults, and who cleans up
//! has to know them.

use std::io;

use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcError, TcHandle};
use aya::programs::{Link as _, ProgramError, TcAttachType};
use serde::{Deserialize, Serialize};

use super::error::KernelError;
use super::qdisc;
use crate::netns::Netns;

/// The first to see a packet; programs of others that share it come after the newest.
const PRIORITY: u16 = 1;
/// The upper byte of all our handles.
const HANDLE: u32 = 0xf100_0000;

/// The filters of one run: all that is needed to take them off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Inode of their network namespace.
    netns: u64,
    /// Handle of each of them, at priority 1.
    handle: u32,
    /// Interfaces whose clsact qdisc was made for them (or for another run of flowfault).
    qdiscs: Vec<u32>,
}

/// Writes filters down before they are made.
pub trait Keeper: Send {
    /// Replaces what was written before.
    ///
    /// # Errors
    /// It cannot be written; nothing is attached then.
    fn keep(&mut self, filters: &Filters) -> io::Result<()>;

    /// The filters of the other runs on record.
    fn others(&self) -> Vec<Filters>;
}

impl Filters {
    /// None yet, in the network namespace of this thread.
    pub(super) fn new() -> io::Result<Self> {
        let unique = fault_common::rng::mix(crate::clock::monotonic_ns()) as u32;
        let handle = HANDLE | (unique & 0x00ff_ffff);
        Ok(Self { netns: Netns::current()?.inode(), handle, qdiscs: Vec::new() })
    }

    /// How a program is to be attached.
    pub(super) fn options(&self) -> NlOptions {
        NlOptions { priority: PRIORITY, handle: self.handle.into(), classid: None }
    }

    /// Makes sure that the interface has a clsact qdisc.
    pub(super) fn prepare(
        &mut self,
        name: &str,
        ifindex: u32,
        keeper: Option<&mut (dyn Keeper + 'static)>,
    ) -> Result<(), KernelError> {
        let failed = |e: io::Error| KernelError::filters(name, e);
        if qdisc::has(ifindex, "ingress").map_err(failed)? {
            return Err(KernelError::Occupied {
                interface: name.into(),
                by: "an `ingress` qdisc, which has no side for packets on their way out",
                remedy: "Replace it with a `clsact` qdisc, which takes the same filters",
            });
        }
        let there = qdisc::has(ifindex, "clsact").map_err(failed)?;
        let others = keeper.as_ref().map(|k| k.others()).unwrap_or_default();
        let shared = |f: &Self| f.netns == self.netns && f.qdiscs.contains(&ifindex);
        if !self.qdiscs.contains(&ifindex) && (!there || others.iter().any(shared)) {
            self.qdiscs.push(ifindex);
            if let Some(keeper) = keeper {
                keeper.keep(self).map_err(failed)?;
            }
        }
        match tc::qdisc_add_clsact(name) {
            Err(TcError::NetlinkError(e)) if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            Err(e) => Err(KernelError::program("clsact", &e)),
            Ok(()) => Ok(()),
        }
    }

    /// After the filters of the interface are gone: takes its qdisc off if it was made for them and
    /// nobody else uses it.
    pub(super) fn release(&mut self, ifindex: u32) -> io::Result<()> {
        let Some(at) = self.qdiscs.iter().position(|i| *i == ifindex) else { return Ok(()) };
        // It stays on record on disk: a record only ever grows, and what is gone does no harm.
        self.qdiscs.swap_remove(at);
        if !qdisc::has(ifindex, "clsact")? || qdisc::has_filters(ifindex)? {
            return Ok(());
        }
        qdisc::remove_clsact(ifindex)
    }

    /// The interfaces whose qdisc may have to go.
    pub(super) fn qdiscs(&self) -> Vec<u32> {
        self.qdiscs.clone()
    }

    /// Takes off what is left of them, in whatever network namespace it is. Nothing is left in one
    /// that nobody can reach any more: it has gone with all that was in it.
    ///
    /// # Errors
    /// The kernel refuses to remove something.
    pub fn remove(&self) -> io::Result<()> {
        if Netns::current()?.inode() == self.netns {
            return self.remove_here();
        }
        let Some(netns) = Netns::find(self.netns) else { return Ok(()) };
        netns.within(|| self.remove_here())?
    }

    fn remove_here(&self) -> io::Result<()> {
        for interface in &nix::net::if_::if_nameindex()? {
            let name = interface.name().to_string_lossy();
            match self.remove_from(interface.index(), &name) {
                // It went while it was looked at, as a delay line does with its process, and all that was on it.
                Err(_) if nix::net::if_::if_nametoindex(&*name).is_err() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn remove_from(&self, ifindex: u32, name: &str) -> io::Result<()> {
        if !qdisc::has(ifindex, "clsact")? {
            return Ok(());
        }
        for hook in [TcAttachType::Egress, TcAttachType::Ingress] {
            let handle = TcHandle::from(self.handle);
            let link = SchedClassifierLink::attached(name, hook, PRIORITY, handle, None)?;
            detach(link)?;
        }
        self.clone().release(ifindex)
    }
}

/// Takes a filter off; one that is gone already, with its interface or by somebody else, is fine.
pub(super) fn detach(link: SchedClassifierLink) -> io::Result<()> {
    match link.detach() {
        Ok(()) => Ok(()),
        Err(ProgramError::NetlinkError(e)) => match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::EINVAL) => Ok(()),
            _ => Err(io::Error::other(e)),
        },
        Err(e) => Err(io::Error::other(e)),
    }
}
