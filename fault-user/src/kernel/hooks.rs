//! Where the packet programs hang: TCX links, or filters of clsact where the kernel has no TCX.

use std::collections::HashMap;

use aya::programs::tc::{SchedClassifierLink, TcAttachOptions, TcAttachType};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier};

use super::Kernel;
use super::error::KernelError;
use super::filters::{self, Filters, Keeper};
use super::load::typed;

/// A way to attach programs to interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Links, Linux 6.6; they go with the process that holds them.
    Tcx,
    /// Filters of the clsact qdisc.
    Clsact,
}

impl Hook {
    /// The word of report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The network namespaces of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// The one that it is about, and whose thread it is.
    Run,
    /// That of the apps that it starts, if those that it attaches to are elsewhere.
    Home,
}

/// What hangs where. Dropping it takes everything off.
pub(super) struct Hooks {
    /// `None`: to be found out.
    hook: Option<Hook>,
    links: HashMap<(Network, u32), Vec<SchedClassifierLink>>,
    filters: Option<Filters>,
    keeper: Option<Box<dyn Keeper>>,
}

impl Hooks {
    /// None yet; `forced`, or the better one that this kernel has.
    pub(super) fn new(forced: Option<Hook>) -> Self {
        Self { hook: forced, links: HashMap::new(), filters: None, keeper: None }
    }

    pub(super) fn has(&self, at: (Network, u32)) -> bool {
        self.links.contains_key(&at)
    }

    pub(super) fn interfaces(&self) -> impl Iterator<Item = (Network, u32)> + '_ {
        self.links.keys().copied()
    }

    pub(super) fn insert(&mut self, at: (Network, u32), links: Vec<SchedClassifierLink>) {
        self.links.insert(at, links);
    }

    /// Takes everything off an interface. What fails is told: nobody could act on it.
    pub(super) fn release(&mut self, at: (Network, u32)) {
        let (network, ifindex) = at;
        let links = self.links.remove(&at).unwrap_or_default();
        links.into_iter().rev().for_each(|link| take_off(ifindex, link));
        if network == Network::Run
            && let Some(Err(e)) = self.filters.as_mut().map(|f| f.release(ifindex))
            && e.raw_os_error() != Some(libc::ENODEV)
        {
            tracing::warn!("cannot take the clsact qdisc off interface {ifindex}: {e}");
        }
    }

    /// Takes everything off all interfaces: what was attached last (ingress) everywhere before the
    /// rest. While it were still there, it would tell of acknowledgements of bytes that nobody saw
    /// leave any more.
    pub(super) fn clear(&mut self) {
        for ((_, ifindex), links) in &mut self.links {
            links.pop().into_iter().for_each(|link| take_off(*ifindex, link));
        }
        let mut interfaces: Vec<(Network, u32)> = self.interfaces().collect();
        let qdiscs = self.filters.as_ref().map(Filters::qdiscs).unwrap_or_default();
        interfaces.extend(qdiscs.into_iter().map(|ifindex| (Network::Run, ifindex)));
        interfaces.into_iter().for_each(|i| self.release(i));
    }
}

fn take_off(ifindex: u32, link: SchedClassifierLink) {
    if let Err(e) = filters::detach(link) {
        tracing::warn!("cannot take a program off interface {ifindex}: {e}");
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Kernel {
    /// Who writes down what would outlive this process; before anything is attached.
    pub fn set_keeper(&mut self, keeper: Box<dyn Keeper>) {
        self.hooks.keeper = Some(keeper);
    }

    /// How programs are attached to interfaces, once one was.
    pub fn hook(&self) -> Option<Hook> {
        self.hooks.hook
    }

    /// Attaches a packet program to an interface, before those of others. Where the kernel has no
    /// TCX, everything is attached as filters from then on.
    pub(super) fn attach_to(
        &mut self,
        program: &str,
        name: &str,
        ifindex: u32,
        direction: TcAttachType,
    ) -> Result<SchedClassifierLink, KernelError> {
        if self.hooks.hook != Some(Hook::Clsact) {
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            match self.attach_with(program, name, direction, options)? {
                Err(e) if is_no_tcx(&e) && self.hooks.hook.is_none() => {}
                Err(e) => return Err(no_tcx(program, &e)),
                Ok(link) => {
                    self.hooks.hook = Some(Hook::Tcx);
                    return Ok(link);
                }
            }
        }
        let options = self.filter_options(name, ifindex)?;
        let link = self
            .attach_with(program, name, direction, TcAttachOptions::Netlink(options))?
            .map_err(|e| refused(program, name, &e))?;
        self.hooks.hook = Some(Hook::Clsact);
        Ok(link)
    }

    /// By TCX or not at all.
    pub(super) fn attach_link(
        &mut self,
        program: &str,
        name: &str,
        direction: TcAttachType,
    ) -> Result<SchedClassifierLink, KernelError> {
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        self.attach_with(program, name, direction, options)?.map_err(|e| {
            if !is_no_tcx(&e) {
                return KernelError::program(program, &e);
            }
            KernelError::Missing {
                feature: "TCX (BPF links on interfaces), which flows in two network namespaces need",
                since: "Linux 6.6",
                remedy: "Leave out the flows and outcomes of the apps that the run starts",
            }
        })
    }

    fn filter_options(
        &mut self,
        name: &str,
        ifindex: u32,
    ) -> Result<aya::programs::tc::NlOptions, KernelError> {
        let Hooks { filters, keeper, .. } = &mut self.hooks;
        let failed = |e: std::io::Error| KernelError::filters(name, e);
        let filters = match filters {
            Some(filters) => filters,
            None => {
                let new = Filters::new().map_err(failed)?;
                if let Some(keeper) = keeper {
                    keeper.keep(&new).map_err(failed)?;
                }
                filters.insert(new)
            }
        };
        filters.prepare(name, ifindex, keeper.as_deref_mut())?;
        Ok(filters.options())
    }

    pub(super) fn attach_with(
        &mut self,
        program: &str,
        name: &str,
        direction: TcAttachType,
        options: TcAttachOptions,
    ) -> Result<Result<SchedClassifierLink, ProgramError>, KernelError> {
        let p: &mut SchedClassifier = typed(&mut self.ebpf, program)?;
        let id = p.attach_with_options(name, direction, options);
        Ok(id.and_then(|id| p.take_link(id)))
    }
}

/// EINVAL from bpf_link_create on an interface is a kernel that does not know TCX.
fn is_no_tcx(e: &ProgramError) -> bool {
    matches!(e, ProgramError::SyscallError(s) if s.io_error.raw_os_error() == Some(libc::EINVAL))
}

fn no_tcx(program: &str, e: &ProgramError) -> KernelError {
    if !is_no_tcx(e) {
        return KernelError::program(program, e);
    }
    KernelError::Missing {
        feature: "TCX (BPF links on interfaces)",
        since: "Linux 6.6",
        remedy: "Leave out `--hook tcx`: clsact does as well",
    }
}

/// EINVAL of a new filter: priority 1 has filters of another kind or protocol already (tc_new_tfilter
/// in net/sched/cls_api.c).
fn refused(program: &str, interface: &str, e: &ProgramError) -> KernelError {
    use aya::programs::tc::TcError;
    match e {
        ProgramError::TcError(TcError::NetlinkError(n))
            if n.raw_os_error() == Some(libc::EINVAL) =>
        {
            KernelError::Occupied {
                interface: interface.into(),
                by: "filters of another kind or protocol at priority 1 of its clsact qdisc",
                remedy: "Give them a priority of 2 or more: flowfault has to see packets first",
            }
        }
        _ => KernelError::program(program, e),
    }
}
