//! What is to be done to which stream.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::stream::{self, Stream};
use super::words::{self, Entry};
use super::{Guard, GuardError, loaded};
use crate::act::Protocol;

/// Faults that are not armed yet.
///
/// A direction holds for the faults that are added after it; without one they hold for both. Several faults stack in
/// their order, as in a scenario.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until `arm`"]
pub struct Fault {
    stream: Stream,
    held: Option<Arc<OwnedFd>>,
    direction: Option<&'static str>,
    entries: Vec<Entry>,
}

impl Fault {
    /// Faults on this connected TCP socket, or on this UDP socket, connected or not: of std, of tokio, or whatever has its
    /// descriptor. It is known by its SO_COOKIE, the fault does not follow its descriptor. A TCP socket is not
    /// held open by it, a UDP socket is, until the guard is gone: else its port could become another's, and that one's
    /// datagrams would be faulted.
    ///
    /// # Errors
    /// [`GuardError::Protocol`], [`GuardError::NotConnected`], [`GuardError::NotBound`].
    pub fn on(socket: &impl AsFd) -> Result<Self, GuardError> {
        let stream = Stream::of(socket)?;
        let held = match stream.protocol {
            Protocol::Tcp => None,
            Protocol::Udp => {
                let copy = socket.as_fd().try_clone_to_owned();
                Some(Arc::new(copy.map_err(GuardError::io("hold the socket open"))?))
            }
        };
        Ok(Self { stream, held, direction: None, entries: Vec::new() })
    }

    /// What follows holds for what the stream sends.
    pub fn egress(self) -> Self {
        Self { direction: Some("egress"), ..self }
    }

    /// What follows holds for what it receives.
    pub fn ingress(self) -> Self {
        Self { direction: Some("ingress"), ..self }
    }

    /// What follows holds for both directions.
    pub fn both(self) -> Self {
        Self { direction: Some("both"), ..self }
    }

    /// Every packet is lost in the network: the sender's TCP believes that it was sent, and sends it again.
    pub fn drop_all(self) -> Self {
        self.fault("drop = 1.0")
    }

    /// Each packet is lost with this probability, above 0.0 and at most 1.0.
    pub fn drop_some(self, p: f64) -> Self {
        self.fault(format!("drop = {p:?}"))
    }

    /// The next `n` packets are lost, at least 1.
    pub fn drop_first(self, n: u64) -> Self {
        self.fault(format!("drop = {{ first = {n} }}"))
    }

    /// Every packet is held for that long, at most 10 minutes.
    pub fn delay(self, time: Duration) -> Self {
        self.fault(format!("delay = \"{}us\"", time.as_micros()))
    }

    /// The socket announces a zero receive window (`egress`), or its peer does (`ingress`): alive, but nothing moves.
    pub fn stall(self) -> Self {
        self.fault("stall = true")
    }

    /// The local stack destroys the socket: ECONNABORTED here, a RST to the peer.
    pub fn abort(self) -> Self {
        self.fault("abort = true")
    }

    /// The peer's TCP is told that the connection is gone (RST); the stream itself is not.
    pub fn reset_peer(self) -> Self {
        self.once("reset = \"peer\"")
    }

    /// The stream is told so, as if by its peer: ECONNRESET. The peer is not.
    pub fn reset_local(self) -> Self {
        self.once("reset = \"local\"")
    }

    /// Both are.
    pub fn reset(self) -> Self {
        self.once("reset = \"both\"")
    }

    /// What is done to the connection has no direction.
    fn once(mut self, keys: &str) -> Self {
        self.entries.push(Entry { direction: None, keys: keys.to_owned() });
        self
    }

    /// Any fault of a scenario, written as the keys of its entry in `faults`:
    /// `corrupt = { p = 0.01, bits = 2 }, when = { tcp = "data" }`. `limit` with `then = "reset"` needs a run.
    pub fn fault(mut self, keys: impl Into<String>) -> Self {
        self.entries.push(Entry { direction: self.direction, keys: keys.into() });
        self
    }

    /// From now on, until the guard is dropped. Resets have been taken when this returns: it repeats them, for at most two
    /// seconds, where a busy connection moves on before they come. The first of a process loads the programs, which blocks for half a
    /// second or more; see [`super::load`].
    ///
    /// # Errors
    /// [`GuardError::Elsewhere`] if the stream is in another network namespace than this thread; what a scenario with
    /// these faults would be refused for, missing privileges, a kernel that cannot do it, or as
    /// many guards as there can be.
    pub fn arm(self) -> Result<Guard, GuardError> {
        let scenario = words::scenario(&self.stream, &self.entries)?;
        if stream::here()? != self.stream.netns {
            return Err(GuardError::Elsewhere);
        }
        let loaded = loaded::shared(self.stream.netns)?;
        Guard::new(loaded, &self.stream, self.held, &scenario)
    }
}
