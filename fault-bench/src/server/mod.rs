//! What receives, on threads in the far namespace. It measures what only the receiver can know.

mod clock;
mod datagrams;
mod echo;
mod sink;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;

use crate::harness::netns::Netns;

pub use datagrams::Datagrams;
pub use sink::Sink;

/// The far end of the cable.
pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
/// Takes bytes.
pub const SINK: SocketAddr = SocketAddr::new(FAR, 7001);
/// Sends back what comes.
pub const ECHO: SocketAddr = SocketAddr::new(FAR, 7002);
/// Takes datagrams.
pub const DATAGRAMS: SocketAddr = SocketAddr::new(FAR, 7003);
/// Sends back what comes, to whom a fault may hit.
pub const DECOY: SocketAddr = SocketAddr::new(FAR, 7009);

/// All of them; they end with the process.
pub struct Servers {
    pub sink: Sink,
    pub datagrams: Datagrams,
}

impl Servers {
    /// Starts them in this namespace.
    ///
    /// # Errors
    /// An address cannot be had.
    pub fn start(far: &Netns) -> Result<Self> {
        far.within(|| {
            echo::start(ECHO)?;
            echo::start(DECOY)?;
            Ok(Self { sink: Sink::start(SINK)?, datagrams: Datagrams::start(DATAGRAMS)? })
        })
    }
}
