//! The kernel side, and the only module that knows aya. Everything here is undone by dropping
//! [`Kernel`]: each program hangs on a link that is a file descriptor, so the kernel detaches it
//! when this process ends, however it ends. The exception are filters of clsact on kernels without
//! TCX: a [`Keeper`] writes those down.

mod attach;
mod btf;
mod captures;
mod conditions;
mod counters;
mod error;
mod events;
mod filters;
mod found;
mod hooks;
mod known;
mod line;
mod load;
mod logs;
mod mapped;
mod probe;
pub(crate) mod qdisc;
mod rest;
mod tables;
pub mod testing;
mod waits;

use aya::Ebpf;
use aya::maps::{Array, MapData, RingBuf};
use aya::programs::tc::SchedClassifierLink;
use fault_common::quiet::Quiet;

pub use captures::CaptureReader;
pub use counters::Totals;
pub use error::KernelError;
pub use events::{Batch, EventReader};
pub use filters::{Filters, Keeper};
pub use found::Taken;
pub use hooks::{Hook, Network};
pub use line::Shared;
pub use load::Setup;
pub use probe::{Check, probe};
pub use waits::Waits;

use hooks::Hooks;

/// Which hook gives the byte ranges of sends (CORRELATION: evidence tiers), best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The tracepoint sock:sock_send_length, Linux 6.3.
    SockSendLength,
    /// fexit on tcp_sendmsg_locked; needs function tracing.
    Fexit,
    /// The syscall exit tracepoint, and from the fd to the socket.
    SysExit,
}

impl Tier {
    /// In the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::SockSendLength, Self::Fexit, Self::SysExit];

    /// The word of report.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::SockSendLength => "sock_send_length",
            Self::Fexit => "fexit",
            Self::SysExit => "sys_exit",
        }
    }

    /// What it cannot see. `placed`: the kernel tells where the bytes of each call begin.
    fn blind_spots(self, placed: bool) -> Vec<&'static str> {
        let threads = if placed {
            "a send that waits for room while other threads write to its socket is known by where it began and ended"
        } else {
            "sends of several threads on one socket at the same moment are known together, not each"
        };
        match self {
            Self::SockSendLength => vec![threads, "kTLS: ranges are of encrypted bytes"],
            Self::Fexit => vec![threads, "kTLS and MPTCP sockets are not seen"],
            Self::SysExit => {
                vec![
                    "io_uring and sendmmsg are not seen",
                    threads,
                    "kTLS: ranges are of encrypted bytes",
                ]
            }
        }
    }
}

impl Kernel {
    /// What the attached evidence of sends cannot see; empty before [`Kernel::attach_evidence`].
    pub fn blind_spots(&self) -> Vec<&'static str> {
        let mut spots = self.tier.map_or(Vec::new(), |tier| tier.blind_spots(self.placed));
        if self.sendpage {
            spots.push("sendfile and splice are not seen before Linux 6.5");
        }
        spots
    }
}

/// The loaded programs and everything they are attached to.
pub struct Kernel {
    ebpf: Ebpf,
    btf: Option<aya::Btf>,
    /// What has not been told of each socket, by slot.
    quiet: mapped::Mapped<Quiet>,
    control: Array<MapData, u64>,
    epoch: u64,
    /// Flow and direction of the chains that each bank holds.
    banks: [Vec<(u32, fault_common::rule::Direction)>; 2],
    slots: u32,
    rules: u32,
    /// Whether there are UDP flows, and so the programs for them.
    datagrams: bool,
    /// Whether flows wait for what sockets say first.
    hellos: bool,
    /// Whether flows wait for a text in what an app writes.
    markers: bool,
    hooks: Hooks,
    tier: Option<Tier>,
    /// Whether sends tell where their bytes begin.
    placed: bool,
    /// Whether sendfile and splice go past what is attached.
    sendpage: bool,
    /// Interface of the delay line, and the program on it.
    line: Option<(u32, SchedClassifierLink)>,
    /// The ring of events, if it was read before [`Kernel::events_to`].
    ring: Option<RingBuf<MapData>>,
    /// The program on the far end of fq's pair.
    bounce: Option<SchedClassifierLink>,
}
