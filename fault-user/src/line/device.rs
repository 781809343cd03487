//! What a TAP and a veth pair have in common: interfaces of our own.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

/// What the names of all such devices begin with; the packet programs keep off them.
pub const PREFIX: &str = "ffline";

/// Brings a device of ours up: silent, without IPv6, for packets of `mtu` bytes.
///
/// # Errors
/// The kernel refuses a setting.
pub fn configure(name: &str, mtu: i32, queue: i32) -> io::Result<()> {
    // Or the kernel would send router solicitations and neighbour discovery into the line. The
    // directory is missing where IPv6 is off altogether.
    match fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut request = Request::named(name);
    request.value.number = queue;
    // SAFETY: these requests read an ifreq.
    unsafe { control(socket.as_fd(), libc::SIOCSIFTXQLEN, &mut request) }?;
    request.value.number = mtu;
    // SAFETY: as above.
    unsafe { control(socket.as_fd(), libc::SIOCSIFMTU, &mut request) }?;
    request.value.flags = (libc::IFF_UP | libc::IFF_NOARP) as i16;
    // SAFETY: as above.
    unsafe { control(socket.as_fd(), libc::SIOCSIFFLAGS, &mut request) }
}

/// `struct ifreq` (netdevice(7)).
#[repr(C)]
pub struct Request {
    name: [u8; libc::IFNAMSIZ],
    pub value: Value,
}

#[repr(C)]
pub union Value {
    pub flags: i16,
    number: i32,
    room: [u8; 24],
}

impl Request {
    pub fn named(name: &str) -> Self {
        let mut request = Self { name: [0; libc::IFNAMSIZ], value: Value { room: [0; 24] } };
        // One byte less: it ends with a zero.
        for (to, from) in request.name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        request
    }

    pub fn name(&self) -> String {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }
}

/// # Safety
/// `what` must be a request that reads or writes no more than an ifreq.
pub unsafe fn control(
    fd: BorrowedFd<'_>,
    what: libc::Ioctl,
    request: &mut Request,
) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), what, request as *mut Request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
