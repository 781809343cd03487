//! A laboratory: namespaces, connections over a cable or over `lo`, and their packets.

#[path = "../../root_run/support/netns.rs"]
pub mod netns;
pub mod observer;
#[path = "../../root_run/support/process.rs"]
#[expect(dead_code, reason = "shared with root_run, which needs more of it")]
pub mod process;
#[path = "../../root_run/support/slow.rs"]
mod slow;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fault_user::act::{Connection, RawSender};

use netns::{CABLE, Netns};
use observer::Observer;
use slow::slow;

/// Bounds of time are part of these tests: one at a time.
static SERIAL: Mutex<()> = Mutex::new(());

/// Longest wait for what has to come.
pub const SOON: Duration = Duration::from_secs(3);
/// How long something has to stay away.
pub const QUIET: Duration = Duration::from_millis(200);

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Cable4,
    Cable6,
    Lo4,
    Lo6,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Cable4, Self::Cable6, Self::Lo4, Self::Lo6];
    pub const CABLE: [Self; 2] = [Self::Cable4, Self::Cable6];

    pub fn interface(self) -> &'static str {
        if Self::CABLE.contains(&self) { CABLE } else { "lo" }
    }

    /// The address of the peer's end.
    pub fn peer(self) -> IpAddr {
        let address = match self {
            Self::Cable4 => "10.77.0.2",
            Self::Cable6 => "fd77::2",
            Self::Lo4 => "127.0.0.1",
            Self::Lo6 => "::1",
        };
        address.parse().unwrap()
    }

    /// An address at the end of the cable where nobody answers, not even with a reset.
    pub fn silence(self) -> SocketAddr {
        let address = if self == Self::Cable4 { "10.77.0.9:9" } else { "[fd77::9]:9" };
        address.parse().unwrap()
    }
}

/// Two namespaces and the cable between them.
pub struct Lab {
    // The cable goes with either end.
    pub far: Netns,
    pub near: Netns,
    pub sender: RawSender,
    _serial: MutexGuard<'static, ()>,
}

impl Lab {
    pub fn new() -> Self {
        // SAFETY: a plain question.
        assert_eq!(unsafe { libc::geteuid() }, 0, "these tests need root: cargo xtask test --root");
        let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
        let (near, far) = (Netns::new(), Netns::new());
        netns::cable(&near, &far);
        // To a hardware address that nobody has: the packets leave and are not answered.
        for address in ["10.77.0.9", "fd77::9"] {
            near.ip(&format!("neigh add {address} lladdr 02:00:00:00:00:09 dev {CABLE}"));
        }
        let sender = near.within(|| RawSender::open(None)).unwrap();
        Self { far, near, sender, _serial: serial }
    }

    /// The namespace of the peer.
    pub fn peers(&self, way: Way) -> &Netns {
        if way.interface() == CABLE { &self.far } else { &self.near }
    }

    /// A connection over which a byte has gone in each direction.
    pub fn connect(&self, way: Way) -> Pair {
        self.connect_by(way, |to| TcpStream::connect(to).unwrap())
    }

    /// The same with a socket of `open`'s making.
    pub fn connect_by(&self, way: Way, open: impl FnOnce(SocketAddr) -> TcpStream + Send) -> Pair {
        let mut observer = Observer::new(&self.near, way.interface());
        let peers = self.peers(way);
        let listener = peers.within(|| TcpListener::bind((way.peer(), 0)).unwrap());
        let address = listener.local_addr().unwrap();
        let mut local = self.near.within(|| open(address));
        let mut peer = listener.accept().unwrap().0;
        for socket in [&local, &peer] {
            socket.set_read_timeout(Some(SOON)).unwrap();
        }
        pass(&mut local, &mut peer);
        pass(&mut peer, &mut local);
        let connection = Connection { cookie: cookie(&local), ..observer.settle(address) };
        Pair { local, peer, connection }
    }
}

/// A connection and what is on record of it.
pub struct Pair {
    pub local: TcpStream,
    pub peer: TcpStream,
    pub connection: Connection,
}

/// One byte gets from one end to the other.
pub fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").unwrap();
    to.read_exact(&mut [0]).unwrap();
}

/// The error of the next read, within [`SOON`].
pub fn read_error(socket: &mut TcpStream) -> i32 {
    let error = socket.read(&mut [0; 8]).expect_err("no error");
    error.raw_os_error().unwrap()
}

/// Nothing is there to read for a while, neither bytes nor an end nor an error.
pub fn untouched(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(QUIET)).unwrap();
    let read = socket.read(&mut [0; 8]);
    assert_eq!(read.map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
    socket.set_read_timeout(Some(SOON)).unwrap();
}

/// The name that the kernel gives a socket.
pub fn cookie(socket: impl AsFd) -> u64 {
    let (mut cookie, mut length) = (0u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: SO_COOKIE writes 8 bytes into a buffer of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "SO_COOKIE: {}", std::io::Error::last_os_error());
    cookie
}

/// Index of an interface of this thread's namespace.
pub fn index_of(interface: &str) -> u32 {
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: a NUL-terminated name.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "no interface {interface}");
    index
}
