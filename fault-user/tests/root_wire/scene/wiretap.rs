//! A packet socket that keeps all of each TCP packet, and the streams in them.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::netns::Netns;

/// "Congestion experienced" (RFC 3168, 5).
pub const CE: u8 = 3;

/// A TCP packet; above the MTU if it came as a super-packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Milliseconds since 1970, when it was read from the socket.
    pub at_ms: f64,
    pub from: u16,
    pub to: u16,
    pub seq: u32,
    pub syn: bool,
    pub rst: bool,
    /// The echo of a congestion mark.
    pub ece: bool,
    pub window: u16,
    /// The ECN field of its IP header.
    pub ecn: u8,
    pub payload: Vec<u8>,
}

/// A capture that goes on.
pub struct Tap {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Packet>>,
}

/// Room for all that a test sends: a packet socket whose buffer is full loses packets.
const BUFFER: usize = 512 << 20;

impl Tap {
    /// Starts to watch what arrives on this interface.
    pub fn start(netns: &Netns, interface: &str) -> Self {
        let socket = netns.within(|| open(interface)).expect("root may open packet sockets");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        Self { stop, reader: std::thread::spawn(move || read(&socket, &flag)) }
    }

    /// Ends it; what was seen, in order.
    pub fn finish(self) -> Vec<Packet> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader does not panic")
    }
}

fn open(interface: &str) -> std::io::Result<OwnedFd> {
    let check = |r: i32| if r < 0 { Err(std::io::Error::last_os_error()) } else { Ok(r) };
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain numbers; the result is checked and owned.
    let socket = unsafe {
        let fd = check(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0))?;
        OwnedFd::from_raw_fd(fd)
    };
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    let wait = nix::sys::time::TimeVal::new(0, 20_000);
    setsockopt(&socket, sockopt::ReceiveTimeout, &wait)?;
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = nix::net::if_::if_nametoindex(interface)? as i32;
    // SAFETY: the address goes with its size, and lives until return.
    unsafe {
        let length = size_of_val(&address) as u32;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length))?;
    }
    Ok(socket)
}

/// Reads until told to stop and nothing more comes for 20 ms.
fn read(socket: &OwnedFd, stop: &AtomicBool) -> Vec<Packet> {
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
        if from.sll_pkttype != libc::PACKET_OUTGOING {
            seen.extend(tcp(&buffer[..got]));
        }
    }
}

/// What the socket itself had to throw away would be taken for a fault (packet(7)).
fn lost_nothing(socket: &OwnedFd) {
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

fn tcp(frame: &[u8]) -> Option<Packet> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at_ms = since.expect("the clock is after 1970").as_secs_f64() * 1e3;
    // Flipped headers make packets that cannot be read; others are none of ours.
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let ecn = match packet.net? {
        NetSlice::Ipv4(ip) => ip.header().ecn().value(),
        NetSlice::Ipv6(ip) => ip.header().traffic_class() & 3,
        NetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    Some(Packet {
        at_ms,
        from: tcp.source_port(),
        to: tcp.destination_port(),
        seq: tcp.sequence_number(),
        syn: tcp.syn(),
        rst: tcp.rst(),
        ece: tcp.ece(),
        window: tcp.window_size(),
        ecn,
        payload: tcp.payload().to_vec(),
    })
}

/// The byte that stands there in the tests' streams (wire.py).
pub fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    /// Its bytes as they came first, without holes.
    pub bytes: Vec<u8>,
    /// Packets of which all bytes had been there before.
    pub repeated: usize,
}

impl Stream {
    /// Positions that do not have the pattern's byte.
    pub fn wrong(&self) -> Vec<usize> {
        (0..self.bytes.len()).filter(|i| self.bytes[*i] != pattern(*i)).collect()
    }
}

/// Position in the stream of each of its packets with payload, from the SYN on.
pub fn placed(packets: &[Packet], from: u16, to: u16) -> Vec<(usize, &Packet)> {
    let of_it = || packets.iter().filter(|p| (p.from, p.to) == (from, to));
    let isn = of_it().find(|p| p.syn).expect("the capture began before the connection").seq;
    let data = of_it().filter(|p| !p.payload.is_empty());
    data.map(|p| (p.seq.wrapping_sub(isn).wrapping_sub(1) as usize, p)).collect()
}

/// Puts a stream together.
pub fn stream(packets: &[Packet], from: u16, to: u16) -> Stream {
    let mut stream = Stream::default();
    let mut placed = placed(packets, from, to);
    placed.sort_by_key(|(at, _)| *at);
    for (at, packet) in placed {
        let known = stream.bytes.len().checked_sub(at).expect("no bytes are missing");
        match packet.payload.get(known..) {
            Some(new) if !new.is_empty() => stream.bytes.extend_from_slice(new),
            _ => stream.repeated += 1,
        }
    }
    stream
}
