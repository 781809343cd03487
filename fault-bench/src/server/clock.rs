//! When the kernel received a datagram.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};

/// A received datagram.
pub struct Stamped {
    /// CLOCK_REALTIME, ns.
    pub at: u64,
    pub port: u16,
    pub len: usize,
}

/// Waits for a datagram. `None`: the socket's time-out is over, or it came without a stamp.
pub fn receive(socket: &std::net::UdpSocket, buffer: &mut [u8]) -> Option<Stamped> {
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_raw_fd();
    let got = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut space), MsgFlags::empty()).ok()?;
    let at = got.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at).as_nanos() as u64),
        _ => None,
    })?;
    Some(Stamped { at, port: got.address?.port(), len: got.bytes })
}
