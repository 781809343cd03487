//! The veth pair. Its far end is in a network namespace that nothing but a descriptor of this
//! process keeps alive: when the process ends, however it ends, the namespace goes, with it the
//! far end, and with that the near end (veth_dellink). So nothing is left to clean up.

use std::io;
use std::os::fd::AsRawFd as _;

use fault_common::line::TAGS;
use nix::sched::{CloneFlags, unshare};

use super::super::device::{self, PREFIX};
use super::{LineError, netlink, steady};
use crate::netns::{self, Netns};

/// The largest that a veth can have, and enough for what lo carries in one piece:
/// __is_skb_forwardable adds the headers.
const MTU: i32 = 65_535;
/// veth's own; fq has the limits.
const QUEUE_LEN: i32 = 1000;
/// Packets that fq may hold. The packet programs never send it more than there are tags.
const LIMIT: u32 = 2 * TAGS;

/// The pair, with fq on its near end.
#[derive(Debug)]
#[must_use = "dropping it removes it"]
pub struct Pair {
    /// Of both ends.
    name: String,
    ifindex: u32,
    beyond: Netns,
}

impl Pair {
    /// Makes it, the near end in the network namespace of this thread.
    ///
    /// # Errors
    /// [`LineError::NoFq`]; or no privilege, no veth, no network namespaces.
    pub fn open() -> Result<Self, LineError> {
        let failed = |what| move |source: io::Error| LineError::Pair { what, source };
        let beyond = new_namespace().map_err(failed("make a network namespace"))?;
        let unique = fault_common::rng::mix(crate::clock::monotonic_ns()) as u32;
        let name = format!("{PREFIX}{unique:08x}");
        netlink::make_pair(&name, beyond.as_raw_fd()).map_err(failed("make the interfaces"))?;
        let ifindex = nix::net::if_::if_nametoindex(name.as_str()).map_err(io::Error::from);
        let ifindex = ifindex.map_err(failed("find the near end"))?;
        let pair = Self { name, ifindex, beyond };
        netlink::make_fq(ifindex, LIMIT).map_err(|e| match e.raw_os_error() {
            // No qdisc of that name (qdisc_create).
            Some(libc::ENOENT) => LineError::NoFq,
            _ => failed("give it the qdisc fq")(e),
        })?;
        let far = pair.beyond(|far| {
            steady::one_cpu(far)?;
            device::configure(far, MTU, QUEUE_LEN)
        });
        far.flatten().map_err(failed("set up the far end"))?;
        device::configure(&pair.name, MTU, QUEUE_LEN).map_err(failed("set up the near end"))?;
        Ok(pair)
    }

    /// Name of the near end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index of the near end.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Does something in the namespace of the far end, whose name it gets.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn beyond<T: Send>(&self, act: impl FnOnce(&str) -> T + Send) -> io::Result<T> {
        self.beyond.within(|| act(&self.name))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // ENODEV: somebody has removed it already.
        match netlink::remove(self.ifindex) {
            Err(e) if e.raw_os_error() != Some(libc::ENODEV) => {
                tracing::warn!("cannot remove the interface {}: {e}", self.name);
            }
            _ => {}
        }
    }
}

/// A new network namespace; no thread is in it.
fn new_namespace() -> io::Result<Netns> {
    netns::apart(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netns::current()
    })
}
