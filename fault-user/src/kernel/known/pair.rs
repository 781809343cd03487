//! A TCP connection in a network namespace of its own, an output stream, and what they say of themselves.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

/// How long an acknowledgement on loopback may take; it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// linux/tcp.h: TCP_REPAIR's way out without a window probe, and the queue of what is sent.
const REPAIR_OFF: i32 = -1;
const SEND_QUEUE: i32 = 2;

/// Both ends of a connection.
pub struct Pair {
    client: TcpStream,
    server: TcpStream,
    cookie: u64,
    local: SocketAddr,
    remote: SocketAddr,
}

/// What the client's TCP said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// After each send: the sequence number of the next byte.
    pub write_seq: [u32; 2],
    /// Segments.
    pub retransmits: u32,
}

impl Pair {
    /// Connects it. The namespace goes with the sockets.
    ///
    /// # Errors
    /// No network namespaces, or no TCP over IPv4.
    pub fn open() -> io::Result<Self> {
        // Namespaces are a thread's own: this one ends with it.
        let connect = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            loopback_up()?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let client = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
            let (server, _) = listener.accept()?;
            io::Result::Ok((client, server))
        };
        let (client, server) = thread::scope(|scope| match scope.spawn(connect).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })?;
        client.set_nodelay(true)?;
        server.set_read_timeout(Some(PATIENCE))?;
        let (local, remote) = (client.local_addr()?, client.peer_addr()?);
        let cookie = cookie(client.as_fd())?;
        Ok(Self { client, server, cookie, local, remote })
    }

    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Sends so many bytes at a time, waits until they are acknowledged, and resets the connection.
    ///
    /// # Errors
    /// The system's; or no acknowledgement.
    pub fn use_up(&self, sends: &[usize; 2]) -> io::Result<Said> {
        let mut write_seq = [0; 2];
        for (bytes, seq) in sends.iter().zip(&mut write_seq) {
            let sent = (&self.client).write(&vec![b'.'; *bytes])?;
            if sent != *bytes {
                return Err(io::Error::other(format!("it took {sent} of {bytes} bytes")));
            }
            *seq = sequence(&self.client)?;
            (&self.server).read_exact(&mut vec![0; *bytes])?;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut info = tcp_info(&self.client)?;
        while info.tcpi_unacked > 0 {
            if Instant::now() > deadline {
                return Err(io::Error::other("nobody acknowledges what it sends"));
            }
            thread::sleep(Duration::from_millis(1));
            info = tcp_info(&self.client)?;
        }
        // It ends inside of the call, with everything as it was (tcp_disconnect).
        disconnect(&self.client)?;
        Ok(Said { write_seq, retransmits: info.tcpi_total_retrans })
    }
}

/// One of an app's output streams.
pub struct Output {
    ours: OwnedFd,
    theirs: OwnedFd,
    cookie: u64,
}

impl Output {
    pub fn open() -> io::Result<Self> {
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let (ours, theirs) = socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC)?;
        let cookie = cookie(ours.as_fd())?;
        Ok(Self { ours, theirs, cookie })
    }

    pub fn ours(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }

    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Writes as an app would.
    pub fn write(&self, text: &str) -> io::Result<()> {
        nix::unistd::write(&self.theirs, text.as_bytes()).map(drop).map_err(Into::into)
    }
}

fn loopback_up() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: all zeros is an ifreq without name; the request reads no more than one (netdevice(7)).
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What TCP_REPAIR says: tp->write_seq, from the kernel's own code.
fn sequence(socket: &TcpStream) -> io::Result<u32> {
    set(socket, libc::TCP_REPAIR, 1)?;
    let asked = set(socket, libc::TCP_REPAIR_QUEUE, SEND_QUEUE)
        .and_then(|()| get::<u32>(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_QUEUE_SEQ));
    set(socket, libc::TCP_REPAIR, REPAIR_OFF)?;
    asked
}

fn tcp_info(socket: &TcpStream) -> io::Result<libc::tcp_info> {
    get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO)
}

fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    get(socket, libc::SOL_SOCKET, libc::SO_COOKIE)
}

/// connect(2) to AF_UNSPEC: what a reset does to it, at once.
fn disconnect(socket: &TcpStream) -> io::Result<()> {
    // SAFETY: all zeros is a sockaddr of the family AF_UNSPEC, given with its size.
    let done = unsafe {
        let nobody: libc::sockaddr = std::mem::zeroed();
        libc::connect(socket.as_raw_fd(), &raw const nobody, size_of_val(&nobody) as u32)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set(socket: &TcpStream, option: i32, value: i32) -> io::Result<()> {
    let (fd, length) = (socket.as_raw_fd(), size_of_val(&value) as u32);
    // SAFETY: an int with its size, as these options take it.
    let done = unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, option, (&raw const value).cast(), length)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `T` must be what the option gives: integers only.
fn get<T: Copy>(socket: BorrowedFd<'_>, level: i32, option: i32) -> io::Result<T> {
    // SAFETY: all zeros is a value of plain integers; the kernel writes no more than the size given.
    unsafe {
        let mut value: T = std::mem::zeroed();
        let mut length = size_of::<T>() as u32;
        let (fd, to) = (socket.as_raw_fd(), (&raw mut value).cast());
        match libc::getsockopt(fd, level, option, to, &raw mut length) {
            0 => Ok(value),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
