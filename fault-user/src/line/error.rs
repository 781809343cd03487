//! Why there is no delay line.

use std::io;

/// Why there is no line, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The device cannot be made.
    #[error(
        "cannot make the delay line's TAP device: {0}. It needs /dev/net/tun (kernel module `tun`, CONFIG_TUN) and CAP_NET_ADMIN"
    )]
    Device(#[source] io::Error),
    /// The pair cannot be made.
    #[error(
        "cannot make the delay line's veth pair: {what}: {source}. It needs the kernel module `veth` (CONFIG_VETH), CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )]
    Pair {
        /// What was tried.
        what: &'static str,
        source: io::Error,
    },
    /// The kernel does not have fq.
    #[error(
        "this kernel has no fq qdisc (module `sch_fq`, CONFIG_NET_SCH_FQ), which `line = \"fq\"` needs. Load it (`modprobe sch_fq`), or leave `line` out"
    )]
    NoFq,
    /// fq cannot do that.
    #[error(
        "the delay line of fq cannot carry `{fault}`: {why}. Leave `line` out, or `line = \"tap\"`"
    )]
    Unfit {
        /// The fault, as the scenario has it.
        fault: String,
        why: &'static str,
    },
    /// Neither can be had.
    #[error("{tap}. The other delay line will not do, either: {fq}")]
    Neither { tap: Box<LineError>, fq: Box<LineError> },
    /// The thread cannot be started, or has ended early.
    #[error("the delay line has stopped: {0}")]
    Stopped(String),
}
