//! What can go wrong with what flowfault sends and destroys itself, each with its remedy.

use std::net::SocketAddr;

/// An error of acting on a connection.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// This process may not do it.
    #[error("{what}: not permitted. Run as root, or with the capabilities {needed}")]
    Privilege {
        /// What was refused.
        what: &'static str,
        /// Capabilities that allow it.
        needed: &'static str,
    },
    /// The kernel lacks something.
    #[error("this kernel has no {feature}. {remedy}")]
    Missing {
        /// What it lacks.
        feature: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no such socket any more.
    #[error("the socket {local} -> {remote} (cookie {cookie}) is gone already")]
    Gone {
        /// Its cookie.
        cookie: u64,
        /// Its address.
        local: SocketAddr,
        /// Its peer's.
        remote: SocketAddr,
    },
    /// The socket is there, but the kernel finds another one under its address.
    #[error(
        "the kernel cannot tell the socket {local} -> {remote} (cookie {cookie}) from others with the same address (SO_REUSEPORT): let the app connect() it, or use one socket"
    )]
    Shadowed {
        /// Its cookie.
        cookie: u64,
        /// Its address.
        local: SocketAddr,
        /// Its peer's.
        remote: SocketAddr,
    },
    /// No segment of the connection is on record that would give the numbers for one of ours.
    #[error(
        "cannot build {what} for {local} -> {remote}: no segment of it has been seen that tells the sequence numbers. Arm the step after the connection's first packet"
    )]
    NoNumbers {
        /// What should have been sent.
        what: &'static str,
        /// The socket's address.
        local: SocketAddr,
        /// Its peer's.
        remote: SocketAddr,
    },
    /// The two addresses of a connection are of different families.
    #[error(
        "{local} -> {remote} mixes IPv4 and IPv6: write a mapped address (::ffff:a.b.c.d) as IPv4"
    )]
    Families {
        /// The socket's address.
        local: SocketAddr,
        /// Its peer's.
        remote: SocketAddr,
    },
    /// Bytes that are not an IP packet, or one that is too long.
    #[error("not a packet that can be sent: {reason}")]
    Packet {
        /// What is wrong with it.
        reason: String,
    },
    /// A system call failed for another reason.
    #[error("cannot {what}: {source}. If it is about the route or the size, see `ip route get`")]
    System {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The kernel's answer to a netlink request makes no sense.
    #[error("the kernel's answer about sockets cannot be read: {reason}. This is a bug: report it")]
    Answer {
        /// Why.
        reason: String,
    },
}

impl ActError {
    /// For a failed system call.
    pub(super) fn system(
        what: &'static str,
        needed: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Privilege { what, needed },
            _ => Self::System { what, source },
        }
    }
}
