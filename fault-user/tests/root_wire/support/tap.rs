//! A packet socket that keeps the headers of each TCP and UDP packet, with the kernel's time.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, SockaddrLike as _, recvmsg, setsockopt, sockopt,
};

use super::packet::{Eye, Packet, Seen};
use crate::lab::capture;
use crate::lab::netns::{CABLE, Netns};

/// A capture that goes on.
pub struct Tap {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Packet>>,
}

/// Bytes that are kept of a packet: headers, with what these tests write at the beginning of a
/// payload.
const KEPT: usize = 192;

impl Tap {
    /// Starts to watch what comes and goes on all interfaces, also those to come.
    pub fn start(netns: &Netns) -> Self {
        let (socket, cable) =
            netns.within(|| open().map(|socket| (socket, index(CABLE)))).expect("root may do so");
        let at = move |ifindex| match ifindex {
            // LOOPBACK_IFINDEX of the kernel.
            1 => Eye::Lo,
            _ if Some(ifindex) == cable => Eye::Cable,
            _ => Eye::Line,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        Self { stop, reader: std::thread::spawn(move || read(&socket, &flag, at)) }
    }

    /// Ends it; what was seen, in order.
    pub fn finish(self) -> Vec<Packet> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader does not panic")
    }
}

fn index(interface: &str) -> Option<i32> {
    nix::net::if_::if_nametoindex(interface).ok().map(|index| index as i32)
}

fn open() -> std::io::Result<OwnedFd> {
    let socket = capture::packet_socket()?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    with_offload(&socket)?;
    capture::bind(&socket, 0)?;
    Ok(socket)
}

/// Each packet comes with a virtio_net_hdr that says into how many wire packets it will be cut.
fn with_offload(socket: &OwnedFd) -> std::io::Result<()> {
    const PACKET_VNET_HDR: i32 = 15;
    let on = 1i32;
    // SAFETY: pointer and length fit.
    let set = unsafe {
        let (value, length) = ((&raw const on).cast(), size_of_val(&on) as u32);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_VNET_HDR, value, length)
    };
    if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Length of a virtio_net_hdr, and where its `gso_size` stands (linux/virtio_net.h).
const OFFLOAD: usize = 10;
const GSO_SIZE: usize = 4;

/// Reads until told to stop and nothing more comes for 20 ms.
fn read(socket: &OwnedFd, stop: &AtomicBool, at: impl Fn(i32) -> Eye) -> Vec<Packet> {
    let (mut seen, mut buffer) = (Vec::new(), [0u8; KEPT]);
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    loop {
        let mut into = [IoSliceMut::new(&mut buffer)];
        let fd = socket.as_raw_fd();
        let (length, from, at_ns) =
            match recvmsg::<LinkAddr>(fd, &mut into, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => (message.bytes, address(message.address), time(message.cmsgs())),
                Err(nix::errno::Errno::EAGAIN) if stop.load(Ordering::Relaxed) => break,
                Err(nix::errno::Errno::EAGAIN) => continue,
                Err(error) => panic!("cannot read packets: {error}"),
            };
        let outgoing = from.sll_pkttype == libc::PACKET_OUTGOING;
        let cut = u16::from_le_bytes([buffer[GSO_SIZE], buffer[GSO_SIZE + 1]]);
        let seen_at = Seen { at_ns, outgoing, eye: at(from.sll_ifindex), cut: cut.into() };
        seen.extend(Packet::parse(&buffer[OFFLOAD..length], seen_at));
    }
    capture::lost_nothing(socket);
    seen
}

fn address(from: Option<LinkAddr>) -> libc::sockaddr_ll {
    let from = from.expect("packet sockets have addresses");
    assert_eq!(from.len() as usize, size_of::<libc::sockaddr_ll>());
    // SAFETY: LinkAddr is a sockaddr_ll, as its length says.
    unsafe { *from.as_ptr().cast::<libc::sockaddr_ll>() }
}

fn time(control: nix::Result<impl Iterator<Item = ControlMessageOwned>>) -> u64 {
    let mut control = control.expect("there was room for it");
    let stamp = control.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(at),
        _ => None,
    });
    let at = stamp.expect("the socket stamps its packets");
    at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64
}
