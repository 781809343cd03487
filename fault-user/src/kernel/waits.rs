//! The kernel's end of fq as the delay line: the program on the far end of its pair, and what is
//! counted.

use aya::maps::MapData;
use aya::programs::LinkOrder;
use aya::programs::tc::{self, NlOptions, TcAttachOptions, TcAttachType};
use fault_common::line::wait;

use super::error::KernelError;
use super::mapped::Mapped;
use super::{Hook, Kernel};

const BOUNCE: &str = "line_bounce";

/// What fq's line has counted so far.
#[derive(Debug)]
pub struct Waits(Mapped<u64>);

impl Waits {
    pub(super) fn new(map: &MapData) -> Result<Self, KernelError> {
        Mapped::new(map.fd(), wait::WORDS, "WAITS").map(Self)
    }

    /// One of the words of [`wait`].
    pub fn get(&self, word: u32) -> u64 {
        self.0.get(word).unwrap_or(0)
    }

    /// How late packets were: the longest time of a bucket (ns), and how many were in it.
    pub fn lateness(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let buckets = (wait::BUCKETS..wait::WORDS).map(|w| (w - wait::BUCKETS, self.get(w)));
        buckets.filter(|(_, n)| *n > 0).map(|(bucket, n)| (wait::longest(bucket), n))
    }
}

impl Kernel {
    /// Attaches the program to the far end, in the network namespace of this thread.
    ///
    /// # Errors
    /// The program cannot be attached.
    pub fn attach_bounce(&mut self, name: &str) -> Result<(), KernelError> {
        let failed = |e| KernelError::program(BOUNCE, &e);
        if self.hook() == Some(Hook::Tcx) {
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            let link = self.attach_with(BOUNCE, name, TcAttachType::Ingress, options)?;
            self.bounce = Some(link.map_err(failed)?);
            return Ok(());
        }
        tc::qdisc_add_clsact(name).map_err(|e| KernelError::program("clsact", &e))?;
        let options = TcAttachOptions::Netlink(NlOptions::default());
        let link = self.attach_with(BOUNCE, name, TcAttachType::Ingress, options)?;
        // The filter goes with its namespace. Dropping the link would look for it by the number of
        // its interface in another one, and could find a stranger.
        std::mem::forget(link.map_err(failed)?);
        Ok(())
    }
}
