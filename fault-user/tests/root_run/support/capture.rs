//! A packet socket at the far end of a cable: what really came over it.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

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

/// A capture that goes on.
pub struct Capture {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Seen>>,
}

const ETH_HEADER: usize = 14;

impl Capture {
    /// Starts to watch what arrives at the cable's end in this namespace.
    pub fn start(netns: &Netns) -> Self {
        let socket = netns.within(open).expect("root may open packet sockets");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let reader = std::thread::spawn(move || read(&socket, &flag));
        Self { stop, reader }
    }

    /// Ends it; what was seen, in order.
    pub fn finish(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader does not panic")
    }
}

fn open() -> std::io::Result<OwnedFd> {
    let check = |r: i32| if r < 0 { Err(std::io::Error::last_os_error()) } else { Ok(r) };
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain numbers; the result is checked and owned.
    let socket = unsafe {
        let fd = check(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(protocol)))?;
        OwnedFd::from_raw_fd(fd)
    };
    let name = std::ffi::CString::new(CABLE).expect("no NUL in it");
    // SAFETY: a NUL-terminated name.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index as i32;
    let timeout = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    // SAFETY: each pointer goes with the size of what it points to, which lives until return.
    unsafe {
        let length = size_of_val(&address) as u32;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length))?;
        let length = size_of_val(&timeout) as u32;
        let option = (&raw const timeout).cast();
        check(libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            option,
            length,
        ))?;
    }
    Ok(socket)
}

/// Reads until told to stop and nothing more comes for 20 ms.
fn read(socket: &OwnedFd, stop: &AtomicBool) -> Vec<Seen> {
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
                return seen;
            }
            continue;
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at_ms = since.expect("the clock is after 1970").as_secs_f64() * 1e3;
        if from.sll_pkttype != libc::PACKET_OUTGOING
            && let Some((source_port, payload)) = tcp(&buffer[..got])
        {
            seen.push(Seen { at_ms, source_port, payload });
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
