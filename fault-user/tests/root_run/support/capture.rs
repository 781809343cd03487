//! Packet sockets: what really came over a cable.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use nix::sys::socket::{setsockopt, sockopt};

use super::netns::{CABLE, Netns};

/// One TCP packet from the near end.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Milliseconds since 1970, when it was read from the socket.
    pub at_ms: f64,
    pub source_port: u16,
    /// Bytes of TCP payload; above the MTU if it came as a super-packet.
    pub payload: usize,
}

/// A capture that goes on, and what it makes of a frame.
pub struct Capture<T = Seen> {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<T>>,
}

/// Room for all that a test sends: a packet socket whose buffer is full loses packets.
const BUFFER: usize = 512 << 20;
const ETH_HEADER: usize = 14;

impl Capture {
    /// Starts to watch what arrives at the cable's end in this namespace.
    pub fn start(netns: &Netns) -> Self {
        Self::on(netns, CABLE, |frame, at_ms| {
            let (source_port, payload) = tcp(frame)?;
            Some(Seen { at_ms, source_port, payload })
        })
    }
}

impl<T: Send + 'static> Capture<T> {
    /// Starts to watch what arrives on this interface: frames that `parse` knows, with the time (ms
    /// since 1970) at which they were read.
    pub fn on(netns: &Netns, interface: &str, parse: fn(&[u8], f64) -> Option<T>) -> Self {
        let open = || -> std::io::Result<OwnedFd> {
            let socket = packet_socket()?;
            bind(&socket, nix::net::if_::if_nametoindex(interface)? as i32)?;
            Ok(socket)
        };
        let socket = netns.within(open).expect("root may open packet sockets");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let reader = std::thread::spawn(move || read(&socket, &flag, parse));
        Self { stop, reader }
    }

    /// Ends it; what was seen, in order.
    pub fn finish(self) -> Vec<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader does not panic")
    }
}

/// A packet socket that gets nothing yet; reading from it waits for 20 ms.
pub fn packet_socket() -> std::io::Result<OwnedFd> {
    // SAFETY: plain numbers; the result is checked and owned.
    let socket = unsafe {
        let fd = check(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0))?;
        OwnedFd::from_raw_fd(fd)
    };
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    let wait = nix::sys::time::TimeVal::new(0, 20_000);
    setsockopt(&socket, sockopt::ReceiveTimeout, &wait)?;
    Ok(socket)
}

/// Lets it get all of an interface's packets; with 0 those of all interfaces.
pub fn bind(socket: &OwnedFd, ifindex: i32) -> std::io::Result<()> {
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = ifindex;
    // SAFETY: the address goes with its size, and lives until return.
    unsafe {
        let length = size_of_val(&address) as u32;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length))?;
    }
    Ok(())
}

/// What the socket itself had to throw away would be taken for a fault (packet(7)).
pub fn lost_nothing(socket: &OwnedFd) {
    let mut counts = [0u32; 2];
    let mut length = size_of_val(&counts) as u32;
    // SAFETY: struct tpacket_stats is two words, and that is the size given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counts.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!((result, counts[1]), (0, 0), "the capture lost packets");
}

fn check(result: i32) -> std::io::Result<i32> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

/// Reads until told to stop and nothing more comes for 20 ms.
fn read<T>(socket: &OwnedFd, stop: &AtomicBool, parse: fn(&[u8], f64) -> Option<T>) -> Vec<T> {
    let (mut seen, mut buffer) = (Vec::new(), vec![0u8; 1 << 17]);
    loop {
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&from) as u32;
        // SAFETY: buffer and address are ours, with their sizes.
        let got = unsafe {
            let (to, size) = (buffer.as_mut_ptr().cast(), buffer.len());
            libc::recvfrom(socket.as_raw_fd(), to, size, 0, (&raw mut from).cast(), &raw mut length)
        };
        let Ok(got) = usize::try_from(got) else {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
            if stop.load(Ordering::Relaxed) {
                lost_nothing(socket);
                return seen;
            }
            continue;
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at_ms = since.expect("the clock is after 1970").as_secs_f64() * 1e3;
        if from.sll_pkttype != libc::PACKET_OUTGOING {
            seen.extend(parse(&buffer[..got], at_ms));
        }
    }
}

/// Source port and payload of a TCP packet with its Ethernet header.
fn tcp(frame: &[u8]) -> Option<(u16, usize)> {
    let be16 = |b: &[u8], at: usize| Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?));
    let ip = frame.get(ETH_HEADER..)?;
    let (header, total) = match be16(frame, 12)? {
        0x0800 if *ip.get(9)? == 6 => (usize::from(ip[0] & 15) * 4, usize::from(be16(ip, 2)?)),
        0x86dd if *ip.get(6)? == 6 => (40, 40 + usize::from(be16(ip, 4)?)),
        _ => return None,
    };
    let tcp = ip.get(header..)?;
    let offset = usize::from(tcp.get(12)? >> 4) * 4;
    Some((be16(tcp, 0)?, total.checked_sub(header + offset)?))
}
